"""A heat map: a matrix as shaded squares, in groups of rows. Many small squares share paths."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from polymod.report.charts.mosaic import mosaic
from polymod.report.charts.shades import shade, side_of
from polymod.report.figures import fixed
from polymod.report.markup import element, short

LONGEST_LABEL, LONGEST_HEADING = 10, 18
_LARGEST_CELL, _SMALLEST_CELL, _WIDTH, _DIGIT = 40, 6, 600, 8  # pixels
_GROUP_GAP, _LABEL_GAP, _LETTER, _LINE = 6, 12, 7.2, 11
_WITH_NUMBERS = 30  # pixels that a cell needs to hold its number
MOST_SQUARES = 40  # rows of which each square has a tooltip; more are drawn together
_DARK = 0.68  # shade above which a number is set light


@dataclass(frozen=True)
class HeatMap:
    """What is drawn.

    Attributes:
        name: unique on the page, never from data.
        title, description: for those who do not see it.
        labels: of rows and columns, which are the same.
        groups: heading and number of the rows that belong together, in their order.
        rows: square; absent values are left blank.
        largest: value of the fullest shade; negative values are shaded in the other colour.
        outlined: the diagonal is of another kind than the rest.
        digits: of the numbers.
    """

    name: str
    title: str
    description: str
    labels: Sequence[str]
    groups: Sequence[tuple[str, int]]
    rows: Sequence[Sequence[float | None]]
    largest: float
    outlined: bool = False
    digits: int = 2


def draw(chart: HeatMap) -> Markup:
    """The map at a size of its own, in pixels; many rows make small squares."""
    largest = _LARGEST_CELL + _DIGIT * (chart.digits - 2)
    size = max(_SMALLEST_CELL, min(largest, _WIDTH // max(1, len(chart.labels))))
    starts = _starts(chart.groups, size)
    margin = _room(chart.labels, LONGEST_LABEL)
    upright = size < max(_WITH_NUMBERS, margin - _LABEL_GAP)
    top = margin if upright else 2.0 * _LABEL_GAP
    side = (starts[-1] if starts else 0) + size
    right = _room([heading for heading, _ in chart.groups], LONGEST_HEADING)
    parts = [
        element("title", chart.title, id=f"{chart.name}-title"),
        element("desc", chart.description, id=f"{chart.name}-text"),
        *_labels(chart.labels, starts, size, upright),
        *_headings(chart.groups, size, side),
    ]
    if len(starts) > MOST_SQUARES:
        parts += mosaic(chart.rows, starts, size, chart.largest)
    else:
        parts += [
            element("g", *_row(chart, index, starts, size), transform=f"translate(0 {y})")
            for index, y in enumerate(starts)
        ]
    if chart.outlined:
        parts += _diagonal(starts, size)
    return element(
        "svg",
        *parts,
        class_="heat",
        role="img",
        width=margin + side + right,
        height=top + side,
        viewBox=f"{-margin:.0f} {-top:.0f} {margin + side + right:.0f} {top + side:.0f}",
        aria_labelledby=f"{chart.name}-title {chart.name}-text",
    )


def draw_small(chart: HeatMap) -> Markup:
    """One of many maps of the same rows: no labels, as wide as there is room."""
    starts = _starts(chart.groups, _SMALLEST_CELL)
    side = (starts[-1] if starts else 0) + _SMALLEST_CELL
    parts = [element("title", chart.title), *mosaic(chart.rows, starts, _SMALLEST_CELL, chart.largest)]
    box = f"0 0 {side} {side}"
    return element("svg", *parts, class_="heat tiny", role="img", viewBox=box, aria_label=chart.description)


def _diagonal(starts: Sequence[int], size: int) -> Iterator[Markup]:
    """A frame around every square of the diagonal."""
    path = "".join(f"M{x + 0.5:g} {x + 0.5:g}h{size - 2}v{size - 2}h-{size - 2}z" for x in starts)
    yield element("path", class_="frame", d=Markup(path))


def ramp(largest: float, smallest: float = 0.0, digits: int = 2) -> Markup:
    """The key of the shades: a few squares from the smallest to the largest value."""
    steps = [smallest + (largest - smallest) * index / 4 for index in range(5)]
    parts = [
        element(
            "rect",
            class_=side_of(value),
            x=52 + 22 * index,
            width=22,
            height=12,
            opacity=shade(value, largest),
        )
        for index, value in enumerate(steps)
    ]
    ends = (
        element("text", fixed(smallest, digits), x=46, y=10, class_="end"),
        element("text", fixed(largest, digits), x=168, y=10),
    )
    name = f"shades from {fixed(smallest, digits)} to {fixed(largest, digits)}"
    return element("svg", *parts, *ends, class_="ramp", width=216, height=14, role="img", aria_label=name)


def _room(labels: Sequence[str], most: int) -> float:
    """Pixels that the longest label needs."""
    return _LABEL_GAP + _LETTER * max((len(short(label, most)) for label in labels), default=0)


def _starts(groups: Sequence[tuple[str, int]], size: int) -> list[int]:
    """First pixel of each row, with a gap between groups."""
    starts, here = [], 0
    for _, rows in groups:
        starts += [here + size * index for index in range(rows)]
        here += size * rows + _GROUP_GAP
    return starts


def _labels(labels: Sequence[str], starts: Sequence[int], size: int, upright: bool) -> Iterator[Markup]:
    """Beside rows and above columns; where squares are smaller than a line, some go without."""
    every = math.ceil(_LINE / size)
    for label, start in list(zip(labels, starts, strict=True))[::every]:
        middle, text = start + size / 2, short(label, LONGEST_LABEL)
        yield element("text", text, class_="row", x=-6, y=middle, dy="0.35em")
        turn = f"translate({middle} -6) rotate(-90)" if upright else f"translate({middle} -6)"
        yield element("text", text, class_="turned" if upright else "column", transform=turn)


def _headings(groups: Sequence[tuple[str, int]], size: int, side: float) -> Iterator[Markup]:
    """At the right, in the middle of their rows."""
    here = 0
    for heading, rows in groups:
        middle, text = here + size * rows / 2, short(heading, LONGEST_HEADING)
        yield element("text", text, class_="heading", x=side + 8, y=middle, dy="0.35em")
        here += size * rows + _GROUP_GAP


def _row(chart: HeatMap, index: int, starts: Sequence[int], size: int) -> Iterator[Markup]:
    """The squares of a row, each with its tooltip, and their numbers where there is room."""
    name = short(chart.labels[index], LONGEST_LABEL)
    side = size - (1 if size > _LINE else 0.5)
    for value, label, x in zip(chart.rows[index], chart.labels, starts, strict=True):
        if value is None:
            continue
        tip = element("title", f"{name}, {short(label, LONGEST_LABEL)}: {fixed(value, chart.digits)}")
        opacity = shade(value, chart.largest)
        yield element("rect", tip, class_=side_of(value), x=x, width=side, height=side, opacity=opacity)
        if size >= _WITH_NUMBERS + _DIGIT * (chart.digits - 2):
            style = "value light" if opacity > _DARK else "value"
            yield element(
                "text", fixed(value, chart.digits), class_=style, x=x + size / 2, y=size / 2, dy="0.35em"
            )


def blank_diagonal(rows: Sequence[Sequence[float | None]]) -> list[list[float | None]]:
    """A matrix without its diagonal, which says nothing."""
    return [
        [None if column == index else value for column, value in enumerate(row)]
        for index, row in enumerate(rows)
    ]
