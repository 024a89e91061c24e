"""A language added: its loss with and without its module, how it began."""

from __future__ import annotations

from collections.abc import Sequence

from polymod.report.additions import Added, Additions, additions, unchanged
from polymod.report.blocks import Block, Cell, Column, Details, Facts, Key, Rows, Section, Table
from polymod.report.charts import strip
from polymod.report.charts.marks import swatch
from polymod.report.document import Document
from polymod.report.figures import count, duration, fixed, listed, several
from polymod.report.part import Part
from polymod.report.scales import Scale, linear

_LOSS, _START, _NONE = 2, 3, 5  # marks
_NEEDED = 0.05  # nats that a module is worth at least, if it does anything
_LONGER = 1.0  # nats below the unigram entropy that a language should come to


def section(document: Document) -> Section | None:
    """Left out where no language was added."""
    found = additions(document)
    if found is None:
        return None
    one = len(found.languages) == 1
    blocks: list[Block] = [_key(), _table(document, found.languages)]
    for added in found.languages:
        facts = Facts(_facts(document, added, found))
        blocks.append(facts if one else Details(f"How {document.label(added.tag)} was added", (facts,)))
    if likenesses := _likenesses(document, found.languages):
        blocks.append(Details("Overlap with the run's languages", (likenesses,)))
    title = "A language added" if one else "Languages added"
    return Section("addition", title, _means(document, found), _advice(document, found), tuple(blocks))


def _means(document: Document, found: Additions) -> str:
    said = []
    for added in found.languages[:3]:
        way = f" (before training {fixed(added.start)}, without its module {fixed(added.no_module)})"
        below = (
            ""
            if added.gain is None
            else f", {fixed(abs(added.gain))} {_side(added.gain)} its unigram entropy"
        )
        said.append(f"{document.label(added.tag)} comes to {fixed(added.loss)} nats{way}{below}")
    if more := len(found.languages) - len(said):
        said.append(f"{several(more, 'further language')} below")
    return f"Once added, {'; '.join([*said, *filter(None, [unchanged(found)])])}."


def _side(gain: float) -> str:
    return "below" if gain >= 0 else "above"


def _advice(document: Document, found: Additions) -> str:
    if changed := [document.label(tag) for tag, equal in found.old.items() if not equal]:
        return f"Do not use this run: {listed(changed)} changed, which is a fault in polymod."
    if idle := [document.label(added.tag) for added in found.languages if _is_idle(added)]:
        return f"Train longer, or start from other relatives: the module of {listed(idle)} does nothing yet."
    other = {added.tag: added.part.part("advice").text("vocab") for added in found.languages}
    used = {added.tag: added.part.part("vocabulary").text("mode") for added in found.languages}
    if wrong := [tag for tag, vocab in other.items() if vocab and used[tag] and vocab != used[tag]]:
        ways = listed([f"--vocab {other[tag]} for {document.label(tag)}" for tag in wrong])
        return f"Try {ways}, which the tokenizer's fertility speaks for."
    if low := [document.label(a.tag) for a in found.languages if a.gain is not None and a.gain < _LONGER]:
        what = "within 1 nat of the unigram entropy little is learnt"
        return f"Train {listed(low)} longer (--train.steps): {what}."
    return (
        "Use the new run in place of the old one: it has one language more, and nothing else is different. "
        "More text or more steps lower the loss further."
    )


def _is_idle(added: Added) -> bool:
    """Whether the module is worth next to nothing."""
    if added.loss is None or added.no_module is None:
        return False
    return added.no_module - added.loss < _NEEDED


def _key() -> Key:
    return Key(
        (
            (swatch(_LOSS), "after training"),
            (swatch(_NONE), "the same without its module"),
            (swatch(_START), "before training"),
            (swatch(None), "unigram entropy"),
        )
    )


def _table(document: Document, languages: Sequence[Added]) -> Table:
    values = [value for added in languages for value in _losses(added) if value is not None]
    scale = linear(values)
    columns = (
        Column("Language"),
        Column(strip.axis(scale, "mean loss in nats"), "plot"),
        Column("trained", "number", series=_LOSS),
        Column("without", "number", series=_NONE, minor=True),
        Column("before", "number", series=_START, minor=True),
        Column("unigram", "number", minor=True),
    )
    rows = tuple(_row(document.label(added.tag), added, scale) for added in languages)
    return Table("Mean loss over masked tokens, nats; lower is better", columns, (Rows("", rows),))


