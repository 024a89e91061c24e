"""Where in the trunk gradients agree: by group of parameters and by layer, and small maps of each."""

from __future__ import annotations

from collections.abc import Mapping

from polymod.report.agreements import Agreement, Means, agreements, newest
from polymod.report.blocks import Block, Cell, Column, Details, Key, Multiples, Rows, Section, Table
from polymod.report.charts import strip
from polymod.report.charts.heatmap import HeatMap, draw_small
from polymod.report.charts.marks import swatch
from polymod.report.document import Document
from polymod.report.figures import count, fixed, share
from polymod.report.scales import Scale, linear
from polymod.report.sections.gradients import MOST_MAPS, means_cells, sorted_pairs
from polymod.report.sections.pairs import drawn

_MARK = 0
_MOST_WITH_MAPS = 60  # languages


def section(document: Document) -> Section | None:
    """Left out where no group or layer is known."""
    known = [each for each in newest(agreements(document)) if each.groups or each.layers]
    found = drawn(known, MOST_MAPS, document)
    if not found:
        return None
    entries = ((swatch(_MARK), "two languages"), (swatch(None), "ceiling: two batches of one language"))
    blocks: list[Block] = [Key(entries)]
    for each in found:
        blocks.append(_table(each))
        if each.maps and 1 < len(each.tags) <= _MOST_WITH_MAPS:
            blocks.append(Details(f"A map of each part of {each.run}", (_multiples(document, each),)))
    means, advice = _means(found[0]), _advice(found[0])
    return Section("gradient-parts", "Where gradients agree", means, advice, tuple(blocks))


def _parts(each: Agreement) -> dict[str, Means]:
    return {**each.groups, **each.layers}


def _conflicts(parts: Mapping[str, Means]) -> list[tuple[float, str]]:
    """Parts by their rate of conflicts, the highest first."""
    return sorted(((m.conflict, name) for name, m in parts.items() if m.conflict is not None), reverse=True)


def _means(each: Agreement) -> str:
    groups, layers = _conflicts(each.groups), _conflicts(each.layers)
    said = [
        f"most in {kind} {found[0][1]} ({share(found[0][0])}) and least in {found[-1][1]} "
        f"({share(found[-1][0])})"
        for kind, found in (("the group", groups), ("", layers))
        if found
    ]
    return f"In {each.run} conflicts are {', by layer '.join(said) or 'not known'}.".replace("  ", " ")


def _advice(each: Agreement) -> str:
    worst = _conflicts(_parts(each))
    if not worst:
        return "Diagnose with more batches to see where languages disagree."
    return (
        "Where conflicts are high and the ceiling is well above the cosine, as you may find in "
        f"{worst[0][1]}, give languages parameters of their own there before anywhere else."
    )


def _table(each: Agreement) -> Table:
    parts = {"the trunk": each.trunk, **_parts(each)}
    known = [x for means in parts.values() for x in (means.cosine, means.ceiling) if x is not None]
    scale = linear([0.0, *known], most=4)
    columns = (
        Column("Part"),
        Column(strip.axis(scale, "mean cosine"), "plot"),
        Column("Cosine", "number", minor=True),
        Column("Ceiling", "number", minor=True),
        Column("Corrected", "number", minor=True),
        Column("Conflicts", "number"),
        Column("Parameters", "number", minor=True),
    )
    groups = (
        Rows("", (_row("the trunk", each.trunk, scale),)),
        Rows("Groups", tuple(_row(name, means, scale) for name, means in each.groups.items())),
        Rows("Layers", tuple(_row(name, means, scale) for name, means in each.layers.items())),
    )
    caption = f"{each.run}, step {each.step:,.0f}: mean cosine of the gradients of each part"
    return Table(caption, columns, tuple(rows for rows in groups if rows.rows), crowded=False)


def _row(name: str, means: Means, scale: Scale) -> tuple[Cell, ...]:
    marks = []
    if means.ceiling is not None:
        marks.append(strip.Mark(means.ceiling, None, f"ceiling {fixed(means.ceiling, 3)}"))
    if means.cosine is not None:
        marks.append(strip.Mark(means.cosine, _MARK, f"two languages {fixed(means.cosine, 3)}"))
    title = f"{name}: {', '.join(mark.tip for mark in reversed(marks)) or 'not known'}"
    cosine, ceiling, corrected, conflicts, _ = means_cells(means)
    size = Cell(count(means.parameters), means.parameters, "number")
    return (
        Cell(name),
        Cell(strip.strip(marks, scale, title), kind="plot"),
        cosine,
        ceiling,
        corrected,
        conflicts,
        size,
    )


def _multiples(document: Document, each: Agreement) -> Multiples:
    """All with the shades and the order of the large map."""
    parts, charts = _parts(each), []
    largest = max(
        (abs(x) for rows in each.maps.values() for row in rows for x in row if x is not None), default=1
    )
    for number, (name, rows) in enumerate(each.maps.items()):
        pairs, means = sorted_pairs(document, each, rows), parts[name]
        words = f"{name}: cosine {fixed(means.cosine)}, ceiling {fixed(means.ceiling)}"
        chart = HeatMap(f"part-{number}", words, words, pairs.tags, pairs.groups, pairs.rows, largest)
        charts.append((name, fixed(means.cosine), draw_small(chart)))
    return Multiples(tuple(charts))
