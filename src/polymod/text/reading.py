"""The unit of reading: a chain of pieces of files, cleaned and written as parts of bounded size.

A large plain file becomes several chains, so that several processes can read it; what is compressed can only
be read from its beginning and is a chain of its own; small files are joined. An interrupted chain goes on
after its last whole part.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from polymod.errors import UserError
from polymod.text.corpus import Counts, quarantine_entry, read
from polymod.text.inventory import EXPANSION, Corpus, Source
from polymod.text.normalise import digest
from polymod.text.parts import Position, Summary, part_path, parts_of, write_part
from polymod.text.records import BAD, Record
from polymod.text.scripts import Characters
from polymod.text.streams import blocks

PART_BYTES, PART_LINES = 16 * 2**20, 2**18  # of cleaned text; whichever comes first
CHAIN_BYTES = 64 * 2**20
TEXTS_AT_ONCE = 4096
HOPELESS = 0.5  # share of bad lines in a part at which reading stops at once


@dataclass(frozen=True)
class Piece:
    """The lines of a file that begin from byte ``start`` up to ``stop``.

    Attributes:
        number: of the file in its corpus.
        stop: None for the end of the file.
    """

    number: int
    source: Source
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class Chain:
    """Pieces that one process reads one after the other.

    Attributes:
        folder: where its parts are written.
        max_lines: stop after so many.
        max_bad: share of bad lines that the user accepts.
        keep_documents: False where only counts and digests are wanted.
        number: place in the corpus.
    """

    tag: str
    folder: Path
    max_characters: int
    max_lines: int | None = None
    max_bad: float = 1.0
    keep_documents: bool = True
    number: int = 0
    pieces: tuple[Piece, ...] = ()

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum((piece.stop or piece.source.size) - piece.start for piece in self.pieces)


def chains(corpus: Corpus, model: Chain) -> list[Chain]:
    """A corpus as chains like ``model``, in its order; a limit on the lines makes one chain of it."""
    max_lines = model.max_lines
    groups: list[list[Piece]] = [[]]
    size = 0
    for piece in _pieces(corpus, divide=max_lines is None):
        piece_size = (piece.stop or piece.source.text_size) - piece.start
        if groups[-1] and size + piece_size > CHAIN_BYTES and max_lines is None:
            groups.append([])
            size = 0
        groups[-1].append(piece)
        size += piece_size
    return [replace(model, number=number, pieces=tuple(group)) for number, group in enumerate(groups)]


def _pieces(corpus: Corpus, *, divide: bool) -> Iterator[Piece]:
    for number, source in enumerate(corpus.sources):
        whole = Piece(number, source)
        if not divide or source.compressed or source.kind == "parquet" or source.size <= CHAIN_BYTES:
            yield whole
            continue
        cuts = [*range(0, source.size, CHAIN_BYTES), source.size]
        for start, stop in pairwise(cuts):
            yield replace(whole, start=start, stop=stop)


@dataclass
class _Draft:
    """The part that is being filled."""

    documents: list[bytes] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    quarantine: list[bytes] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)  # whose characters are not yet counted
    characters: Characters = field(default_factory=Characters)
    summary: Summary = field(default_factory=Summary)

    def add(self, piece: Piece, record: Record, keep_document: bool) -> None:
        """Take in one record."""
        self.summary.counts.take(record)
        if not record.reason:
            if keep_document:
                self.documents.append(record.data)
            self.digests.append(digest(record.data))
            self.texts.append(record.text)
        elif record.reason in BAD:
            self.quarantine.append(quarantine_entry(piece.source, record))
        lines_of = self.summary.lines_of
        lines_of[piece.number] = lines_of.get(piece.number, 0) + 1

    def count_characters(self) -> None:
        """Count the characters since the last time, many at once."""
        self.characters.add(self.texts)
        self.texts.clear()

    @property
    def full(self) -> bool:
        """Whether the part has reached its size."""
        counts = self.summary.counts
        return counts.bytes >= PART_BYTES or counts.lines >= PART_LINES

    def write(self, path: Path, end: Position, *, last: bool) -> None:
        """Write the part."""
        self.count_characters()
        self.summary.scripts = dict(sorted(self.characters.scripts().items()))
        self.summary.end, self.summary.last = end, last
        write_part(path, self.documents, self.digests, self.quarantine, self.summary)


def finished(chain: Chain) -> bool:
    """Whether all of a chain's parts are there."""
    done = parts_of(chain.folder, chain.number)
    return bool(done) and done[-1].summary().last


def read_chain(chain: Chain) -> Generator[int, None, None]:
    """Read a chain from where it was left; yields the bytes on disk that were done, about.

    Raises:
        UserError: a file cannot be read, or most of its lines cannot.
    """
    done = [part.summary() for part in parts_of(chain.folder, chain.number)]
    if done and done[-1].last:
        return
    number, end = len(done), done[-1].end if done else Position()
    lines = sum(summary.counts.lines for summary in done)
    draft, told = _Draft(), end
    for place, record in _records(chain, end):
        draft.add(chain.pieces[place], record, chain.keep_documents)
        lines += 1
        if len(draft.texts) >= TEXTS_AT_ONCE or draft.full:
            draft.count_characters()
            end = Position(place, record.end, record.line)
            if told.piece == place:
                suffix = chain.pieces[place].source.path.suffix
                yield (end.offset - told.offset) // EXPANSION.get(suffix, 1)
            told = end
        if draft.full:
            _refuse_hopeless(draft.summary.counts, chain, chain.pieces[place].source)
            draft.write(part_path(chain.folder, chain.number, number), end, last=False)
            number, draft = number + 1, _Draft()
        if lines == chain.max_lines:
            break
    draft.write(part_path(chain.folder, chain.number, number), end, last=True)


def _refuse_hopeless(counts: Counts, chain: Chain, source: Source) -> None:
    bad = sum(counts.bad.values())
    if bad > max(HOPELESS, chain.max_bad) * counts.lines:
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in sorted(counts.bad.items()))
        what = f"{bad:,} of {counts.lines:,} lines on end cannot be read ({reasons})"
        raise UserError(what, where=str(source.path), fix="is it text in UTF-8? convert it, or leave it out")


def _records(chain: Chain, start: Position) -> Iterator[tuple[int, Record]]:
    """Records of the chain's pieces from a position on, with the number of the piece."""
    for number, piece in enumerate(chain.pieces):
        if number < start.piece:
            continue
        resumed = number == start.piece and (start.offset, start.line) != (0, 0)
        at = start if resumed else Position(number, _first_line(piece))
        for record in read(piece.source, at.offset, at.line, max_characters=chain.max_characters):
            if piece.stop is not None and record.offset >= piece.stop:
                break
            yield number, record


def _first_line(piece: Piece) -> int:
    """Offset of the first line that begins in the piece: after the line feed at or behind ``start - 1``."""
    if piece.start == 0:
        return 0
    offset = piece.start - 1
    for block in blocks(piece.source.path, offset):
        if (place := block.find(b"\n")) >= 0:
            return offset + place + 1
        offset += len(block)
    return offset
