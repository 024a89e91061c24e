"""Documents of a corpus: records are normalised and filtered with a reason; the counts come for free.

The steps are generators over ``Record``; a record that has a reason passes through them untouched, so that
everything can be counted at the end.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from polymod.errors import printable
from polymod.text.inventory import Source
from polymod.text.normalise import CONTROL, normalise
from polymod.text.records import (
    BAD,
    CONTROL_CHARACTER,
    EMPTY,
    SURROGATE,
    TOO_LONG,
    Record,
    records,
)

EXCERPT = 80  # characters


@dataclass
class Counts:
    """What became of the records of a corpus.

    Attributes:
        bytes: of the documents' text in UTF-8.
        dropped, bad: records by reason.
    """

    lines: int = 0
    documents: int = 0
    characters: int = 0
    bytes: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)

    def take(self, record: Record) -> None:
        """Count a record that has passed all steps."""
        self.lines += 1
        if not record.reason:
            self.documents += 1
            self.characters += len(record.text)
            self.bytes += len(record.data)
        else:
            (self.bad if record.reason in BAD else self.dropped)[record.reason] += 1

    def add(self, other: Counts) -> None:
        """Take in the counts of another part of the corpus."""
        self.lines += other.lines
        self.documents += other.documents
        self.characters += other.characters
        self.bytes += other.bytes
        self.dropped += other.dropped
        self.bad += other.bad


def read(source: Source, start: int, line: int, *, max_characters: int) -> Iterator[Record]:
    """Every record of a file from ``start`` on; those without a reason are documents.

    A document's ``text`` is normalised and its ``data`` is the same in UTF-8, without a line feed.
    """
    return filtered(normalised(readable(records(source, start, line))), max_characters)


def readable(stream: Iterable[Record]) -> Iterator[Record]:
    """No control characters, which are a sign of binary data or of a wrong encoding."""
    for record in stream:
        if not record.reason and CONTROL.search(record.text):
            record.reason = CONTROL_CHARACTER
        yield record


def normalised(stream: Iterable[Record]) -> Iterator[Record]:
    """The text in its one form, see ``normalise``; lone surrogates, which JSON can write, have none."""
    for record in stream:
        if not record.reason:
            text = normalise(record.text)
            try:
                record.data = text.encode()
                record.text = text
            except UnicodeEncodeError:
                record.reason = SURROGATE
        yield record


def filtered(stream: Iterable[Record], max_characters: int) -> Iterator[Record]:
    """Neither empty nor longer than asked for."""
    for record in stream:
        if not record.reason:
            if not record.text:
                record.reason = EMPTY
            elif len(record.text) > max_characters:
                record.reason = TOO_LONG
        yield record


def quarantine_entry(source: Source, record: Record) -> bytes:
    """One JSON line about a bad record: where, why, and a short excerpt without control characters."""
    start = record.text or record.data[: 4 * EXCERPT].decode("utf-8", "backslashreplace")
    excerpt = printable(start[:EXCERPT], keep="")
    entry = {
        "file": source.name.encode("utf-8", "backslashreplace").decode(),
        "line": record.line,
        "byte": record.offset,
        "reason": record.reason,
        "excerpt": excerpt[:EXCERPT],
    }
    return json.dumps(entry, ensure_ascii=False).encode() + b"\n"
