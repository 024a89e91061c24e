"""Gaps: a language trained alone beside the same language trained with others; transfer or interference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from polymod.report.blocks import Block, Cell, Column, Details, Points, Rows, Section, Table
from polymod.report.charts import strip
from polymod.report.charts.bar import Bar, bar
from polymod.report.document import Document
from polymod.report.figures import count, listed, sentence, several, signed
from polymod.report.scales import Scale, linear
from polymod.report.settings import INTERFERENCE, TRANSFER, Gap, Gaps, comparisons

_CONDITIONS = {
    "same-updates": "as many updates in each setting",
    "same-examples": "as many examples of each language in each setting",
}


def section(document: Document) -> Section | None:
    """Left out where no settings were compared."""
    found = comparisons(document)
    if not found:
        return None
    blocks: list[Block] = []
    for each in found:
        scale = _scale(each)
        blocks += [_table(document, each, name, scale) for name in each.names]
        said_ = [f"{name}: {note}." for name, note in each.notes.items()]
        said_ += [f"{name} is left out: {reason}." for name, reason in each.left_out.items()]
        if said_:
            blocks.append(Points(tuple(said_)))
        blocks.append(Details("The losses of each setting", (_losses(document, each),)))
    title = "Transfer and interference"
    return Section("gaps", title, _means(found), _advice(document, found), tuple(blocks))


def said(each: Gaps, name: str) -> str:
    """``the loss of multi beside mono: +0.12 nats on average (0.05 to 0.19), interference in 4 of 6``."""
    if early := each.early(name):
        are = "is" if len(early) == 1 else "are"
        said_ = f"the gap of {name} beside {each.reference}: no verdict yet"
        return f"{said_}, {listed(early)} {are} on the unigram plateau"
    gap = each.means.get(name)
    average = ""
    if gap is not None and gap.difference is not None:
        between = f" ({signed(gap.low)} to {signed(gap.high)})" if gap.interval else ""
        average = f" {signed(gap.difference)} nats on average{between},"
    verdicts = Counter(gaps[name].verdict for gaps in each.gaps.values() if name in gaps)
    total = sum(verdicts.values())
    counted = [f"{verdict} in {number}" for verdict, number in verdicts.most_common() if verdict]
    counts = f" {listed(counted)} of {several(total, 'language')}" if counted else " no verdict"
    return f"the loss of {name} beside {each.reference}:{average}{counts}"


def _means(found: Sequence[Gaps]) -> str:
    return sentence([said(each, name) for each in found for name in each.names])


def _advice(document: Document, found: Sequence[Gaps]) -> str:
    if any(each.notes for each in found):
        return (
            "Train longer before you read these gaps: some settings have hardly learnt anything (the notes "
            "say which), and there neither transfer nor interference can be seen."
        )
    verdicts = [gap.verdict for each in found for gaps in each.gaps.values() for gap in gaps.values()]
    if "one seed" in verdicts:
        return "Repeat with other seeds: one seed gives no interval, so no gap is shown yet."
    worst = [
        (gap.difference, document.label(tag), name)
        for each in found
        for tag, gaps in each.gaps.items()
        for name, gap in gaps.items()
        if gap.verdict == INTERFERENCE and gap.difference is not None
    ]
    if not worst:
        return "No language is clearly worse off with others: there is nothing to treat here."
    named = [f"{label} ({signed(value)} in {name})" for value, label, name in sorted(worst, reverse=True)[:3]]
    return f"Treat interference (modules, --update, more capacity) and look first at {listed(named)}."


def _scale(each: Gaps) -> Scale:
    """One for all settings, so that bars can be compared."""
    gaps = [*each.means.values(), *(gap for row in each.gaps.values() for gap in row.values())]
    return linear([0.0, *(x for gap in gaps for x in (gap.difference, gap.low, gap.high) if x is not None)])


def _table(document: Document, each: Gaps, name: str, scale: Scale) -> Table:
    columns = (
        Column("Language"),
        Column(strip.axis(scale, "difference of loss in nats"), "plot"),
        Column("Gap", "number"),
        Column("95 % from", "number", minor=True),
        Column("to", "number", minor=True),
        Column("Verdict", minor=True),
    )
    languages = [language for language in document.languages if name in each.gaps.get(language.tag, {})]
    rows = tuple(_row(language.label, each.gaps[language.tag][name], scale) for language in languages)
    mean = each.means.get(name)
    condition = _CONDITIONS.get(each.condition, each.condition)
    caption = (
        f"{name} against {each.reference}, {condition}: loss in nats; to the left of 0 it is lower with "
        "others (transfer), to the right higher (interference); pale where the interval holds 0 or is not "
        "known, or a setting is still on the unigram plateau"
    )
    return Table(
        caption, columns, (Rows("", rows),), _row("Mean", mean, scale) if mean and len(rows) > 1 else ()
    )


def _row(label: str, gap: Gap, scale: Scale) -> tuple[Cell, ...]:
    between = f"{signed(gap.low)} to {signed(gap.high)}" if gap.interval else ""
    said_ = (
        f"{signed(gap.difference)} nats{f' ({between})' if between else ''}, {gap.verdict or 'no verdict'}"
    )
    drawn = None
    if gap.difference is not None:
        sure = gap.verdict in (TRANSFER, INTERFERENCE)
        drawn = Bar(gap.difference, said_, gap.difference < 0, sure, gap.interval)
    return (
        Cell(label),
        Cell(bar(drawn, scale, f"{label}: {said_}"), kind="plot"),
        Cell(signed(gap.difference), gap.difference, "number"),
        *(Cell(signed(end), end, "number") for end in (gap.low, gap.high)),
        Cell(gap.verdict),
    )


def _losses(document: Document, each: Gaps) -> Table:
    names = list(dict.fromkeys(name for row in each.settings.values() for name in row))
    columns = (
        Column("Language"),
        Column("unigram entropy", "number"),
        *(
            Column(f"{name}, {what}", "number")
            for name in names
            for what in ("loss", "sd", "seeds", "tokens")
        ),
    )
    rows = []
    for language in document.languages:
        if language.tag not in each.settings:
            continue
        cells = [Cell(language.label), Cell.of(each.entropy[language.tag], 3)]
        for name in names:
            setting = each.settings[language.tag].get(name)
            if setting is None:
                cells += [Cell.of(None)] * 4
            else:
                tokens = Cell(count(setting.tokens), setting.tokens, "number")
                cells += [
                    Cell.of(setting.mean, 3),
                    Cell.of(setting.spread, 3),
                    Cell.of(float(setting.seeds)),
                    tokens,
                ]
        rows.append(tuple(cells))
    return Table("Loss in nats: mean and spread over seeds", columns, (Rows("", tuple(rows)),), sortable=True)
