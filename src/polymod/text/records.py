"""Records of a text file, each with its place: lines of txt and jsonl, rows of parquet.

A record that is no document says why in ``reason``; the steps of ``corpus.py`` fill in ``text``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from polymod.text import parquet
from polymod.text.inventory import Source
from polymod.text.streams import Damaged, blocks

LONGEST_LINE = 16 * 2**20  # bytes
DEEPEST_JSON = 64

NOT_UTF8 = "not UTF-8"
CONTROL_CHARACTER = "control character"
LINE_TOO_LONG = "line longer than 16 MiB"
NOT_JSON = "not JSON"
NO_TEXT = 'no string under "text"'
NESTED = f"JSON nested deeper than {DEEPEST_JSON}"
SURROGATE = "lone surrogate"
DAMAGED = "damaged or truncated archive"
EMPTY = "empty"
TOO_LONG = "too long"
BAD = frozenset(
    {NOT_UTF8, CONTROL_CHARACTER, LINE_TOO_LONG, NOT_JSON, NO_TEXT, NESTED, SURROGATE, DAMAGED}
)  # the file is wrong; other reasons are the user's wish


@dataclass(slots=True)
class Record:
    """One line or row on its way to a document.

    Attributes:
        line: line or row number from 1, counted from where reading began.
        offset: byte of the decompressed file at which the line begins; rows before it, in parquet.
        end: offset of the next record.
        data: the line, without its line feed.
        text: the text, once decoded.
        reason: why this is no document; empty while it may be one.
    """

    line: int
    offset: int
    end: int
    data: bytes = b""
    text: str = ""
    reason: str = ""


def records(source: Source, start: int = 0, line: int = 0) -> Iterator[Record]:
    """Records of a file from byte (row) ``start`` on, ``line`` of which lie behind, with their text."""
    if source.kind == "parquet":
        return _rows(source, start, line)
    lines = decoded(_lines(source, start, line))
    return objects(lines) if source.kind == "jsonl" else lines


def _lines(source: Source, start: int, line: int) -> Iterator[Record]:
    """Lines in binary, divided by ``\\n`` and nothing else, none of which is held beyond the bound."""
    held: list[bytes] = []
    size = 0  # of the line that is being read
    offset, number = start, line
    try:
        for block in blocks(source.path, start):
            first, *rest = block.split(b"\n")
            if size <= LONGEST_LINE:
                held.append(first)
            size += len(first)
            for piece in rest:
                number += 1
                yield _line(held, size, number, offset)
                offset += size + 1
                held, size = [piece], len(piece)
    except Damaged:
        yield Record(number + 1, offset, offset + size, b"".join(held)[:LONGEST_LINE], reason=DAMAGED)
        return
    if size:
        yield _line(held, size, number + 1, offset)


def _line(held: list[bytes], size: int, number: int, offset: int) -> Record:
    if size > LONGEST_LINE:
        return Record(number, offset, offset + size + 1, b"".join(held)[:80], reason=LINE_TOO_LONG)
    data = held[0] if len(held) == 1 else b"".join(held)
    if offset == 0:
        data = data.removeprefix(b"\xef\xbb\xbf")
    return Record(number, offset, offset + size + 1, data)


def decoded(lines: Iterable[Record]) -> Iterator[Record]:
    """Strict UTF-8."""
    for record in lines:
        if not record.reason:
            try:
                record.text = record.data.decode()
            except UnicodeDecodeError:
                record.reason = NOT_UTF8
        yield record


def objects(lines: Iterable[Record]) -> Iterator[Record]:
    """The field ``text`` of JSON objects; blank lines stay blank."""
    for record in lines:
        if not record.reason and record.text.strip():
            record.text, record.reason = _field(record.text)
        yield record


def _field(line: str) -> tuple[str, str]:
    """Text and reason of one JSON line."""
    try:
        value = json.loads(line)
    except RecursionError:
        return "", NESTED
    except ValueError:  # also a number of more digits than Python reads
        return "", NOT_JSON
    if line.count("[") + line.count("{") > DEEPEST_JSON and _depth(value) > DEEPEST_JSON:
        return "", NESTED
    text = value.get("text") if isinstance(value, dict) else None
    return (text, "") if isinstance(text, str) else ("", NO_TEXT)


def _depth(value: object) -> int:
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, (dict, list))]:
        depth += 1
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return depth


def _rows(source: Source, start: int, line: int) -> Iterator[Record]:
    for number, value in enumerate(parquet.rows(source.path, start)):
        record = Record(line + number + 1, start + number, start + number + 1)
        if not isinstance(value, str):
            record.reason = NO_TEXT
        elif len(value) > LONGEST_LINE:
            record.reason = LINE_TOO_LONG
        else:
            record.text = value
        yield record
