"""The order of a map: families together, the most alike side by side, as average linkage joins them."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy.cluster.hierarchy import average, to_tree
from scipy.spatial.distance import squareform

from polymod.report.document import read
from polymod.report.order import arranged, leaves, picked


def matrix(size: int, seed: int) -> list[list[float | None]]:
    """Symmetric, no two pairs alike."""
    chance = random.Random(seed)
    rows: list[list[float | None]] = [[1.0] * size for _ in range(size)]
    for i in range(size):
        for j in range(i):
            rows[i][j] = rows[j][i] = chance.random()
    return rows


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("size", [3, 4, 9, 30])
def test_every_branch_of_the_tree_stands_together(size: int, seed: int) -> None:
    rows = matrix(size, seed)
    order = leaves(rows)
    assert sorted(order) == list(range(size))
    distance = 1 - np.array(rows, dtype=float)
    _, nodes = to_tree(average(squareform(distance, checks=False)), rd=True)
    place = {leaf: number for number, leaf in enumerate(order)}
    for node in nodes:
        inside = sorted(place[leaf] for leaf in node.pre_order())
        assert inside == list(range(inside[0], inside[0] + len(inside)))


def test_the_ends_that_are_most_alike_meet() -> None:
    rows: list[list[float | None]] = [[1.0] * 4 for _ in range(4)]
    for i, j, value in ((0, 1, 0.9), (2, 3, 0.8), (0, 2, 0.1), (0, 3, 0.5), (1, 2, 0.2), (1, 3, 0.1)):
        rows[i][j] = rows[j][i] = value
    assert leaves(rows) == [1, 0, 3, 2]


def test_absent_values_are_no_obstacle() -> None:
    assert leaves([]) == []
    assert leaves([[None]]) == [0]
    assert sorted(leaves([[None] * 4 for _ in range(4)])) == [0, 1, 2, 3]


def test_families_are_together_and_ordered_inside() -> None:
    family = {"qaa": "a", "qab": "b", "qac": "a", "qad": "a"}
    world = {"languages": {tag: {"family": name} for tag, name in family.items()}}
    document = read({"schema": 1, "kind": "report", "title": "t", "world": world})
    rows: list[list[float | None]] = [[1.0] * 4 for _ in range(4)]
    for i, j, value in ((0, 1, 0.9), (0, 2, 0.1), (0, 3, 0.5), (1, 2, 0.2), (1, 3, 0.1), (2, 3, 0.6)):
        rows[i][j] = rows[j][i] = value
    found = arranged(document, list(family), rows)
    assert found == [("a", [0, 3, 2]), ("b", [1])]
    assert picked([[1, 2], [3, 4]], [1, 0]) == [[4, 3], [2, 1]]
