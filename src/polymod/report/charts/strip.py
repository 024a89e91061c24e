"""A strip: the marks of one row of a dot plot. It stretches with the page, its marks do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from polymod.report.charts.marks import colour, mark_at, reference_at
from polymod.report.markup import element, group, percent
from polymod.report.scales import Scale


@dataclass(frozen=True)
class Mark:
    """A value of an arm (``number``) or of the reference (None), with its tooltip, maybe an interval."""

    value: float
    number: int | None
    tip: str
    interval: tuple[float, float] | None = None


def strip(marks: Sequence[Mark], scale: Scale, title: str) -> Markup:
    """One row: grid, intervals or else a line over all values, the marks."""
    places = [scale.at(mark.value) for mark in marks]
    intervals = [(mark.interval, mark.number) for mark in marks if mark.interval is not None]
    parts = [grid(scale)]
    if intervals:
        parts += [_across(scale.at(low), scale.at(high), number) for (low, high), number in intervals]
    elif places:
        parts.append(_across(min(places), max(places)))
    parts += [
        reference_at(place, mark.tip) if mark.number is None else mark_at(mark.number, place, mark.tip)
        for mark, place in zip(marks, places, strict=True)
    ]
    return element("svg", *parts, class_="strip", role="img", aria_label=title)


def _across(start: float, end: float, number: int | None = None) -> Markup:
    """A line between two places, in the colour of an arm."""
    style = "span" if number is None else f"span {colour(number)}"
    return element("line", class_=style, x1=percent(start), x2=percent(end), y1="50%", y2="50%")


def axis(scale: Scale, title: str) -> Markup:
    """The head of a column of strips: tick labels."""
    labels = group(
        *(
            element("text", label, x=percent(scale.at(tick)), y="70%")
            for tick, label in zip(scale.ticks, scale.tick_labels(), strict=True)
        )
    )
    return element("svg", labels, class_="strip axis", role="img", aria_label=title)


def grid(scale: Scale) -> Markup:
    """Upright lines at the ticks."""
    places = (percent(scale.at(tick)) for tick in scale.ticks)
    return group(*(element("line", class_="grid", x1=place, x2=place, y1="0", y2="100%") for place in places))
