"""Shaded squares as few paths: a large matrix in a tenth of the bytes that a square each would take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from markupsafe import Markup

from polymod.report.charts.shades import FAINTEST, shade, side_of
from polymod.report.markup import element

_STEPS = 20  # shades of each colour


def mosaic(
    rows: Sequence[Sequence[float | None]], starts: Sequence[float], size: float, largest: float
) -> Iterator[Markup]:
    """A path for each shade that occurs: lines as wide as a square.

    Args:
        rows: absent values are left blank.
        starts: first pixel of each row and column.
        size: pixels of a square.
        largest: value of the fullest shade.
    """
    # Markup, because texts are cut and this may be long; it holds nothing but numbers
    paths: dict[tuple[str | None, float], list[str]] = {}
    for row, y in zip(rows, starts, strict=True):
        placed = [(_key(value, largest), x) for value, x in zip(row, starts, strict=True)]
        for key, run in groupby(_touching(placed, size), key=lambda each: each[:2]):
            if key[0] is not None:
                xs = [x for _, _, x in run]
                paths.setdefault(key[0], []).append(f"M{xs[0]:g} {y + size / 2:g}h{xs[-1] - xs[0] + size:g}")
    for (style, opacity), commands in sorted(paths.items(), key=lambda each: (each[0][0] or "", each[0][1])):
        yield element("path", class_=style, d=Markup("".join(commands)), opacity=opacity, stroke_width=size)


def _key(value: float | None, largest: float) -> tuple[str | None, float] | None:
    if value is None:
        return None
    return side_of(value), max(FAINTEST, round(round(shade(value, largest) * _STEPS) / _STEPS, 2))


def _touching(
    placed: Sequence[tuple[tuple[str | None, float] | None, float]], size: float
) -> Iterator[tuple[tuple[str | None, float] | None, int, float]]:
    """The squares with the number of the stretch they lie in: a gap between groups begins a new one."""
    stretch, end = 0, None
    for key, x in placed:
        stretch += end is not None and x > end + 1e-9
        end = x + size
        yield key, stretch, x
