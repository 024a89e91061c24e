"""A bar from 0 to either side, with its interval: one row of a bar chart. It stretches with the page."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from polymod.report.charts.strip import grid
from polymod.report.markup import element, percent
from polymod.report.scales import Scale


@dataclass(frozen=True)
class Bar:
    """A value with its tooltip, maybe an interval.

    Attributes:
        good: which of the two colours.
        sure: pale if it may as well be 0.
    """

    value: float
    tip: str
    good: bool
    sure: bool
    interval: tuple[float, float] | None = None


def bar(found: Bar | None, scale: Scale, title: str) -> Markup:
    """One row: grid, the bar, the line at 0, the interval; the grid alone where there is no value."""
    parts = [grid(scale)]
    zero = percent(scale.at(0.0))
    if found is not None:
        start, end = sorted((scale.at(0.0), scale.at(found.value)))
        style = f"bar{'' if found.good else ' negative'}{'' if found.sure else ' unsure'}"
        tip = element("title", found.tip)
        parts.append(
            element(
                "rect", tip, class_=style, x=percent(start), width=percent(end - start), y="22%", height="56%"
            )
        )
    parts.append(element("line", class_="zero", x1=zero, x2=zero, y1="0", y2="100%"))
    if found is not None and found.interval is not None:
        low, high = (percent(scale.at(each)) for each in found.interval)
        ends = ((low, high, "50%", "50%"), (low, low, "30%", "70%"), (high, high, "30%", "70%"))
        parts += [element("line", class_="whisker", x1=x1, x2=x2, y1=y1, y2=y2) for x1, x2, y1, y2 in ends]
    return element("svg", *parts, class_="strip", role="img", aria_label=title)
