"""Controls: what a language's module does for held-out text, beside other modules and none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polymod.report.blocks import Block, Cell, Column, Details, Key, Rows, Section, Table
from polymod.report.charts import strip
from polymod.report.charts.marks import swatch
from polymod.report.contributions import CONTROLS, NONE, SHUFFLED, SOURCE, Above, Contribution, contributions
from polymod.report.document import Document, Language
from polymod.report.figures import fixed, listed, sentence, signed
from polymod.report.scales import Scale, linear
from polymod.report.sections.pairs import Pairs, Words, drawn, left_out, maps, numbers

MOST_RUNS = 3
MATTERS = 0.01  # nats
_MARKS = {SOURCE: 3, SHUFFLED: 4, NONE: 5}
_HEADS = {SOURCE: "source's", SHUFFLED: "shuffled", NONE: "none"}
_KEY = {SOURCE: "the source's module", SHUFFLED: "the module of a wrong language", NONE: "no module"}
_THROUGH = (
    "Nats by which the loss of a row's language through the module of a column's language is above that "
    "through its own. Pale squares are modules that can stand in for each other; rows that are pale "
    "throughout have a module that does little."
)


def section(document: Document) -> Section | None:
    """Left out where no modules were tried."""
    known = contributions(document)
    found = drawn(known, MOST_RUNS, document)
    if not found:
        return None
    shown = [
        control for control in CONTROLS if any(control in row for e in found for row in e.above.values())
    ]
    own = (swatch(None), "the language's own module")
    blocks: list[Block] = [Key((own, *((swatch(_MARKS[control]), _KEY[control]) for control in shown)))]
    for number, each in enumerate(found):
        blocks.append(_table(document, each))
        if each.through and len(each.tags) > 1:
            blocks += _map(document, each, number)
    blocks += left_out(known, found)
    return Section("controls", "What modules contribute", _means(found), _advice(found), tuple(blocks))


def said(each: Contribution) -> str:
    """``its own module is worth 0.11 nats against none, ...``."""
    names = {SOURCE: f"that of {each.source}", SHUFFLED: "a wrong one", NONE: "none"}
    parts = [
        f"{fixed(value)} nats against {names[c]}" for c, value in each.means.items() if value is not None
    ]
    return f"a language's own module is worth {listed(parts[::-1])}"


def _means(found: Sequence[Contribution]) -> str:
    return sentence([f"in {each.run} {said(each)}" for each in found])


def idle(each: Contribution) -> list[str]:
    """Languages whose text is read as well through no module, as far as the interval says."""
    found = []
    for tag, row in each.above.items():
        none = row.get(NONE)
        if none is not None and (none.interval or (none.value, none.value))[0] <= MATTERS:
            found.append(tag)
    return found


def _advice(found: Sequence[Contribution]) -> str:
    useless = [f"{tag} in {each.run}" for each in found for tag in idle(each)]
    if useless:
        return (
            f"Train {listed(useless)} longer, or give larger modules (--model.bottleneck-size): no module is "
            f"not clearly worse there ({MATTERS} nats), so the module does next to nothing."
        )
    return (
        "Every module does something for its language. A large value against a wrong module only says that "
        "modules differ; judge by the distance from none."
    )


def _table(document: Document, each: Contribution) -> Table:
    shown = [control for control in CONTROLS if any(control in row for row in each.above.values())]
    ends = [end for row in each.above.values() for above in row.values() for end in _ends(above)]
    scale = linear([0.0, *ends])
    columns = (
        Column("Language"),
        Column(strip.axis(scale, "nats above the own module"), "plot"),
        *(Column(_HEADS[c], "number", series=_MARKS[c], minor=c == SHUFFLED) for c in shown),
        Column("own loss", "number", minor=True),
    )
    languages = [language for language in document.languages if language.tag in each.own]
    rows = tuple(_row(language, each, shown, scale) for language in languages)
    caption = f"{each.run}, step {each.step:,.0f}: nats above the loss through the own module, 95 % intervals"
    return Table(caption, columns, (Rows("", rows),), _foot(each, shown, scale), crowded=len(shown) > 2)


def _ends(above: Above) -> tuple[float, ...]:
    return (above.value, *(above.interval or ()))


def _row(language: Language, each: Contribution, shown: Sequence[str], scale: Scale) -> tuple[Cell, ...]:
    head = Cell(language.label, kind="tag" if language.label == language.tag else "text")
    row = each.above[language.tag]
    return (
        head,
        _plot(language.label, row, scale),
        *_numbers(row, shown),
        Cell.of(each.own[language.tag], 2),
    )


def _foot(each: Contribution, shown: Sequence[str], scale: Scale) -> tuple[Cell, ...]:
    means = {
        control: Above("", value, None) for control in shown if (value := each.means[control]) is not None
    }
    if len(each.own) < 2:
        return ()
    known = [loss for loss in each.own.values() if loss is not None]
    own = sum(known) / len(known) if known else None
    return (
        Cell("Mean"),
        _plot("mean over languages", means, scale),
        *_numbers(means, shown),
        Cell.of(own, 2),
    )


def _numbers(row: Mapping[str, Above], shown: Sequence[str]) -> list[Cell]:
    found = [row.get(control) for control in shown]
    return [Cell(signed(each.value), each.value, "number") if each else Cell.of(None) for each in found]


def _plot(label: str, row: Mapping[str, Above], scale: Scale) -> Cell:
    marks = [strip.Mark(0.0, None, "own module 0")]
    for control, above in reversed([*row.items()]):
        between = (
            f" ({signed(above.interval[0], 3)} to {signed(above.interval[1], 3)})" if above.interval else ""
        )
        which = f" ({above.pack})" if control == SHUFFLED and above.pack else ""
        tip = f"{_KEY[control]}{which} {signed(above.value, 3)}{between}"
        marks.append(strip.Mark(above.value, _MARKS[control], tip, above.interval))
    title = f"{label}: {', '.join(mark.tip for mark in reversed(marks))}"
    return Cell(strip.strip(marks, scale, title), kind="plot")


def _map(document: Document, each: Contribution, number: int) -> list[Block]:
    rows = each.through
    alike = [[None if x is None else -x for x in row] for row in rows]
    pairs = Pairs.of(document, each.tags, rows, alike)
    title = f"Text of a language through modules of others, {each.run}"
    words = Words(
        f"controls-{number}", title, f"In {each.run} {said(each)}.", _THROUGH, f"Every module, {each.run}"
    )
    twin = Details("The numbers of the map", (numbers(pairs, "Nats above the own module"),))
    return [*maps(pairs, words), twin]
