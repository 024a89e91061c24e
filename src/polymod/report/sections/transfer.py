"""Transfer: tasks in every language, through its own module and the controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polymod.report.additions import additions
from polymod.report.blocks import Block, Cell, Column, Details, Facts, Key, Points, Rows, Section, Table
from polymod.report.charts import strip
from polymod.report.charts.marks import swatch
from polymod.report.document import Document, Language
from polymod.report.figures import MINUS, listed, several, signed
from polymod.report.scales import Scale, linear
from polymod.report.transfers import CONTROLS, NONE, SOURCE, TARGET, Transfer, Value, points, transfers

_MARKS = {TARGET: 2, SOURCE: 3, NONE: 5}
_HEADS = {TARGET: "own", SOURCE: "source's", NONE: "none"}
_KEY = {TARGET: "own module, with 95 % interval", SOURCE: "the source's module", NONE: "no module"}
_NO_VALUE = Value(None)


def section(document: Document) -> Section | None:
    """Left out where no task has a score."""
    found = transfers(document)
    if not found:
        return None
    blocks: list[Block] = []
    if answers := tuple((each.name, answer) for each in found if (answer := _answer(each))):
        blocks += [Points(("Does a language's own module do anything?",)), Facts(answers)]
    blocks.append(_key(found))
    for each in found:
        blocks += [_table(document, each), _numbers(document, each)]
    return Section("transfer", "Transfer", _means(document, found), _advice(document, found), tuple(blocks))


def _means(document: Document, found: Sequence[Transfer]) -> str:
    added = additions(document)
    new = [each.tag for each in added.languages] if added else []
    return f"{'; '.join(_summary(document, each, new) for each in found)}."


def _summary(document: Document, transfer: Transfer, new: Sequence[str]) -> str:
    """``NER learnt in qaa (97.1 F1 there) comes to 57.7 on average in 12 other languages, ...``."""
    sources = listed([document.label(tag) for tag in transfer.sources])
    learnt = f"{transfer.name} learnt in {sources}" if sources else transfer.name
    others = [tag for tag in transfer.own if tag not in transfer.sources]
    home = f"{points(transfer.home)} {transfer.metric_name} there"
    if transfer.mean.value is None or not others:
        return f"{learnt} has {home}"
    means = f"{points(transfer.mean.value)} on average in {several(len(others), 'other language')}"
    parts = [f"{means}{_guessed(transfer)}"]
    if transfer.worst:
        parts.append(f"{points(transfer.worst[1])} at worst ({document.label(transfer.worst[0])})")
    parts += [
        f"{points(transfer.own[tag].value)} in {document.label(tag)}, which was added"
        for tag in others
        if tag in new
    ]
    return f"{learnt}{f' ({home})' if transfer.home is not None else ''} comes to {listed(parts)}"


def _guessed(transfer: Transfer) -> str:
    """`` (9 of them no better than guessing)``; empty where there are none."""
    others = [own.low for tag, own in transfer.own.items() if tag not in transfer.sources]
    guessed = sum(low is not None and low <= (transfer.guessing or -1.0) for low in others)
    return f" ({guessed} of them no better than guessing)" if guessed else ""


def _advice(document: Document, found: Sequence[Transfer]) -> str:
    if guessed := [each.name for each in found if _is_guessed(each)]:
        return (
            f"Learn {listed(guessed)} from more examples or for more epochs, or pre-train longer: elsewhere "
            "it is no better than guessing, so its controls say nothing yet."
        )
    known = [each for each in found if each.gain]
    if not known:
        return "Give --module all to see whether the modules do anything: the controls are not here."
    if useless := [each.name for each in known if any(gain.sign <= 0 for gain in each.gain.values())]:
        return (
            f"Do not count on the modules for {listed(useless)}: a control does as well. Pre-train longer, "
            "or compare with the shared arm."
        )
    worst = [f"{document.label(each.worst[0])} ({each.name})" for each in found if each.worst]
    where = f"look first at {listed(worst)}, where scores are lowest"
    return f"Read each language through its own module, and {where}."


def _is_guessed(transfer: Transfer) -> bool:
    """Whether guessing does as well in the other languages, as far as the interval says."""
    low = transfer.mean.low
    return transfer.guessing is not None and low is not None and low <= transfer.guessing


def _answer(transfer: Transfer) -> str:
    """``Yes: +12.3 points against ...``; empty where the controls are not known."""
    signs = [gain.sign for gain in transfer.gain.values()]
    if not signs:
        return ""
    word = "Not shown"
    if any(signs):
        word = "Yes" if min(signs) > 0 else "In part" if max(signs) > 0 else "No"
    parts = [_gain(transfer, control, gain) for control, gain in transfer.gain.items()]
    return f"{word}: {listed(parts)}."


def _gain(transfer: Transfer, control: str, gain: Value) -> str:
    """``+12.3 points against the source's (10.1 to 14.0; clearly better in 11 of 12 languages)``."""
    against = {SOURCE: "the source's", NONE: "none"}[control]
    ends = f"{_points(gain.low)} to {_points(gain.high)}; " if gain.interval else ""
    others = [value.sign for tag, value in transfer.gains[control].items() if tag not in transfer.sources]
    clearly = f"clearly better in {sum(sign > 0 for sign in others)} of {several(len(others), 'language')}"
    if worse := sum(sign < 0 for sign in others):
        clearly += f", clearly worse in {worse}"
    return f"{_points(gain.value)} points against {against} ({ends}{clearly})"


