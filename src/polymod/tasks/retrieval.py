"""Sentence retrieval: of all sentences of the other language, is the nearest one the translation?

N sentences of each side, K layers, D model width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from polymod.tasks.bootstrap import Metric, interval
from polymod.tasks.embedding import Vectors, normalised
from polymod.tasks.parallel import Text
from polymod.tasks.totals import Statistics

Margin = Literal["none", "ratio", "csls"]
Rows = NDArray[np.int64]
_ROWS = 2048  # of similarities at a time


def hits(
    a_ND: Vectors, b_ND: Vectors, a: Sequence[str], b: Sequence[str], *, margin: Margin = "none", k: int = 4
) -> Statistics:
    """Whether each sentence finds its translation, (n, 2): from ``a`` to ``b``, and back.

    The score of two sentences is the cosine of their vectors, or a margin of it over the mean cosine r with
    the k nearest sentences of the other side: ``ratio`` is cos / ((r(x) + r(y)) / 2) (Artetxe and Schwenk
    2019, arXiv 1811.01136, equation 2), ``csls`` is 2 cos - r(x) - r(y) (Conneau et al. 2018, arXiv
    1710.04087, equation 3). Equal texts are one sentence: finding either of them is right.

    Args:
        a_ND, b_ND: vectors of any length; row n of the one translates row n of the other.
        a, b: the sentences.
    """
    a_ND, b_ND = normalised(a_ND), normalised(b_ND)
    near_a, near_b = (_near(a_ND, b_ND, k), _near(b_ND, a_ND, k)) if margin != "none" else (None, None)
    same_a, same_b = _numbered(a), _numbered(b)
    forth = same_b[_best(a_ND, b_ND, near_a, near_b, margin)] == same_b
    back = same_a[_best(b_ND, a_ND, near_b, near_a, margin)] == same_a
    return np.stack([forth, back], axis=-1).astype(np.float64)


def _near(x_ND: Vectors, y_ND: Vectors, k: int) -> Vectors:
    """Mean cosine of each row of x with its k nearest rows of y, (n,)."""
    k = min(k, len(y_ND))
    parts = [x_ND[at : at + _ROWS] @ y_ND.T for at in range(0, len(x_ND), _ROWS)]
    return np.concatenate([np.partition(part, -k)[:, -k:].mean(-1) for part in parts])


def _best(
    x_ND: Vectors, y_ND: Vectors, near_x: Vectors | None, near_y: Vectors | None, margin: Margin
) -> Rows:
    """Row of y with the highest score for each row of x, (n,)."""
    found = []
    for at in range(0, len(x_ND), _ROWS):
        scores = x_ND[at : at + _ROWS] @ y_ND.T
        if near_x is not None and near_y is not None:
            mean = (near_x[at : at + _ROWS, None] + near_y[None]) / 2
            scores = scores / mean if margin == "ratio" else 2 * (scores - mean)
        found.append(scores.argmax(-1))
    return np.concatenate(found)


def _numbered(texts: Sequence[str]) -> Rows:
    """The same number for equal texts."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(text, len(numbers)) for text in texts])


def chance(texts: Sequence[str]) -> float:
    """Accuracy of a choice at random."""
    counts = np.bincount(_numbered(texts))
    return float((counts**2).sum() / counts.sum() ** 2)


def pair_result(hits_N2: Statistics, a: Text, b: Text, *, resamples: int) -> dict[str, Any]:
    """Accuracy of one pair, the mean of both directions, and each of them, with bootstrap intervals."""
    of_N3 = np.concatenate([hits_N2, np.ones((len(hits_N2), 1))], axis=1)

    def score(metric: Metric) -> dict[str, float]:
        return interval(of_N3, metric, seed=0, samples=resamples)._asdict()

    return {
        **score(lambda totals: totals[..., :2].mean(-1) / totals[..., 2]),
        f"{a.tag}_to_{b.tag}": score(lambda totals: totals[..., 0] / totals[..., 2]),
        f"{b.tag}_to_{a.tag}": score(lambda totals: totals[..., 1] / totals[..., 2]),
        "sentences": len(hits_N2),
        "chance": (chance(a.sentences) + chance(b.sentences)) / 2,
    }


class Memory:
    """Vectors of texts, computed when first needed and kept until their last pair is done."""

    def __init__(self, pairs: Sequence[tuple[str, str]], compute: Callable[[str], Vectors]) -> None:
        self._left = [key for pair in pairs for key in pair]
        self._compute, self._held = compute, dict[str, Vectors]()

    @property
    def held(self) -> tuple[str, ...]:
        """Texts whose vectors are kept for a pair to come."""
        return tuple(self._held)

    def take(self, key: str) -> Vectors:
        """The vectors of a text, (K, n, D); call once for each pair that it is in."""
        vectors = self._held.pop(key) if key in self._held else self._compute(key)
        self._left.remove(key)
        if key in self._left:
            self._held[key] = vectors
        return vectors
