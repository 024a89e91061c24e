"""Metrics from summed statistics of examples; any leading axes, as the bootstrap sums many times at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Statistics = NDArray[np.float64]  # (E, K) of E examples, (..., K) summed


def ratio(part: Statistics, whole: Statistics) -> Statistics:
    """``part / whole``, 0 where there is nothing."""
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=whole > 0)


def precision_recall_f1(
    right: Statistics, told: Statistics, gold: Statistics
) -> tuple[Statistics, Statistics, Statistics]:
    """Of how many were told, how many there are, and how many were told rightly."""
    return ratio(right, told), ratio(right, gold), ratio(2 * right, told + gold)