def _losses(added: Added) -> tuple[float | None, ...]:
    return (added.loss, added.no_module, added.start, added.entropy)


def _row(label: str, added: Added, scale: Scale) -> tuple[Cell, ...]:
    names = ("after training", "without its module", "before training", "unigram entropy")
    numbers = (_LOSS, _NONE, _START, None)
    marks = [
        strip.Mark(value, number, f"{name} {fixed(value)}")
        for value, number, name in zip(_losses(added), numbers, names, strict=True)
        if value is not None
    ][::-1]
    title = f"{label}: {', '.join(mark.tip for mark in reversed(marks)) or 'no loss'}"
    head = Cell(label, kind="tag" if label == added.tag else "text")
    plot = Cell(strip.strip(marks, scale, title), kind="plot")
    return (head, plot, *(Cell.of(value, 2) for value in _losses(added)))


def _facts(document: Document, added: Added, found: Additions) -> tuple[tuple[str, str], ...]:
    """How it was added, in the words of the document."""
    part = added.part
    before, chosen = part.part("fertility"), part.part("chosen_fertility")
    relatives, advice = part.part("relatives"), part.part("advice")
    began = listed([document.label(tag) for tag in added.init_from]) or "a new module"
    pairs = [
        ("Its module began as", "; ".join(filter(None, (began, relatives.text("why"))))),
        ("Vocabulary", _vocabulary(part.part("vocabulary"))),
        ("Advice on the vocabulary", "; ".join(filter(None, (advice.text("vocab"), advice.text("why"))))),
        ("Fertility of the run's tokenizer", _fertility(before)),
        ("Fertility of its own tokenizer", _fertility(chosen) if chosen.tree != before.tree else ""),
        ("Trained", _training(part)),
        ("Old languages", unchanged(found)),
    ]
    return tuple((name, value) for name, value in pairs if value)


def _vocabulary(part: Part) -> str:
    """``keep, 4,000 rows``, ``extend, 5,200 rows, 1,200 of them its own``."""
    size, own = part.number("size"), part.number("own_rows")
    return ", ".join(
        [
            *filter(None, [part.text("mode")]),
            *([] if size is None else [f"{fixed(size, 0)} rows"]),
            *([f"{fixed(own, 0)} of them its own"] if own else []),
        ]
    )


def _training(part: Part) -> str:
    """``30.1 k parameters on 137 k tokens, 0.8 times its text, in 8 s``."""
    parameters, tokens = part.number("parameters"), part.number("tokens")
    epochs, seconds = part.number("epochs"), part.number("seconds")
    return ", ".join(
        [
            *([] if parameters is None else [f"{count(parameters)} parameters"]),
            *([] if tokens is None else [f"{count(tokens)} tokens"]),
            *([] if epochs is None else [f"{fixed(epochs, 1)} times its text"]),
            *([] if seconds is None else [duration(seconds)]),
        ]
    )


def _fertility(part: Part) -> str:
    """``1.52 tokens per word, 3.1 characters per token, 0.0 % bytes or unknown``."""
    shares = [share for key in ("byte_share", "unknown_share") if (share := part.number(key)) is not None]
    words, letters = part.number("tokens_per_word"), part.number("characters_per_token")
    return ", ".join(
        [
            *([] if words is None else [f"{fixed(words)} tokens per word"]),
            *([] if letters is None else [f"{fixed(letters, 1)} characters per token"]),
            *([f"{fixed(100 * sum(shares), 1)} % bytes or unknown tokens"] if shares else []),
        ]
    )


def _likenesses(document: Document, languages: Sequence[Added]) -> Table | None:
    """How far the tokens of old languages overlap with those of each added one."""
    overlaps = {added.tag: added.part.part("relatives", "overlap") for added in languages}
    old = list(dict.fromkeys(str(tag) for part in overlaps.values() for tag in part.tree))
    if not old:
        return None
    columns = (Column("Language"), *(Column(document.label(tag), "number") for tag in overlaps))
    rows = tuple(
        (Cell(document.label(tag)), *(Cell.of(part.number(tag), 2) for part in overlaps.values()))
        for tag in old
    )
    caption = "Overlap of the tokens with those of the new language; 1 would be the same text"
    return Table(caption, columns, (Rows("", rows),), sortable=True)
