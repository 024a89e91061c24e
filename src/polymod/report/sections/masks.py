"""Masks: what it costs a language to go without parts of the trunk, under its own mask and under others."""

from __future__ import annotations

from collections.abc import Sequence

from polymod.report.ablations import AGAIN, KINDS, OTHERS, OWN, RANDOM, UNMASKED, Ablation, Losses, ablations
from polymod.report.blocks import Block, Cell, Chart, Column, Details, Key, Rows, Section, Table
from polymod.report.charts import strip
from polymod.report.charts.lines import Level, Line, LineChart, draw
from polymod.report.charts.marks import swatch
from polymod.report.document import Document, Language
from polymod.report.figures import fixed, listed, mean, sentence, share, signed
from polymod.report.part import Matrix
from polymod.report.scales import Scale, linear
from polymod.report.sections.pairs import Pairs, Words, drawn, left_out, maps, numbers

MOST_RUNS = 2
MATTERS = 0.01  # nats
_MARKS = {OWN: 2, AGAIN: 0, OTHERS: 3, RANDOM: 5}
_NAMES = {OWN: "own", AGAIN: "own again", OTHERS: "others'", RANDOM: "random", UNMASKED: "unmasked"}
_KEY = {
    OWN: "the language's own mask",
    AGAIN: "another mask of the same language",
    OTHERS: "masks of other languages, on average",
    RANDOM: "a random mask",
}
_CROSS = (
    "Nats by which the loss of a row's language under the mask of a column's language is above that under "
    "its own; framed on the diagonal under another mask of its own, which is chance. Squares stronger than "
    "their row's frame are languages that need other parts."
)


def section(document: Document) -> Section | None:
    """Left out where no masks were learnt."""
    known = ablations(document)
    found = drawn(known, MOST_RUNS, document)
    if not found:
        return None
    blocks: list[Block] = []
    for number, each in enumerate(found):
        blocks += _by_sparsity(each, number)
        blocks += [_key(), _table(document, each)]
        blocks += _cross(document, each, number)
    blocks += left_out(known, found)
    return Section("masks", "Masks of the trunk", _means(found), _advice(found), tuple(blocks))


def said(each: Ablation) -> str:
    """``with 75 % of the gates closed its own mask costs a language 0.03 nats, another's 0.01 more, ...``."""
    last = each.shares[-1]
    own, unmasked = each.mean(OWN, last), each.mean(UNMASKED, last)
    costs = None if own is None or unmasked is None else own - unmasked
    more = [
        f"{name} {signed(above, 3)}"
        for kind, name in (
            (AGAIN, "another of its own"),
            (OTHERS, "another language's"),
            (RANDOM, "a random one"),
        )
        if (above := each.above(kind, last)) is not None
    ]
    beyond = f"; beside it {listed(more)}" if more else ""
    return (
        f"with {share(last)} of the gates closed a language's own mask costs {fixed(costs, 3)} nats{beyond}"
    )


def specific(each: Ablation, at: float) -> bool | None:
    """Whether others' masks are worse than two of one language differ; None if that is not known."""
    others, again = each.above(OTHERS, at), each.above(AGAIN, at)
    return None if others is None or again is None else others > max(again, 0.0) + MATTERS


def _means(found: Sequence[Ablation]) -> str:
    return sentence([f"in {each.run} {said(each)}" for each in found])


def _advice(found: Sequence[Ablation]) -> str:
    shares = [(each, at) for each in found for at in each.shares if specific(each, at)]
    if shares:
        each, at = shares[0]
        return (
            f"Give languages parameters of their own, or more of them: from {share(at)} closed gates on, "
            f"others' masks are worse in {each.run} than a second mask of the same language."
        )
    if all(specific(each, at) is None for each in found for at in each.shares):
        return "Learn two masks of each of several languages (--masks.repeats 2) to see how far chance goes."
    return (
        "Do not conclude that languages need different parts: others' masks do as well as a second mask of "
        "the same language. Close more gates (--masks.sparsity) or learn longer (--masks.steps) before you "
        "rule it out."
    )


def _by_sparsity(each: Ablation, number: int) -> list[Block]:
    """Lines over the share of closed gates, which begin at the loss without a mask."""
    unmasked = each.mean(UNMASKED, each.shares[0])
    lines = []
    for kind, mark in _MARKS.items():
        points = ((0.0, unmasked), *((at, each.mean(kind, at)) for at in each.shares))
        if any(y is not None for _, y in points[1:]):
            tips = tuple(f"{_NAMES[kind]}, {share(x)} closed: {fixed(y, 3)} nats" for x, y in points)
            lines.append(Line(_NAMES[kind], mark, points, tips))
    known = [y for line in lines for _, y in line.points if y is not None]
    x = Scale(0.0, max(each.shares), (0.0, *each.shares))
    y = linear(known)
    chart = LineChart(
        name=f"masks-{number}",
        title=f"Mean loss of {each.run} over the share of closed gates",
        description=f"In {each.run} {said(each)}.",
        x=x,
        y=y,
        x_labels=[share(tick) for tick in x.ticks],
        y_labels=y.tick_labels(),
        lines=tuple(lines),
        levels=() if unmasked is None else (Level("unmasked", unmasked),),
        unit="nats",
    )
    caption = (
        "Mean loss over languages under masks that close more and more gates. Where the line of others' "
        "masks leaves the two of the language itself, languages need parts of their own."
    )
    return [Chart(draw(chart), caption, heading=f"{each.run}, step {each.step:,.0f}"), _numbers(each)]


