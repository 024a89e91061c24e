"""Valid loss per language: each arm beside the unigram entropy, by family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polymod.report.blocks import Cell, Column, Details, Key, Rows, Section, Table
from polymod.report.charts import strip
from polymod.report.charts.marks import swatch
from polymod.report.comparison import compare, on_plateau, worst
from polymod.report.document import NO_SCORE, Arm, Document, Language
from polymod.report.figures import fixed, listed, mean, several
from polymod.report.markup import short
from polymod.report.scales import Scale, linear

_MOST_ARMS_WITH_NUMBERS = 4


def section(document: Document) -> Section | None:
    """Left out where no arm has a loss."""
    arms = [arm for arm in document.arms if any(score.loss is not None for score in arm.scores.values())]
    if not arms:
        return None
    return Section(
        "losses",
        "Loss on held-out text",
        _means(document),
        _advice(document),
        (_key(arms), _table(document, arms), _numbers(document, arms)),
    )


def _means(document: Document) -> str:
    found = compare(document)
    if found is None or on_plateau(document):
        below = [f"{arm.name} {fixed(arm.gain)} nats" for arm in document.arms if arm.gain is not None]
        return f"Mean distance below the unigram entropy: {listed(below) or 'not known'}."
    if len(found.differences) == 1:
        return f"The {found.better.name} {document.noun} has the lower loss, by {fixed(found.mean)} nats."
    widest, narrowest = found.extremes
    languages = several(len(found.differences), "language")
    return (
        f"The {found.better.name} {document.noun} has the lower loss in {found.wins} of {languages}: "
        f"most in {document.label(widest)} ({fixed(found.differences[widest])} nats), "
        f"least in {document.label(narrowest)} ({fixed(found.differences[narrowest])})."
    )


def _advice(document: Document) -> str:
    if low := on_plateau(document):
        names = listed([arm.name for arm in low])
        return (
            f"Train {names} longer: within 1 nat of the unigram entropy, no {document.noun} has learnt much."
        )
    least = dict.fromkeys(document.label(tag) for tag, _ in filter(None, map(worst, document.arms)))
    if not least:
        return (
            f"Score the {document.noun}s together with their unigram entropy, to see what they have learnt."
        )
    help_ = "more text, more steps or a larger share of the batches may help"
    return f"Look first at {listed(list(least))}, where {document.article} gained least: {help_}."


def _key(arms: Sequence[Arm]) -> Key:
    entries = [(swatch(arm.number), arm.name) for arm in arms]
    return Key((*entries, (swatch(None), "unigram entropy, the score of word frequencies alone")))


def _table(document: Document, arms: Sequence[Arm]) -> Table:
    values = [score.loss for arm in arms for score in arm.scores.values() if score.loss is not None]
    values += [
        entropy for language in document.languages if (entropy := document.entropy(language.tag)) is not None
    ]
    scale = linear(values)
    shown = arms[:_MOST_ARMS_WITH_NUMBERS]
    columns = (
        Column("Language"),
        Column(strip.axis(scale, "mean loss in nats"), "plot"),
        *(Column(arm.name, "number", series=arm.number) for arm in shown),
        Column("unigram", "number", minor=True),
    )
    groups = tuple(
        Rows(
            f"Family {family}" if family else "",
            tuple(_row(document, each, shown, arms, scale) for each in members),
        )
        for family, members in _scored_families(document, arms).items()
    )
    foot = _foot(document, shown, arms, scale)
    return Table(
        "Mean loss over masked tokens, nats; lower is better", columns, groups, foot, crowded=len(shown) > 2
    )


def _scored_families(document: Document, arms: Sequence[Arm]) -> dict[str, list[Language]]:
    found = {
        family: [language for language in members if any(language.tag in arm.scores for arm in arms)]
        for family, members in document.families.items()
    }
    return {family: members for family, members in found.items() if members}


def _row(
    document: Document, language: Language, shown: Sequence[Arm], arms: Sequence[Arm], scale: Scale
) -> tuple[Cell, ...]:
    losses = {arm.name: arm.scores[language.tag].loss if language.tag in arm.scores else None for arm in arms}
    head = Cell(language.label, kind="tag" if language.label == language.tag else "text")
    return (head, *_values(language.label, losses, document.entropy(language.tag), shown, arms, scale))


def _foot(document: Document, shown: Sequence[Arm], arms: Sequence[Arm], scale: Scale) -> tuple[Cell, ...]:
    """Means over the languages that every arm has a loss for."""
    tags = dict.fromkeys(tag for arm in arms for tag in arm.scored)
    entropy = mean([value for tag in tags if (value := document.entropy(tag)) is not None])
    losses = {arm.name: arm.loss for arm in arms}
    if len(tags) < 2:
        return ()
    return (Cell("Mean"), *_values("mean over languages", losses, entropy, shown, arms, scale))


def _numbers(document: Document, arms: Sequence[Arm]) -> Details:
    """The losses again, with perplexities and the number of tokens they are means of."""
    heads = [
        Column(f"{head}, {short(arm.name, 16)}", "number")
        for arm in arms
        for head in ("loss", "perplexity", "tokens")
    ]
    rows = []
    for language in document.languages:
        cells = [Cell(language.label), Cell.of(document.entropy(language.tag), 3)]
        for arm in arms:
            score = arm.scores.get(language.tag, NO_SCORE)
            cells += [Cell.of(score.loss, 3), Cell.of(score.perplexity, 1), Cell.of(score.tokens)]
        rows.append(tuple(cells))
    columns = (Column("Language"), Column("unigram entropy", "number"), *heads)
    table = Table(
        "Valid split: nats, perplexity, predicted tokens", columns, (Rows("", tuple(rows)),), sortable=True
    )
    return Details("The numbers", (table,))


def _values(
    label: str,
    losses: Mapping[str, float | None],
    entropy: float | None,
    shown: Sequence[Arm],
    arms: Sequence[Arm],
    scale: Scale,
) -> tuple[Cell, ...]:
    """The strip and the figures of a row."""
    marks = [] if entropy is None else [strip.Mark(entropy, None, f"unigram entropy {fixed(entropy)}")]
    marks += [
        strip.Mark(loss, arm.number, f"{arm.name} {fixed(loss)}")
        for arm in reversed(arms)
        if (loss := losses[arm.name]) is not None
    ]
    title = f"{label}: {', '.join(mark.tip for mark in reversed(marks)) or 'no loss'}"
    known = [loss for loss in losses.values() if loss is not None]
    best = min(known) if len(known) == len(arms) > 1 else None
    numbers = (losses[arm.name] for arm in shown)
    return (
        Cell(strip.strip(marks, scale, title), kind="plot"),
        *(Cell.of(loss, 2, best=loss is not None and loss == best) for loss in numbers),
        Cell.of(entropy, 2),
    )
