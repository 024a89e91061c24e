"""The order of languages on a map: families next to each other, like beside like within them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polymod.report.document import Document
from polymod.report.part import Matrix


def arranged(document: Document, tags: Sequence[str], rows: Matrix) -> list[tuple[str, list[int]]]:
    """Places of the tags by family; languages without a family are one group.

    Args:
        rows: how alike two languages are; it orders the languages within a family.
    """
    family = {language.tag: language.family for language in document.languages}
    groups: dict[str, list[int]] = {each: [] for each in dict.fromkeys(family.values())}
    for place, tag in enumerate(tags):
        groups.setdefault(family.get(tag, ""), []).append(place)
    found = []
    for name, places in groups.items():
        inside = [[rows[i][j] for j in places] for i in places]
        if places:
            found.append((name, [places[leaf] for leaf in leaves(inside)]))
    return found


def picked(rows: Matrix, places: Sequence[int]) -> Matrix:
    """The rows and columns of these places, in this order."""
    return [[rows[i][j] for j in places] for i in places]


def leaves(rows: Matrix) -> list[int]:
    """Places in the order of the leaves of a tree that joins what is most alike first (average linkage).

    Of two branches the ends that are most alike are put side by side. Absent values count as the mean.
    """
    if len(rows) < 3:
        return list(range(len(rows)))
    alike_LL = np.array([[np.nan if x is None else x for x in row] for row in rows])
    known = alike_LL[~np.isnan(alike_LL)]
    alike_LL = np.where(np.isnan(alike_LL), known.mean() if len(known) else 0.0, alike_LL)
    alike_LL = (alike_LL + alike_LL.T) / 2
    between_LL = alike_LL.copy()  # mean over the pairs of two branches; row i is the branch that began as i
    np.fill_diagonal(between_LL, -np.inf)
    branches: list[list[int]] = [[place] for place in range(len(rows))]
    for _ in rows[1:]:
        i, j = sorted(divmod(int(between_LL.argmax()), len(rows)))
        sizes = (len(branches[i]), len(branches[j]))
        between_LL[i] = (sizes[0] * between_LL[i] + sizes[1] * between_LL[j]) / sum(sizes)
        between_LL[:, i] = between_LL[i]
        between_LL[[i, j], [i, j]] = between_LL[j] = between_LL[:, j] = -np.inf
        branches[i] = _joined(branches[i], branches[j], alike_LL)
    return branches[0]


def _joined(one: list[int], other: list[int], alike_LL: np.ndarray) -> list[int]:
    """Both branches, turned so that the most alike of their ends meet."""
    ways = [(a, b) for a in (one, one[::-1]) for b in (other, other[::-1])]
    left, right = max(ways, key=lambda way: float(alike_LL[way[0][-1], way[1][0]]))
    return [*left, *right]