def _numbers(each: Ablation) -> Details:
    rows = tuple(
        (Cell(share(at), at, "number"), *(Cell.of(each.mean(kind, at), 3) for kind in KINDS))
        for at in each.shares
    )
    columns = (Column("Closed gates", "number"), *(Column(_NAMES[kind], "number") for kind in KINDS))
    return Details("The numbers", (Table("Mean loss over languages, nats", columns, (Rows("", rows),)),))


def _key() -> Key:
    return Key(tuple((swatch(mark), _KEY[kind]) for kind, mark in _MARKS.items()))


def _table(document: Document, each: Ablation) -> Table:
    """A row for each language at the largest sparsity."""
    at = each.shares[-1]
    languages = [language for language in document.languages if language.tag in each.losses]
    losses = {language.tag: each.losses[language.tag][at] for language in languages}
    above = {tag: _above(of_tag) for tag, of_tag in losses.items()}
    scale = linear([0.0, *(x for row in above.values() for x in row.values() if x is not None)])
    columns = (
        Column("Language"),
        Column(strip.axis(scale, "nats above the own mask"), "plot"),
        *(
            Column(_NAMES[kind], "number", minor=kind in (AGAIN, RANDOM))
            for kind in (OWN, AGAIN, OTHERS, RANDOM)
        ),
    )
    rows = tuple(_row(language, losses[language.tag], above[language.tag], scale) for language in languages)
    average = {kind: mean([x for row in losses.values() if (x := row[kind]) is not None]) for kind in KINDS}
    mean_above = {kind: each.above(kind, at) for kind in _MARKS}
    foot = (Cell("Mean"), *_values("mean over languages", average, mean_above, scale))
    caption = f"Loss in nats under the own mask with {share(at)} closed, and how far other masks are above it"
    return Table(caption, columns, (Rows("", rows),), foot)


def _above(losses: Losses) -> Losses:
    """Nats above the own mask, of each kind of mask."""
    own = losses[OWN]
    return {kind: None if own is None or (x := losses[kind]) is None else x - own for kind in _MARKS}


def _row(language: Language, losses: Losses, above: Losses, scale: Scale) -> tuple[Cell, ...]:
    head = Cell(language.label, kind="tag" if language.label == language.tag else "text")
    return (head, *_values(language.label, losses, above, scale))


def _values(label: str, losses: Losses, above: Losses, scale: Scale) -> tuple[Cell, ...]:
    marks = [
        strip.Mark(x, mark, f"{_KEY[kind]} {signed(x, 3)}")
        for kind, mark in reversed(_MARKS.items())
        if (x := above[kind]) is not None
    ]
    title = f"{label}: {', '.join(mark.tip for mark in reversed(marks)) or 'no loss'}"
    return (
        Cell(strip.strip(marks, scale, title), kind="plot"),
        Cell.of(losses[OWN], 2),
        *(Cell(signed(above[kind], 3), above[kind], "number") for kind in (AGAIN, OTHERS, RANDOM)),
    )


def _cross(document: Document, each: Ablation, number: int) -> list[Block]:
    """Own mask against every other one, where each was tried under all the others."""
    at, tags = each.shares[-1], tuple(each.losses)
    if len(tags) < 2 or any(len(each.by_mask[tag][at]) < len(tags) - 1 for tag in tags):
        return []
    rows: Matrix = []
    for tag in tags:
        own, others = each.losses[tag][at][OWN], each.by_mask[tag][at]
        losses = [each.losses[tag][at][AGAIN] if other == tag else others.get(other) for other in tags]
        rows.append([None if loss is None or own is None else loss - own for loss in losses])
    pairs = Pairs.of(document, tags, rows, each.overlaps[at].rows)
    title = f"Own mask against others', {each.run}, {share(at)} closed"
    words = Words(
        f"masks-cross-{number}", title, f"In {each.run} {said(each)}.", _CROSS, "Own mask against others'"
    )
    twin = Details("The numbers of the map", (numbers(pairs, "Nats above the own mask", 3),))
    return [*maps(pairs, words, outlined=True), twin]
