"""Matrices over languages beside their relatedness: correlation, chance, families, files that are wrong."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from _asserts import assert_user_error
from polymod.diagnose.kinship import Kinship, spearman
from polymod.diagnose.tables import along_lines

TAGS = tuple("abcdefgh")
FAMILIES = dict(zip(TAGS, "xxxxyyyy", strict=True))


def symmetric(seed: int, size: int = 8) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(size, size))
    return (drawn + drawn.T) / 2


def related(seed: int = 0) -> np.ndarray:
    """High within the two families, graded within and between."""
    family = np.array([FAMILIES[tag] for tag in TAGS])
    return 0.2 + 0.5 * (family[:, None] == family) + 0.02 * symmetric(seed)


def test_rank_correlation():
    chance = np.random.default_rng(1)
    for _ in range(20):
        a, b = chance.integers(0, 6, 12).astype(float), chance.normal(size=12)
        assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic, abs=1e-5)
    assert spearman(np.ones(4), np.arange(4.0)) is None


def test_it_is_over_pairs_in_any_order_of_the_languages():
    kinship, matrix = Kinship(TAGS, related(), FAMILIES), symmetric(3)
    order = [5, 2, 7, 0]
    found = kinship.along([TAGS[i] for i in order], matrix[np.ix_(order, order)].tolist())
    pairs = [(i, j) for n, i in enumerate(order) for j in order[:n]]
    expected = spearmanr([kinship.rows[p] for p in pairs], [matrix[p] for p in pairs]).statistic
    assert found.correlation == pytest.approx(expected, abs=1e-5)
    same = [matrix[p] for p in pairs if FAMILIES[TAGS[p[0]]] == FAMILIES[TAGS[p[1]]]]
    apart = [matrix[p] for p in pairs if FAMILIES[TAGS[p[0]]] != FAMILIES[TAGS[p[1]]]]
    assert found.within == pytest.approx(np.mean(same), abs=1e-5)
    assert found.between == pytest.approx(np.mean(apart), abs=1e-5)


def test_chance_is_that_of_languages_not_of_pairs():
    """Two families of four: one renaming in 35 keeps them, so that 28 pairs are no reason for a smaller p."""
    kinship = Kinship(TAGS, np.round(related(), 1), FAMILIES)
    found = kinship.along(TAGS, np.round(related(), 1).tolist())
    assert found.correlation == 1
    assert found.by_chance == pytest.approx(1 / 35, abs=0.015)
    of_chance = [Kinship(TAGS, related(), {}).along(TAGS, symmetric(seed).tolist()) for seed in range(40)]
    assert np.mean([each.by_chance for each in of_chance]) == pytest.approx(0.5, abs=0.15)
    assert of_chance[0].within is of_chance[0].between is None


def test_what_is_not_known_is_left_out():
    kinship, matrix = Kinship(TAGS, related(), FAMILIES), symmetric(4).tolist()
    matrix[0][1] = matrix[1][0] = None
    found = kinship.along((*TAGS[:3], "strange"), [row[:4] for row in matrix[:4]])
    assert found is None  # two pairs of three
    found = kinship.along((*TAGS[:4], "strange"), [row[:5] for row in matrix[:5]])
    pairs = [(i, j) for i in range(4) for j in range(i) if (i, j) != (1, 0)]
    expected = spearmanr([kinship.rows[p] for p in pairs], [matrix[i][j] for i, j in pairs]).statistic
    assert found.correlation == pytest.approx(expected, abs=1e-5)
    assert kinship.document(("a",), {"cosine": [[1.0]]}, ("cosine",)) == {
        "cosine": None,
        "by_chance": {},
        "within_families": {},
        "between_families": {},
    }


@pytest.mark.parametrize("rows", [[[1.0]], [[1.0, 0.5], [0.5]], [["x", 1.0], [1.0, 1.0]], "rows"])
def test_a_file_without_a_square_matrix_is_refused(tmp_path, rows):
    path = tmp_path / "world.json"
    path.write_text(json.dumps({"relatedness": {"tags": ["a", "b"], "rows": rows}}))
    assert_user_error(lambda: Kinship.read(path), "2 rows of 2 numbers")


def test_a_file_is_read(tmp_path):
    path = tmp_path / "any.json"
    path.write_text(json.dumps({"relatedness": {"tags": ["a", "b"], "rows": [[1, 0.5], [0.5, 1]]}}))
    kinship = Kinship.read(path)
    assert kinship.tags == ("a", "b")
    assert math.isclose(kinship.rows[0, 1], 0.5)
    assert kinship.families == {}
    path.write_text(json.dumps({"languages": {}}))
    assert_user_error(lambda: Kinship.read(path), "relatedness.tags")


def test_lines_have_what_is_there():
    kinship = Kinship(TAGS, related(), FAMILIES)
    relation = kinship.document(TAGS, {"jaccard": related().tolist()}, ("jaccard",))
    (line,) = along_lines(relation, ("jaccard",))
    within, between = relation["within_families"]["jaccard"], relation["between_families"]["jaccard"]
    p = relation["by_chance"]["jaccard"]
    assert line == (
        f"rank correlation of the jaccard with relatedness: 1.000 (p {p:.3f})"
        f"; within families {within:.3f}, between {between:.3f}"
    )
    older = list(along_lines({"cosine": 0.25, "corrected": None}, ("cosine", "corrected")))
    assert older == [
        "rank correlation of the cosine with relatedness: 0.250",
        "rank correlation of the corrected with relatedness: -",
    ]
    assert list(along_lines(None, ("cosine",))) == []
