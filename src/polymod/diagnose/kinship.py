"""Whether what two languages have in common goes along with how related they are.

L languages, P pairs of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polymod.diagnose.agreement import DIGITS, Matrix, listed, mean
from polymod.errors import UserError
from polymod.files import read_json

PERMUTATIONS = 999
MEAN_OF_GROUPS = "mean_of_groups"
FEWEST_PAIRS = 3


@dataclass(frozen=True)
class Kinship:
    """How related languages are.

    Attributes:
        rows: (L, L), in the order of ``tags``.
        families: family of each language; empty if it is not known.
    """

    tags: tuple[str, ...]
    rows: Matrix
    families: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> Kinship:
        """From a world's ``world.json``, or any JSON file with ``relatedness.tags`` and ``relatedness.rows``.

        Raises:
            UserError: there is no such file, or it has no square matrix there.
        """
        document = read_json(path)
        found = document.get("relatedness") if isinstance(document, dict) else None
        if not isinstance(found, dict) or not {"tags", "rows"} <= set(found):
            raise UserError("no relatedness.tags and relatedness.rows here", where=str(path))
        tags = tuple(found["tags"])
        try:
            rows = np.array(found["rows"], dtype=np.float64)
        except (TypeError, ValueError):
            rows = np.zeros(0)
        if rows.shape != (len(tags), len(tags)):
            what = (
                f"relatedness.rows are not {len(tags)} rows of {len(tags)} numbers, one for each of the tags"
            )
            raise UserError(what, where=str(path))
        languages = document.get("languages")
        entries = languages.items() if isinstance(languages, dict) else ()
        return cls(tags, rows, {tag: entry["family"] for tag, entry in entries if "family" in entry})

    def along(self, tags: Sequence[str], matrix: Sequence[Sequence[float | None]]) -> Relation | None:
        """How a symmetric matrix over languages goes along with their relatedness.

        Returns:
            ``None`` if fewer than three pairs are known to both.
        """
        known = [number for number, tag in enumerate(tags) if tag in self.tags]
        place_L = [self.tags.index(tags[number]) for number in known]
        values_LL = np.array(matrix, dtype=np.float64)[np.ix_(known, known)]
        related_LL = self.rows[np.ix_(place_L, place_L)]
        a_P, b_P = np.triu_indices(len(known), 1)
        defined_P = ~np.isnan(values_LL[a_P, b_P])
        a_P, b_P = a_P[defined_P], b_P[defined_P]
        if len(a_P) < FEWEST_PAIRS:
            return None
        values_P = values_LL[a_P, b_P]
        family_L = [self.families.get(tags[number]) for number in known]
        same_P = np.array([family_L[a] == family_L[b] is not None for a, b in zip(a_P, b_P, strict=True)])
        apart_P = ~same_P if None not in family_L else np.zeros_like(same_P)
        return Relation(
            spearman(related_LL[a_P, b_P], values_P),
            by_chance(related_LL, values_P, a_P, b_P),
            mean(values_P[same_P]),
            mean(values_P[apart_P]),
        )

    def document(
        self, tags: Sequence[str], matrices: Mapping[str, Any], names: Sequence[str]
    ) -> dict[str, Any]:
        """Correlations of several matrices by their names, then what else ``along`` says of them."""
        found = {name: self.along(tags, matrices[name]) for name in names}
        there = {name: relation for name, relation in found.items() if relation is not None}
        return {
            **{name: relation.correlation if relation else None for name, relation in found.items()},
            "by_chance": {name: relation.by_chance for name, relation in there.items()},
            "within_families": {name: relation.within for name, relation in there.items()},
            "between_families": {name: relation.between for name, relation in there.items()},
        }

    def of_gradients(self, measured: Mapping[str, Any]) -> dict[str, Any]:
        """Agreement of the trunk beside relatedness, and the correlation of each of its groups.

        In ``mean_of_groups`` each of them counts the same, however many parameters it has.
        """
        tags, matrices = measured["languages"], dict(measured["trunk"])
        parts = {name: part for name, part in measured["groups"].items() if "cosine" in part}
        found = {name: self.along(tags, part["cosine"]) for name, part in parts.items()}
        if parts:
            cosines = [np.array(part["cosine"], dtype=np.float64) for part in parts.values()]
            matrices[MEAN_OF_GROUPS] = listed(np.mean(cosines, axis=0))
        names = [name for name in ("cosine", "corrected", MEAN_OF_GROUPS) if name in matrices]
        return {
            **self.document(tags, matrices, names),
            "groups": {name: relation.correlation if relation else None for name, relation in found.items()},
        }


@dataclass(frozen=True)
class Relation:
    """A matrix over languages beside their relatedness.

    Attributes:
        correlation: Spearman's, over pairs of languages; ``None`` if either is the same for all pairs.
        by_chance: share of random renamings of the languages with a correlation at least as high (Mantel,
            Cancer Research 27, 1967).
        within, between: mean over pairs of one family, and of two; ``None`` where there is none.
    """

    correlation: float | None
    by_chance: float
    within: float | None
    between: float | None


def by_chance(related_LL: Matrix, values_P: Matrix, a_P: NDArray[np.intp], b_P: NDArray[np.intp]) -> float:
    """One-sided p of a permutation test: pairs are not independent of each other, languages are.

    Args:
        values_P: of the pairs of the languages ``a_P`` and ``b_P``.
    """
    ranks_LL = _ranked(related_LL)
    centred_P = _ranks(values_P) - (len(values_P) + 1) / 2
    chance = np.random.default_rng(0)

    def statistic(order_L: NDArray[np.intp]) -> float:
        related_P = ranks_LL[order_L[a_P], order_L[b_P]]
        spread = float(np.std(related_P))
        return float(centred_P @ (related_P - related_P.mean())) / spread if spread else 0.0

    size = len(related_LL)
    found, least = statistic(np.arange(size)), 1e-9 * float(np.abs(centred_P).sum())
    as_high = sum(statistic(chance.permutation(size)) >= found - least for _ in range(PERMUTATIONS))
    return (1 + as_high) / (1 + PERMUTATIONS)


def _ranked(related_LL: Matrix) -> Matrix:
    """The matrix with the rank of each entry among those of all pairs."""
    a_P, b_P = np.triu_indices(len(related_LL), 1)
    ranks_LL = np.zeros_like(related_LL)
    ranks_LL[a_P, b_P] = ranks_LL[b_P, a_P] = _ranks(related_LL[a_P, b_P])
    return ranks_LL


def spearman(a_P: Matrix, b_P: Matrix) -> float | None:
    """Rank correlation; equal numbers share their mean rank. ``None`` if all of either are equal."""
    if min(np.ptp(a_P), np.ptp(b_P)) == 0:
        return None
    return round(float(np.corrcoef(_ranks(a_P), _ranks(b_P))[0, 1]), DIGITS)


def _ranks(values_P: Matrix) -> Matrix:
    _, place, counts = np.unique(values_P, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks_P: Matrix = (last - (counts - 1) / 2)[place]
    return ranks_P
