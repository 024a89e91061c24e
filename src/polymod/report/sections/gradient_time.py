"""Agreement of gradients over training: at checkpoints, and as the monitor of a run noted it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from polymod.report.agreements import Means, agreements, monitored
from polymod.report.blocks import Block, Cell, Chart, Column, Details, Multiples, Rows, Section, Table
from polymod.report.charts.lines import Level, Line, LineChart, draw
from polymod.report.document import Document
from polymod.report.figures import fixed, listed, mean, round_count, sentence, share
from polymod.report.scales import linear
from polymod.report.sections.gradients import MEANS_COLUMNS, means_cells
from polymod.report.thinning import thin

_MOST_DOTS = 60
_LEVELS = (Level("", 0.0),)


@dataclass(frozen=True)
class Course:
    """What was measured of a run, step by step.

    Attributes:
        steps: each with the means of the trunk and of its groups.
        checkpoints: measured by ``diagnose``, not by the monitor.
    """

    run: str
    number: int
    steps: tuple[tuple[float, Means, Mapping[str, Means]], ...]
    checkpoints: bool


def section(document: Document) -> Section | None:
    """Left out where no run was measured at two steps."""
    at_checkpoints, by_monitor = _checkpoints(document), _monitor(document)
    courses = [*at_checkpoints, *by_monitor]
    if not courses:
        return None
    blocks: list[Block] = []
    for name, heading, found in (
        ("checkpoints", "At checkpoints, on held-out text", at_checkpoints),
        ("monitor", "While training, from the batches of training", by_monitor),
    ):
        if found:
            blocks += _chart(name, heading, found)
    means, advice = _means(courses), _advice(courses)
    return Section("gradient-time", "Agreement over training", means, advice, tuple(blocks))


def _checkpoints(document: Document) -> list[Course]:
    found = agreements(document)
    courses = [
        Course(run, number, tuple((e.step, e.trunk, e.groups) for e in found if e.run == run), True)
        for run, number in _numbered(document).items()
    ]
    return [each for each in courses if len(each.steps) > 1]


def _monitor(document: Document) -> list[Course]:
    numbered = _numbered(document)
    courses = [
        Course(run, numbered[run], tuple((line.step, line.trunk, line.groups) for line in lines), False)
        for run, lines in monitored(document).items()
    ]
    return [each for each in courses if len(each.steps) > 1]


def _numbered(document: Document) -> dict[str, int]:
    """A number for each run, that of its arm if it has one, so that its colour is the same everywhere."""
    runs = [*(arm.name for arm in document.arms), *(each.run for each in agreements(document))]
    return {run: number for number, run in enumerate(dict.fromkeys([*runs, *monitored(document)]))}


def _half(course: Course, read: Callable[[Means], float | None], *, last: bool) -> float | None:
    """Mean over the first or the last half of the steps."""
    middle = len(course.steps) // 2
    half = course.steps[middle:] if last else course.steps[:middle]
    return mean([value for _, means, _ in half if (value := read(means)) is not None])


def _means(courses: Sequence[Course]) -> str:
    said = []
    for each in courses[:3]:
        halves = [_half(each, lambda means: means.cosine, last=last) for last in (False, True)]
        conflict = _half(each, lambda means: means.conflict, last=True)
        by = "" if each.checkpoints else " (monitor)"
        said.append(
            f"in {each.run}{by} the cosine is {fixed(halves[0])} in the first half of the steps and "
            f"{fixed(halves[1])} in the second, where {share(conflict)} of the pairs are in conflict"
        )
    return sentence(said)


def _advice(courses: Sequence[Course]) -> str:
    first, last = (_conflicts(courses, last=half) for half in (False, True))
    if first is not None and last is not None and last - first > 0.02:
        return (
            "Conflicts rise as training goes on: a treatment is worth most late, and gaps of loss measured "
            "early say too little."
        )
    return (
        "Average over some lines before you read a change: a single one knows no more than its batch. Where "
        "conflicts do not rise, later steps will not need another treatment than earlier ones."
    )


def _conflicts(courses: Sequence[Course], *, last: bool) -> float | None:
    found = [_half(each, lambda means: means.conflict, last=last) for each in courses]
    return mean([value for value in found if value is not None])


def _chart(name: str, heading: str, courses: Sequence[Course]) -> list[Block]:
    """Strong: two languages; pale: the ceiling. Groups and numbers on demand."""
    steps = [step for each in courses for step, _, _ in each.steps]
    x = linear(steps, air=0.0)
    known = [y for each in courses for _, m, _ in each.steps for y in (m.cosine, m.ceiling) if y is not None]
    y = linear([0.0, *known])
    ends = [f"{each.run} ends at {fixed(each.steps[-1][1].cosine)}" for each in courses]
    chart = LineChart(
        name=f"gradients-over-{name}",
        title=f"Mean cosine of gradients over steps: {heading.lower()}",
        description=f"{listed(ends)}.",
        unit="cosine",
        x=x,
        y=y,
        x_labels=[round_count(tick) for tick in x.ticks],
        y_labels=y.tick_labels(),
        lines=tuple(line for each in courses for line in _lines(each)),
        levels=_LEVELS,
    )
    caption = (
        "Mean cosine over steps. Strong lines: two languages; pale lines: two batches of one language, the "
        "ceiling; dashed: 0. Where a strong line falls away from its ceiling, languages grow apart."
    )
    blocks: list[Block] = [Chart(draw(chart), caption, heading=heading)]
    if groups := _groups(name, courses):
        blocks.append(Details("Each group of parameters", (groups,)))
    return [*blocks, Details("The numbers", (_numbers(courses),))]


def _lines(course: Course) -> list[Line]:
    pairs = tuple((step, means.cosine) for step, means, _ in course.steps)
    ceiling = tuple((step, means.ceiling) for step, means, _ in course.steps)
    dots = len(pairs) <= _MOST_DOTS
    tips = (
        tuple(f"{course.run}, step {step:,.0f}: {fixed(value, 3)}" for step, value in pairs) if dots else ()
    )
    return [Line("", course.number, ceiling, quiet=True), Line(course.run, course.number, pairs, tips)]


def _groups(name: str, courses: Sequence[Course]) -> Multiples | None:
    """A small chart for each group, all on the same scales."""
    groups = dict.fromkeys(group for each in courses for _, _, found in each.steps for group in found)
    points = {
        group: [
            (
                each.number,
                tuple((step, found[group].cosine) for step, _, found in each.steps if group in found),
                tuple((step, found[group].ceiling) for step, _, found in each.steps if group in found),
            )
            for each in courses
        ]
        for group in groups
    }
    known = [
        y
        for found in points.values()
        for _, *both in found
        for line in both
        for _, y in line
        if y is not None
    ]
    if not known:
        return None
    x, y = (
        linear((step for each in courses for step, _, _ in each.steps), air=0.0),
        linear([0.0, *known], most=4),
    )
    charts = []
    for number, (group, found) in enumerate(points.items()):
        lines = tuple(
            line
            for arm, pairs, ceiling in found
            for line in (Line("", arm, ceiling, quiet=True), Line("", arm, pairs))
        )
        last = [fixed(next((v for _, v in reversed(pairs) if v is not None), None)) for _, pairs, _ in found]
        title, said = (
            f"Mean cosine of the gradients of {group} over steps",
            f"{group} ends at {listed(last)}.",
        )
        label = f"{name}-group-{number}"
        chart = LineChart(label, title, said, x, y, (), y.tick_labels(), lines, _LEVELS, small=True)
        charts.append((group, listed(last), draw(chart)))
    return Multiples(tuple(charts))


def _numbers(courses: Sequence[Course]) -> Table:
    rows = tuple(
        (Cell(each.run), Cell.of(step), *means_cells(means))
        for each in courses
        for step, means, _ in thin(each.steps, _MOST_DOTS)
    )
    columns = (Column("Run"), Column("Step", "number"), *MEANS_COLUMNS)
    return Table("Means over pairs of languages", columns, (Rows("", rows),), sortable=True)
