"""Shades of values: an opacity suits any paper; below 0 in another colour, so that 0 is the middle."""

from __future__ import annotations

FAINTEST = 0.04  # so that a square of 0 can still be seen


def shade(value: float, largest: float) -> float:
    """Opacity of a value; full at ``largest`` and at ``-largest``."""
    if largest <= 0:
        return FAINTEST
    return round(min(1.0, FAINTEST + (1 - FAINTEST) * abs(value) / largest), 2)


def side_of(value: float) -> str | None:
    """Class of the colour."""
    return "negative" if value < 0 else None
