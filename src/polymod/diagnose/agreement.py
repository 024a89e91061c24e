"""How far gradients of languages agree, from the inner products of several independent batches of each.

The cosine of two languages is the mean over all pairs of their batches (after Wang, Lipton and Tsvetkov 2020,
arXiv 2010.03017). That of a language with itself is the mean over pairs of different batches: the ceiling,
which noise keeps below 1 and without which the others say nothing.

R rows (one batch of one language each; those of a language side by side), L languages, K batches of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
DIGITS = 5
NOISY = 0.25  # conflicts of a language with itself


@dataclass(frozen=True)
class Agreement:
    """Matrices (L, L); NaN where something is not defined. The diagonals of the cosines are the ceilings.

    Attributes:
        cosine: mean cosine of two batches.
        corrected: cosine of the expected gradients: inner products of independent batches in numerator and
            denominator, so that the noise of the batches cancels. Not defined where the noise is so large
            that a language's own batches have no positive inner product; can exceed 1 a little.
        conflict: share of the pairs of batches whose cosine is negative.
        cosine_se, corrected_se: standard errors over batches (jackknife).
    """

    cosine: Matrix
    corrected: Matrix
    conflict: Matrix
    cosine_se: Matrix
    corrected_se: Matrix

    def summary(self) -> dict[str, float | None]:
        """Means over languages and pairs of languages."""
        pairs, own = ~np.eye(len(self.cosine), dtype=bool), np.eye(len(self.cosine), dtype=bool)
        return {
            "mean_cosine": mean(self.cosine[pairs]),
            "mean_ceiling": mean(self.cosine[own]),
            "mean_corrected": mean(self.corrected[pairs]),
            "conflict_rate": mean(self.conflict[pairs]),
            "ceiling_conflict_rate": mean(self.conflict[own]),
        }

    def document(self, *names: str) -> dict[str, Any]:
        """The summary and the matrices of these names, as lists with ``None`` for what is not defined."""
        return {**self.summary(), **{name: listed(getattr(self, name)) for name in names}}


def noisy(ceiling: float | None, own_conflict: float | None) -> bool:
    """Whether two batches of one language hardly agree, so that a corrected cosine means nothing."""
    return ceiling is None or ceiling <= 0 or (own_conflict or 0.0) > NOISY


def agreement(gram_RR: Matrix, labels: Sequence[str]) -> Agreement:
    """Agreement of languages.

    Args:
        gram_RR: inner products of the rows.
        labels: language of each row, equal ones side by side.
    """
    counts_L = np.array([len(list(group)) for _, group in groupby(labels)])
    batch_R = np.concatenate([np.arange(count) for count in counts_L])
    firsts_L = np.cumsum(counts_L) - counts_L
    norms_R = np.sqrt(np.diag(gram_RR))
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine_RR = gram_RR / np.outer(norms_R, norms_R)
    other_RR = ~np.eye(len(gram_RR), dtype=bool)
    cosine, corrected = _estimates(gram_RR, cosine_RR, other_RR, firsts_L)
    negative_RR = np.where(np.isnan(cosine_RR), np.nan, cosine_RR < 0)
    left_out = [other_RR & (batch_R != k)[:, None] & (batch_R != k) for k in range(counts_L.min())]
    without = [_estimates(gram_RR, cosine_RR, kept_RR, firsts_L) for kept_RR in left_out]
    return Agreement(
        cosine,
        corrected,
        _mean_of_blocks(negative_RR, other_RR, firsts_L),
        _jackknife([each[0] for each in without]),
        _jackknife([each[1] for each in without]),
    )


def _estimates(
    gram_RR: Matrix, cosine_RR: Matrix, kept_RR: NDArray[np.bool_], firsts_L: NDArray[np.int64]
) -> tuple[Matrix, Matrix]:
    """Mean and corrected cosines from the pairs of rows that are kept."""
    inner_LL = _mean_of_blocks(gram_RR, kept_RR, firsts_L)
    squares_L = np.diag(inner_LL)
    norms_L = np.sqrt(np.where(squares_L > 0, squares_L, np.nan))
    return _mean_of_blocks(cosine_RR, kept_RR, firsts_L), inner_LL / np.outer(norms_L, norms_L)


def _mean_of_blocks(x_RR: Matrix, kept_RR: NDArray[np.bool_], firsts_L: NDArray[np.int64]) -> Matrix:
    """Mean over the pairs of batches of every pair of languages, (L, L); NaN where there is no pair."""
    sums_LL, counts_LL = (
        np.add.reduceat(np.add.reduceat(each, firsts_L, 0), firsts_L, 1)
        for each in (np.where(kept_RR, x_RR, 0.0), kept_RR.astype(np.float64))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        means_LL: Matrix = sums_LL / counts_LL
    return means_LL


def _jackknife(without: Sequence[Matrix]) -> Matrix:
    """Standard error from the estimates without batch k of either language, for every k."""
    estimates_KLL = np.stack(without)
    squares = (estimates_KLL - estimates_KLL.mean(0)) ** 2
    error: Matrix = np.sqrt(squares.sum(0) * (len(without) - 1) / len(without))
    return error if len(without) > 2 else np.full_like(error, np.nan)  # two say nothing of a ceiling's error


def listed(matrix: Matrix) -> list[list[float | None]]:
    """A matrix as lists for JSON, rounded."""
    return [[None if np.isnan(x) else round(float(x), DIGITS) for x in row] for row in matrix]


def mean(values: Matrix) -> float | None:
    """Mean of what is defined, rounded."""
    known = values[~np.isnan(values)]
    return round(float(known.mean()), DIGITS) if len(known) else None
