"""Overlap of masks: what any two languages' masks have in common, and in which layers."""

from __future__ import annotations

from collections.abc import Sequence

from polymod.report.ablations import Ablation, Layer, Overlap, ablations
from polymod.report.blocks import Block, Cell, Column, Details, Key, Rows, Section, Table
from polymod.report.charts import strip
from polymod.report.charts.marks import swatch
from polymod.report.document import Document
from polymod.report.figures import fixed, listed, sentence, share
from polymod.report.scales import Scale, linear
from polymod.report.sections.masks import MOST_RUNS
from polymod.report.sections.pairs import MOST_WITH_MORE_MAPS, Pairs, Words, drawn, maps, named, numbers

_PAIRS, _OWN = 0, 2  # marks
_CAPTION = (
    "Share of the gates kept by either of two languages that both keep (Jaccard index); framed on the "
    "diagonal two masks of one language. Squares paler than their frames are languages that choose different "
    "parts."
)


def section(document: Document) -> Section | None:
    """Left out where there are no masks of two languages."""
    found = [each for each in ablations(document) if any(len(o.tags) > 1 for o in each.overlaps.values())]
    found = drawn(found, MOST_RUNS, document)
    if not found:
        return None
    blocks: list[Block] = []
    for number, each in enumerate(found):
        blocks += _maps(document, each, number)
        blocks += [_key(), _by_layer(each)]
    return Section("overlap", "Overlap of masks", _means(found), _advice(found), tuple(blocks))


def said(each: Ablation) -> str:
    """``masks of two languages share 0.36 of their gates, two of one language 0.41, chance 0.33``."""
    whole = each.overlaps[each.shares[-1]].whole
    own = "" if whole.own is None else f", two masks of one language {fixed(whole.own)}"
    return f"masks of two languages overlap to {fixed(whole.pairs)}{own}, random ones {fixed(whole.chance)}"


def _means(found: Sequence[Ablation]) -> str:
    return sentence([f"in {e.run}, with {share(e.shares[-1])} closed, {said(e)}" for e in found])


def _advice(found: Sequence[Ablation]) -> str:
    each = found[0]
    overlap = each.overlaps[each.shares[-1]]
    whole = overlap.whole
    if whole.own is None or whole.pairs is None:
        return "Learn two masks of each language (--masks.repeats 2): one overlap alone says nothing."
    if whole.chance is not None and whole.own - whole.chance < 0.02:
        return (
            "Learn masks longer (--masks.steps): two masks of one language have no more in common than "
            "random ones, so this overlap says nothing yet."
        )
    gaps = _gaps(overlap)
    if whole.own - whole.pairs < 0.02 or not gaps:
        return "Nothing here speaks for parts of their own: two languages overlap as one does with itself."
    widest = max(gaps, key=lambda number: gaps[number])
    return (
        f"Give languages parameters of their own first in layer {widest}, where masks of two languages "
        "differ most from two masks of one."
    )


def _gaps(overlap: Overlap) -> dict[int, float]:
    """How far two languages' masks are below two of one language, in each layer."""
    return {
        number: layer.own - layer.pairs
        for number, layer in enumerate(overlap.layers, 1)
        if layer.own is not None and layer.pairs is not None
    }


def _maps(document: Document, each: Ablation, number: int) -> list[Block]:
    """The largest sparsity; the others on demand."""
    blocks: list[Block] = []
    inner: list[Block] = []
    for at in reversed(each.shares):
        overlap, first = each.overlaps[at], at == each.shares[-1]
        if not first and len(overlap.tags) > MOST_WITH_MORE_MAPS:
            continue
        heading = f"{each.run}, step {each.step:,.0f}, {share(at)} closed"
        pairs = Pairs.of(document, overlap.tags, overlap.rows, each.overlaps[each.shares[-1]].rows)
        name = f"overlap-{number}-{each.shares.index(at)}"
        low = listed([named(pair) for pair in pairs.values[:2]])
        words = Words(name, f"Jaccard index of masks, {heading}", f"Lowest: {low}.", _CAPTION, heading)
        drawn = maps(pairs, words, outlined=True, largest=1.0)
        (blocks if first else inner).extend(drawn)
        inner.append(numbers(pairs, f"Jaccard index, {share(at)} closed,"))
    return [
        *blocks,
        Details("Numbers and other sparsities" if len(each.shares) > 1 else "The numbers", tuple(inner)),
    ]


def _key() -> Key:
    entries = (
        (swatch(_PAIRS), "two languages"),
        (swatch(_OWN), "two masks of one language"),
        (swatch(None), "by chance"),
    )
    return Key(entries)


def _by_layer(each: Ablation) -> Table:
    """Rows are layers, a group for each sparsity."""
    layers = [layer for overlap in each.overlaps.values() for layer in (overlap.whole, *overlap.layers)]
    known = [x for layer in layers for x in (layer.pairs, layer.own, layer.chance) if x is not None]
    scale = linear(known)
    columns = (
        Column("Layer"),
        Column(strip.axis(scale, "Jaccard index"), "plot"),
        Column("Two languages", "number"),
        Column("One language", "number"),
        Column("Chance", "number", minor=True),
    )
    groups = tuple(
        Rows(
            f"{share(at)} closed",
            (
                _row("all", overlap.whole, scale),
                *(_row(f"layer {number}", layer, scale) for number, layer in enumerate(overlap.layers, 1)),
            ),
        )
        for at, overlap in sorted(each.overlaps.items())
    )
    return Table(f"{each.run}: mean overlap of masks in each layer", columns, groups)


def _row(name: str, layer: Layer, scale: Scale) -> tuple[Cell, ...]:
    values = (
        (layer.pairs, _PAIRS, "two languages"),
        (layer.own, _OWN, "one language"),
        (layer.chance, None, "chance"),
    )
    marks = [strip.Mark(x, mark, f"{what} {fixed(x)}") for x, mark, what in reversed(values) if x is not None]
    title = f"{name}: {', '.join(mark.tip for mark in reversed(marks)) or 'not known'}"
    return (
        Cell(name),
        Cell(strip.strip(marks, scale, title), kind="plot"),
        *(Cell.of(x, 2) for x, _, _ in values),
    )
