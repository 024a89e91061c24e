"""Scales: from values to places between 0 and 1, with ticks at round values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from polymod.report.figures import MINUS

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_PER_DECADE = ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,))


@dataclass(frozen=True)
class Scale:
    """A linear or logarithmic axis.

    Attributes:
        low, high: its ends, low < high; both positive if it is logarithmic.
        ticks: round values between the ends.
    """

    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Place of a value: 0 at the low end, 1 at the high end, never beyond."""
        low, high, here = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, here = math.log(low), math.log(high), math.log(here)
        return (here - low) / (high - low)

    def tick_labels(self) -> tuple[str, ...]:
        """The ticks as plain decimals, all with as many digits as the finest needs."""
        gaps = [after - before for before, after in pairwise(self.ticks)]
        digits = 0 if not gaps else max(0, min(6, math.ceil(-math.log10(min(gaps)) - 1e-9)))
        if any(abs(tick - round(tick, digits)) > 1e-9 * max(1.0, abs(tick)) for tick in self.ticks):
            digits += 1
        return tuple(f"{tick:,.{digits}f}".replace("-", MINUS) for tick in self.ticks)


def linear(values: Iterable[float], *, most: int = 6, air: float = 0.04) -> Scale:
    """A linear scale over finite values.

    Args:
        most: ticks at most, at least 3.
        air: beyond the values at either end, as a share of their range.
    """
    known = list(values) or [0.0, 1.0]
    low, high = min(known), max(known)
    if high - low <= 1e-6 * max(abs(low), abs(high)):  # all alike
        low, high = low - (abs(low) / 2 or 1.0), high + (abs(high) / 2 or 1.0)
    low, high = low - air * (high - low), high + air * (high - low)
    step = _round_step((high - low) / (most - 1))
    first, last = math.ceil(low / step), math.floor(high / step)
    return Scale(low, high, tuple(number * step for number in range(first, last + 1)))


def log(values: Iterable[float], *, most: int = 6) -> Scale:
    """A logarithmic scale around positive values; its ends are the data's own."""
    known = [value for value in values if value > 0]
    low, high = (min(known), max(known)) if known else (1.0, 10.0)
    if high / low < 4:  # too narrow for round ticks
        low, high = low / 2, high * 2
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in _PER_DECADE:
        ticks = [factor * 10.0**decade for decade in decades for factor in factors]
        inside = [tick for tick in ticks if low * 0.999 <= tick <= high * 1.001]
        if len(inside) <= most:
            break
    every = math.ceil(len(inside) / most)
    return Scale(low, high, tuple(inside[::every]), logarithmic=True)


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Places of labels that want to stand at ``places`` (0 to 1), moved apart to at least ``gap``.

    The order stays; the labels stay between 0 and 1 where there is room for all of them.
    """
    gap = min(gap, 1 / max(1, len(places) - 1))
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = list(places)
    for before, index in zip([None, *order], order, strict=False):
        floor = 0.0 if before is None else moved[before] + gap
        moved[index] = max(moved[index], floor)
    ceiling = 1.0
    for index in reversed(order):
        moved[index] = min(moved[index], ceiling)
        ceiling = moved[index] - gap
    return moved


def _round_step(rough: float) -> float:
    """The smallest round step that is at least ``rough``."""
    size = 10.0 ** math.floor(math.log10(rough))
    return next(size * step for step in _STEPS if size * step >= rough * (1 - 1e-9))
