"""The data: documents and tokens of each language, what was set aside and why."""

from __future__ import annotations

from collections import Counter

from polymod.report.blocks import Block, Cell, Column, Details, Rows, Section, Table
from polymod.report.document import Document, Language
from polymod.report.figures import count, fixed, listed, several
from polymod.report.part import Part

_UNEVEN = 10  # times as many tokens in the largest language as in the smallest
_SPLITS = ("train", "valid", "meta")


def section(document: Document) -> Section | None:
    """Left out where the document says nothing of its data."""
    found = document.part.part("data", "languages").parts()
    rows = [(language, found[language.tag]) for language in document.languages if language.tag in found]
    if not rows:
        return None
    blocks: list[Block] = [_table(rows)]
    if aside := _set_aside(rows):
        blocks.append(Details("What was set aside, by reason", (aside,)))
    title, advice = "The data", _advice(document, rows)
    return Section("data", title, _means(document, rows), advice, tuple(blocks))


def _tokens(rows: list[tuple[Language, Part]], split: str = "train") -> dict[str, float]:
    found = {language.label: part.part("tokens").number(split) for language, part in rows}
    return {label: tokens for label, tokens in found.items() if tokens is not None}


def _means(document: Document, rows: list[tuple[Language, Part]]) -> str:
    tokens, vocabulary = _tokens(rows), document.part.part("data").number("vocabulary")
    pieces = "" if vocabulary is None else f" in a vocabulary of {count(vocabulary)}"
    if not tokens:
        return f"{several(len(rows), 'language')}{pieces}; training tokens were not counted."
    small, large = min(tokens, key=lambda tag: tokens[tag]), max(tokens, key=lambda tag: tokens[tag])
    if tokens[small] == tokens[large]:
        each = " each" if len(tokens) > 1 else ""
        return (
            f"{several(len(tokens), 'language')} with {count(tokens[small])} training tokens{each}{pieces}."
        )
    ends = f"from {small} with {count(tokens[small])} training tokens to {large} with {count(tokens[large])}"
    return f"{several(len(tokens), 'language')}{pieces}, {ends}."


def _advice(document: Document, rows: list[tuple[Language, Part]]) -> str:
    tokens = _tokens(rows)
    if tokens and max(tokens.values()) >= _UNEVEN * max(1.0, min(tokens.values())):
        return (
            "The sizes differ tenfold or more: lower --mixture.alpha if the small languages gain too little."
        )
    per_word = {
        each.label: value for each, part in rows if (value := part.number("tokens_per_word")) is not None
    }
    dearest = max(per_word, key=lambda label: per_word[label], default="")
    if len(per_word) > 1:
        return (
            f"Compare the tokens per word: {dearest} needs most ({fixed(per_word[dearest])}); if others need "
            "far fewer, enlarge the vocabulary or the language's share of the tokenizer's sample."
        )
    return "Compare the sizes with the losses above: a language that gained little may only have little text."


def _table(rows: list[tuple[Language, Part]]) -> Table:
    named = any(language.name for language, _ in rows)
    splits = [split for split in _SPLITS if any(split in part.part("documents").tree for _, part in rows)]
    columns = (
        Column("Tag"),
        *((Column("Language"),) if named else ()),
        *(Column(f"Documents, {split}", "number") for split in splits),
        *(Column(f"Tokens, {split}", "number") for split in ("train", "valid")),
        Column("Tokens per word", "number"),
        Column("Set aside", "number"),
    )
    body = []
    for language, part in rows:
        documents, tokens, aside = (
            part.part("documents"),
            part.part("tokens"),
            float(sum(_reasons(part).values())),
        )
        body.append(
            (
                Cell(language.tag, kind="tag"),
                *((Cell(language.name),) if named else ()),
                *(Cell.of(documents.number(split)) for split in splits),
                *(Cell.of(tokens.number(split)) for split in ("train", "valid")),
                Cell.of(part.number("tokens_per_word"), 2),
                Cell.of(aside),
            )
        )
    return Table(
        "Size of each language; click a head to sort", columns, (Rows("", tuple(body)),), sortable=True
    )


def _reasons(part: Part) -> Counter[str]:
    """How much was set aside for each reason."""
    found: Counter[str] = Counter()
    for kind in ("bad", "dropped"):
        reasons = part.part(kind)
        for reason in reasons.tree:
            found[f"{kind}: {reason}"] += round(reasons.number(reason) or 0)
    return +found


def _set_aside(rows: list[tuple[Language, Part]]) -> Table | None:
    body = tuple(
        (Cell(reason), Cell.of(float(number)), Cell(listed(_most(rows, reason))))
        for reason, number in sum((_reasons(part) for _, part in rows), Counter[str]()).most_common()
    )
    if not body:
        return None
    columns = (Column("Reason"), Column("Records", "number"), Column("Most in"))
    return Table("Records that are not used", columns, (Rows("", body),), sortable=True)


def _most(rows: list[tuple[Language, Part]], reason: str) -> list[str]:
    """The languages with most records of a reason."""
    numbers = {language.label: _reasons(part)[reason] for language, part in rows}
    return [label for label in sorted(numbers, key=lambda label: -numbers[label]) if numbers[label]][:3]
