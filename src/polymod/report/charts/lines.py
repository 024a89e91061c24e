"""A line chart that stretches with the page: places in percent, so that text and strokes keep their size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from polymod.report.charts.marks import colour
from polymod.report.markup import element, group, percent, short
from polymod.report.scales import Scale, spread

LONGEST_LABEL, _NARROW_LABEL, _NARROW_TICK = 14, 8, 3  # letters
_GAP = 0.065  # between labels, as a share of the height
_UNIT = 1000  # of the coordinates of paths


@dataclass(frozen=True)
class Line:
    """A curve of an arm.

    Attributes:
        label: written at its end, empty for none.
        number: of the arm.
        points: x and y, in the order of x; an absent y leaves a gap.
        tips: a tooltip for each point, which is then marked; empty for none.
        quiet: thin and pale, for what only accompanies.
    """

    label: str
    number: int
    points: tuple[tuple[float, float | None], ...]
    tips: tuple[str, ...] = ()
    quiet: bool = False


@dataclass(frozen=True)
class Level:
    """A horizontal line for comparison."""

    label: str
    value: float


@dataclass(frozen=True)
class LineChart:
    """What is drawn.

    Attributes:
        name: unique on the page, never from data.
        title, description: for those who do not see it.
        x_labels, y_labels: of the ticks; empty for none.
        unit: of y, empty for none.
        small: one of many.
    """

    name: str
    title: str
    description: str
    x: Scale
    y: Scale
    x_labels: Sequence[str]
    y_labels: Sequence[str]
    lines: tuple[Line, ...]
    levels: tuple[Level, ...] = ()
    unit: str = ""
    small: bool = False


def draw(chart: LineChart) -> Markup:
    """The chart as SVG; its margins for labels are the padding of ``.plot``."""
    described = (
        element("title", chart.title, id=f"{chart.name}-title"),
        element("desc", chart.description, id=f"{chart.name}-text"),
    )
    parts = [*described, _grid(chart), *_levels(chart)]
    parts += [_path(line, chart) for line in sorted(chart.lines, key=lambda line: not line.quiet)]
    parts += [_points(line, chart) for line in chart.lines if line.tips]
    parts.append(_end_labels(chart))
    svg = element(
        "svg",
        *parts,
        class_="lines small" if chart.small else "lines",
        role="img",
        aria_labelledby=f"{chart.name}-title {chart.name}-text",
    )
    return element("div", svg, class_="plot small" if chart.small else f"plot {_room(chart)}")


def _room(chart: LineChart) -> str:
    """Classes of the margins, by the longest labels there."""
    labels = [line.label for line in chart.lines] + [level.label for level in chart.levels]
    longest = max((len(short(label, LONGEST_LABEL)) for label in labels), default=0)
    wide_ticks = any(len(label) > _NARROW_TICK for label in chart.y_labels)
    return f"{'wide' if longest > _NARROW_LABEL else 'narrow'}-labels{' wide-ticks' if wide_ticks else ''}"


def _grid(chart: LineChart) -> Markup:
    """Lines at the ticks of y; labels at the ticks of both."""
    heights = [percent(1 - chart.y.at(tick)) for tick in chart.y.ticks]
    widths = [percent(chart.x.at(tick)) for tick in chart.x.ticks]
    y_labels = (
        element("text", label, x="0", y=y, dx="-8", dy="0.35em")
        for y, label in zip(heights, chart.y_labels, strict=False)
    )
    x_labels = (
        element("text", label, x=x, y="100%", dy="1.6em")
        for x, label in zip(widths, chart.x_labels, strict=False)
    )
    return group(
        *(element("line", class_="grid", x1="0", x2="100%", y1=y, y2=y) for y in heights),
        element("g", *y_labels, class_="y"),
        element("g", *x_labels, class_="x"),
        element("text", chart.unit, x="0", y="0", dy="-0.5em"),
    )


def _levels(chart: LineChart) -> Iterator[Markup]:
    for level in chart.levels:
        y = percent(1 - chart.y.at(level.value))
        yield element("line", class_="level", x1="0", x2="100%", y1=y, y2=y)


def _path(line: Line, chart: LineChart) -> Markup:
    """The curve, broken where a value is absent, in coordinates that stretch."""
    commands, pen_down, previous = [], False, ""
    for x, y in line.points:
        if y is None:
            pen_down = False
            continue
        place = f"{_UNIT * chart.x.at(x):.0f} {_UNIT * (1 - chart.y.at(y)):.0f}"
        if not (pen_down and place == previous):
            commands.append(
                f"{'L' if pen_down else 'M'}{place}{'' if pen_down else 'h0'}"
            )  # h0: a dot at least
        pen_down, previous = True, place
    style = f"line {colour(line.number)}{' quiet' if line.quiet else ''}"
    path = element("path", class_=style, d=Markup("".join(commands)) or None)
    box = {"viewBox": f"0 0 {_UNIT} {_UNIT}", "preserveAspectRatio": "none"}
    return element("svg", path, width="100%", height="100%", **box)


def _points(line: Line, chart: LineChart) -> Markup:
    """A dot with a tooltip for each value."""
    return group(
        *(
            element(
                "circle",
                element("title", tip),
                class_=f"point {colour(line.number)}",
                cx=percent(chart.x.at(x)),
                cy=percent(1 - chart.y.at(y)),
                r=3,
            )
            for (x, y), tip in zip(line.points, line.tips, strict=True)
            if y is not None
        )
    )


def _end_labels(chart: LineChart) -> Markup:
    """Names at the right, beside the last value of each curve, moved apart where they would touch."""
    wanted = [(level.label, "label", level.value) for level in chart.levels if level.label]
    for line in chart.lines:
        last = next((y for _, y in reversed(line.points) if y is not None), None)
        if line.label and last is not None:
            wanted.append((line.label, f"label {colour(line.number)}", last))
    places = spread([1 - chart.y.at(value) for _, _, value in wanted], _GAP)
    return group(
        *(
            element(
                "text",
                element("title", label),
                short(label, LONGEST_LABEL),
                class_=style,
                x="100%",
                y=percent(place),
                dx="8",
                dy="0.35em",
            )
            for (label, style, _), place in zip(wanted, places, strict=True)
        )
    )