def _points(value: float | None) -> str:
    return signed(value, 1)


def _key(found: Sequence[Transfer]) -> Key:
    shown = [control for control in CONTROLS if any(each.scores.get(control) for each in found)]
    entries = [(swatch(_MARKS[control]), _KEY[control]) for control in shown]
    if any(each.guessing is not None for each in found):
        entries.append((swatch(None), "guessing"))
    return Key(tuple(entries))


def _table(document: Document, transfer: Transfer) -> Table:
    shown = [control for control in CONTROLS if transfer.scores.get(control)]
    scale = _scale(transfer)
    columns = (
        Column("Language"),
        Column(strip.axis(scale, f"{transfer.metric_name} in per cent"), "plot"),
        *(
            Column(_HEADS[control], "number", series=_MARKS[control], minor=control != TARGET)
            for control in shown
        ),
    )
    groups = tuple(
        Rows(heading, tuple(_row(transfer, each, shown, scale) for each in members))
        for heading, members in _grouped(document, transfer).items()
    )
    macro = {control: transfer.macro.get(control, _NO_VALUE) for control in shown}
    foot = (Cell("Mean"), *_values("mean of the others", transfer, macro, scale))
    has_mean = transfer.mean.value is not None
    caption = f"{transfer.name}: {transfer.metric_name} in per cent, higher is better"
    if transfer.sources:
        caption += f"; the mean leaves out {listed([document.label(tag) for tag in transfer.sources])}"
    return Table(caption, columns, groups, foot if has_mean else ())


def _grouped(document: Document, transfer: Transfer) -> dict[str, list[Language]]:
    """Languages by heading: those of the source first, then the others by family."""
    languages = [language for language in document.languages if language.tag in transfer.own]
    home = [language for language in languages if language.tag in transfer.sources]
    found = {"Learnt in": home} if home else {}
    for language in languages:
        if language not in home:
            heading = f"Family {language.family}" if language.family else "Other languages"
            found.setdefault(heading, []).append(language)
    return found


def _scale(transfer: Transfer) -> Scale:
    values = [
        value for by_tag in transfer.scores.values() for each in by_tag.values() for value in _ends(each)
    ]
    return linear(value for value in (*values, transfer.guessing) if value is not None)


def _ends(value: Value) -> tuple[float | None, ...]:
    return (value.value, value.low, value.high)


def _row(transfer: Transfer, language: Language, shown: Sequence[str], scale: Scale) -> tuple[Cell, ...]:
    scores = {control: transfer.scores[control].get(language.tag, _NO_VALUE) for control in shown}
    head = Cell(language.label, kind="tag" if language.label == language.tag else "text")
    return (head, *_values(language.label, transfer, scores, scale))


def _values(label: str, transfer: Transfer, scores: Mapping[str, Value], scale: Scale) -> tuple[Cell, ...]:
    """The strip and the figures of a row."""
    marks = []
    if transfer.guessing is not None:
        marks.append(strip.Mark(transfer.guessing, None, f"guessing {points(transfer.guessing)}"))
    for control, score in reversed([*scores.items()]):
        if score.value is not None:
            ends = score.interval if control == TARGET else None
            between = f" ({points(ends[0])} to {points(ends[1])})" if ends else ""
            tip = f"{_KEY[control].partition(',')[0]} {points(score.value)}{between}"
            marks.append(strip.Mark(score.value, _MARKS[control], tip, ends))
    title = f"{label}: {', '.join(mark.tip for mark in reversed(marks)) or 'no score'}"
    known = [round(score.value, 1) for score in scores.values() if score.value is not None]
    best = max(known) if len(known) == len(scores) > 1 and known.count(max(known)) == 1 else None
    return (
        Cell(strip.strip(marks, scale, title), kind="plot"),
        *(
            Cell.of(score.value, 1, best=score.value is not None and round(score.value, 1) == best)
            for score in scores.values()
        ),
    )


def _numbers(document: Document, transfer: Transfer) -> Details:
    """Scores with their intervals, and the differences with theirs."""
    controls = [control for control in CONTROLS if transfer.scores.get(control)]
    against = [control for control in controls if control in transfer.gains]
    columns = (
        Column("Language"),
        *(
            Column(f"{_HEADS[control]}, {part}", "number")
            for control in controls
            for part in ("score", "low", "high")
        ),
        *(Column(f"own {MINUS} {_HEADS[control]}", "number") for control in against),
    )
    rows = []
    for language in document.languages:
        if language.tag in transfer.own:
            cells = [Cell(language.label)]
            for control in controls:
                cells += [
                    Cell.of(end, 1) for end in _ends(transfer.scores[control].get(language.tag, _NO_VALUE))
                ]
            gains = [transfer.gains[control].get(language.tag, _NO_VALUE) for control in against]
            rows.append((*cells, *map(_difference, gains)))
    caption = f"{transfer.name}: {transfer.metric_name} and differences in percentage points, 95 % intervals"
    return Details(
        f"The numbers of {transfer.name}", (Table(caption, columns, (Rows("", tuple(rows)),), sortable=True),)
    )


def _difference(gain: Value) -> Cell:
    if gain.value is None:
        return Cell.of(None)
    ends = f" ({_points(gain.low)} to {_points(gain.high)})" if gain.interval else ""
    return Cell(f"{_points(gain.value)}{ends}", gain.value, "number")
