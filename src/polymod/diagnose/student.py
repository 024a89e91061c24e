"""Student's t: how far a mean of few values may lie from the truth.

Abramowitz and Stegun 1964, 26.7.3 and 26.7.4: for whole degrees of freedom the distribution is a finite sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

LEVEL = 0.95


def interval(values: Sequence[float]) -> tuple[float, float] | tuple[None, None]:
    """The 95 % t interval of the mean of independent values; none of a single one."""
    if len(values) < 2:
        return None, None
    half = quantile(len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def quantile(freedom: int, level: float = LEVEL) -> float:
    """The t that a variable with so many degrees of freedom stays within, on both sides, with ``level``."""
    low, high = 0.0, 1.0
    while within(high, freedom) < level:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle, freedom) < level else (low, middle)
    return high


def within(t: float, freedom: int) -> float:
    """Probability that the variable lies between -t and t."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = total = cosine if odd else 1.0
    for k in range(2 + odd, freedom - 1, 2):
        term *= (k - 1) / k * cosine**2
        total += term
    if odd:
        return 2 / math.pi * (angle + (sine * total if freedom > 1 else 0.0))
    return sine * total
