"""Agreement of gradients: a heat map of every pair of languages beside the ceiling."""

from __future__ import annotations

from collections.abc import Sequence

from polymod.report.agreements import Agreement, Average, Means, agreements, averages, newest
from polymod.report.blocks import Block, Cell, Column, Details, Rows, Section, Table
from polymod.report.document import Document
from polymod.report.figures import fixed, listed, mean, sentence, share
from polymod.report.part import Matrix
from polymod.report.sections.pairs import (
    MOST_WITH_MORE_MAPS,
    Pairs,
    Words,
    drawn,
    left_out,
    maps,
    named,
    numbers,
)

MOST_MAPS = 3  # runs whose map is drawn
_CAPTION = (
    "Cosine of the gradients of two batches, one of each language; framed on the diagonal two batches of one "
    "language, the ceiling. Compare a square with its two ceilings: as strong is full agreement, the other "
    "colour is a conflict to look into."
)
_CORRECTED = (
    "Cosines without the noise of the batches; 1 is full agreement. Trust it where batches are large; it is "
    "left out where two batches of one language hardly agree."
)
_AVERAGE = (
    "Cosines as above, as a mean over checkpoints: steadier than at one of them, and over several runs "
    "steadier still."
)
_CONFLICT = "Share of the pairs of batches whose cosine is negative; near a half, noise alone can do it."


def section(document: Document) -> Section | None:
    """Left out where no gradients were compared, or those of a single language."""
    found = [each for each in newest(agreements(document)) if len(each.tags) > 1]
    if not found:
        return None
    blocks: list[Block] = []
    shown = drawn(found, MOST_MAPS, document)
    for number, each in enumerate(shown):
        blocks += _maps(document, each, number)
    blocks += [*left_out(found, shown), *_averages(document)]
    blocks.append(_summary(agreements(document)))
    return Section(
        "gradients", "Agreement of gradients", _means(found), _advice(document, found), tuple(blocks)
    )


def sorted_pairs(document: Document, each: Agreement, rows: Matrix) -> Pairs:
    """Values of pairs in the order that all maps of a checkpoint have."""
    alike = each.corrected if any(x is not None for row in each.corrected for x in row) else each.cosine
    return Pairs.of(document, each.tags, rows, alike)


def said(each: Agreement) -> str:
    """``two languages agree to 0.04, two batches of one language to 0.22, 0.19 without the noise; ...``."""
    trunk = each.trunk
    corrected = "" if trunk.corrected is None else f" ({fixed(trunk.corrected)} without the noise)"
    return (
        f"gradients of two languages have a cosine of {fixed(trunk.cosine)}{corrected} on average, those of "
        f"one language {fixed(trunk.ceiling)}, and {share(trunk.conflict)} of the pairs of batches are in "
        "conflict"
    )


def means_cells(means: Means) -> tuple[Cell, ...]:
    """Cosine, ceiling, corrected cosine, conflicts of two languages and of one."""
    cosines = (Cell.of(value, 3) for value in (means.cosine, means.ceiling, means.corrected))
    conflicts = (Cell(share(value), value, "number") for value in (means.conflict, means.own_conflict))
    return (*cosines, *conflicts)


MEANS_COLUMNS = (
    Column("Cosine", "number"),
    Column("Ceiling", "number"),
    Column("Corrected", "number"),
    Column("Conflicts", "number"),
    Column("Same language", "number"),
)


def _means(found: Sequence[Agreement]) -> str:
    return sentence([f"in {each.run} at step {each.step:,.0f} {said(each)}" for each in found[:MOST_MAPS]])


def _advice(document: Document, found: Sequence[Agreement]) -> str:
    first = found[0]
    if first.trunk.noisy:
        return (
            "Use larger batches (--gradients.batch-tokens): two batches of one language hardly agree, "
            "so these cosines say nothing yet."
        )
    against = sorted_pairs(document, first, first.against).values
    if not against:
        return (
            "No pair of languages clearly pulls the trunk in opposite directions: expect little from "
            "surgery (--update pcgrad, gradvac), and look for interference in the gaps of loss."
        )
    return (
        "Look first at the pairs that clearly pull in opposite directions: "
        f"{listed([named(each) for each in against])}. More modules or a treatment (--update) may help them; "
        "a gap of loss shows whether it matters."
    )


def _maps(document: Document, each: Agreement, number: int) -> list[Block]:
    """The map of cosines; its numbers, corrected cosines and conflicts on demand."""
    where = f"{each.run}, step {each.step:,.0f}"
    pairs = sorted_pairs(document, each, each.cosine)
    title = f"Cosine of gradients, {where}"
    blocks = maps(
        pairs, Words(f"gradients-{number}", title, f"{said(each)}.", _CAPTION, where), outlined=True
    )
    inner: list[Block] = [numbers(pairs, "Cosine")]
    others = {"corrected": ("Corrected cosine", _CORRECTED, each.corrected, 1.0)}
    others["conflict"] = ("Conflicts", _CONFLICT, each.conflict, 1.0)
    for name, (what, caption, rows, largest) in others.items():
        if rows and len(each.tags) <= MOST_WITH_MORE_MAPS:
            words = Words(f"gradients-{number}-{name}", f"{what}, {where}", caption, caption, what)
            there = pairs.having(rows)
            inner += [*maps(there, words, outlined=True, largest=largest), numbers(there, what)]
    return [*blocks, Details(f"Numbers, corrected cosines and conflicts of {each.run}", tuple(inner))]


def _averages(document: Document) -> list[Block]:
    """The map of each mean over checkpoints, and its numbers, on demand."""
    found = averages(document)
    shown = drawn(found, MOST_MAPS, document)
    blocks: list[Block] = []
    for number, each in enumerate(shown):
        pairs = Pairs.of(document, each.tags, each.cosine, each.cosine)
        where = f"{listed(each.runs)} at {listed([f'{step:,.0f}' for step in each.steps])} steps"
        words = Words(
            f"gradients-mean-{number}", f"Mean of {where}", f"{_said(each)}.", _AVERAGE, _said(each)
        )
        inner = (*maps(pairs, words, outlined=True), numbers(pairs, "Mean cosine"))
        blocks.append(Details(f"Mean of {where}", inner))
    return [*blocks, *left_out(found, shown, "mean")]


def _said(each: Average) -> str:
    """``Cosine of two languages 0.04, of one 0.22, along relatedness 0.81``."""
    values = [(i == j, x) for i, row in enumerate(each.cosine) for j, x in enumerate(row) if x is not None]
    two, one = (fixed(mean([x for own, x in values if own == of_one])) for of_one in (False, True))
    along = "" if each.along is None else f", along relatedness {fixed(each.along)}"
    return f"Cosine of two languages {two}, of one {one}{along}"


def _summary(found: Sequence[Agreement]) -> Table:
    """A row for each checkpoint."""
    rows = tuple(
        (Cell(each.run), Cell.of(each.step), *means_cells(each.trunk), *_along(each, found)) for each in found
    )
    along = (Column("Along relatedness", "number"),) if _known(found) else ()
    columns = (Column("Run"), Column("Step", "number"), *MEANS_COLUMNS, *along)
    caption = "Means over pairs of languages; corrected where batches of one language agree"
    return Table(caption, columns, (Rows("", rows),), sortable=True)


def _along(each: Agreement, found: Sequence[Agreement]) -> tuple[Cell, ...]:
    return (Cell.of(each.along["cosine"], 2),) if _known(found) else ()


def _known(found: Sequence[Agreement]) -> bool:
    return any(each.along["cosine"] is not None for each in found)
