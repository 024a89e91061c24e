"""Sentences whose words have tags: two columns (CoNLL, TSV) or CoNLL-U."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from polymod.tasks.lines import lines, refuse

CONLLU_COLUMNS, FORM, UPOS = 10, 1, 3


@dataclass(frozen=True, slots=True)
class Tagged:
    """A sentence; ``where`` is ``file:line`` of its first word."""

    where: str
    words: tuple[str, ...]
    tags: tuple[str, ...]


Row = tuple[str, str, str] | None  # where, word, tag; None: the sentence ends


def read_tagged(path: Path, refusal: Callable[[str], str]) -> list[Tagged]:
    """The sentences of a file, which blank lines divide.

    Args:
        refusal: says what is wrong with a tag, or nothing.

    Raises:
        UserError: a line has other columns, no word, or a tag that is refused; or there is no sentence.
    """
    sentences: list[Tagged] = []
    known: dict[str, str] = {}  # tags that are not refused; each is held once
    rows: list[tuple[str, str, str]] = []
    for row in (*_rows(path), None):
        if row is not None:
            where, word, tag = row
            if not word.strip():
                refuse("no word before the tag", where)
            if tag not in known and (reason := refusal(tag)):
                refuse(f"tag {tag!r} {reason}", where)
            rows.append((where, word, known.setdefault(tag, tag)))
        elif rows:
            places, words, tags = zip(*rows, strict=True)
            sentences.append(Tagged(places[0], words, tags))
            rows = []
    return sentences


def _rows(path: Path) -> Iterator[Row]:
    columns = _conllu if ".conllu" in path.suffixes[-2:] else _two_columns
    for where, text in lines(path):
        if not text.strip():
            yield None
        elif row := columns(where, text):
            yield row


def _two_columns(where: str, text: str) -> Row:
    word, tab, tag = text.partition("\t")
    if not tab or "\t" in tag:
        fix = "a line is a word, a tab and its tag; blank lines divide sentences"
        refuse(f"{text.count(chr(9)) + 1} columns, not 2", where, fix)
    return where, word, tag.strip()


def _conllu(where: str, text: str) -> Row:
    """A word of the sentence; nothing for comments, multi-word tokens (``1-2``) and empty nodes (``1.1``)."""
    if text.startswith("#"):
        return None
    columns = text.split("\t")
    if len(columns) != CONLLU_COLUMNS:
        refuse(f"{len(columns)} columns, not the {CONLLU_COLUMNS} of CoNLL-U", where)
    number = columns[0]
    if not number.isdigit():
        if not number.replace("-", ".", 1).replace(".", "", 1).isdigit():
            refuse(f"{number!r} is no number of a word", where)
        return None
    return where, columns[FORM], columns[UPOS]
