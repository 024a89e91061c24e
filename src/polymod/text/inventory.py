"""Which files are the corpus of which language."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polymod.errors import UserError
from polymod.languages import LanguageError, canonical, canonical_all, resolve
from polymod.text import parquet
from polymod.text.streams import COMPRESSIONS, head

KINDS = ("txt", "jsonl", "parquet")
# Text per byte on disk, a cautious guess for compressed files.
EXPANSION = {"": 1, ".gz": 4, ".zst": 5}
_ENCODED = {b"\xff\xfe": "UTF-16 or UTF-32", b"\xfe\xff": "UTF-16", b"\x00\x00\xfe\xff": "UTF-32"}


@dataclass(frozen=True)
class Source:
    """One file of a corpus.

    Attributes:
        name: path below the text folder, as messages show it.
        size: bytes on disk.
    """

    path: Path
    name: str
    size: int

    @property
    def kind(self) -> str:
        """``txt``, ``jsonl`` or ``parquet``."""
        kind = kind_of(self.path)
        assert kind is not None
        return kind

    @property
    def compressed(self) -> bool:
        """Whether it can only be read from its beginning."""
        return self.path.suffix in COMPRESSIONS

    @property
    def text_size(self) -> int:
        """Guess of the bytes of text in it."""
        return self.size * (3 if self.kind == "parquet" else EXPANSION.get(self.path.suffix, 1))


@dataclass(frozen=True)
class Corpus:
    """The files of one language, in the order in which they are read."""

    tag: str
    sources: tuple[Source, ...]

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(source.size for source in self.sources)

    @property
    def text_size(self) -> int:
        """Guess of the bytes of text."""
        return sum(source.text_size for source in self.sources)

    def facts(self) -> dict[str, Any]:
        """What tells that the files are still the same, without reading them."""
        listing = "".join(f"{source.name}\0{source.size}\n" for source in self.sources)
        digest = hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()
        return {"files": len(self.sources), "bytes": self.size, "names_and_sizes": digest[:16]}


def take_inventory(folder: Path, languages: Sequence[str] = ()) -> tuple[Corpus, ...]:
    """The corpora below a folder of the languages asked for (default: all, by tag).

    A file instead of a folder is the text of the one language asked for, whatever its name.

    Raises:
        UserError: neither is there, or as ``find`` and ``corpus``.
    """
    if folder.is_file() and len(languages) == 1 and kind_of(folder):
        return (corpus(canonical(languages[0]), folder, folder.parent),)
    if len(languages) == 1 and not folder.exists():
        fix = "give the language's text: a file, or a folder that holds one, such as en.txt or de.jsonl.gz"
        raise UserError("no such file or folder", where=str(folder), fix=fix)
    return tuple(corpus(tag, path, folder) for tag, path in find(folder, languages).items())


def find(folder: Path, languages: Sequence[str] = ()) -> dict[str, Path]:
    """The file or folder of every language asked for.

    Raises:
        UserError: no such folder, nothing in it, an unknown or absent language, or one language twice.
    """
    if not folder.is_dir():
        kind = "a file, not a folder" if folder.exists() else "no such folder"
        fix = "give a folder that holds a file or a folder per language, such as en.txt or de.jsonl.gz"
        raise UserError(kind, where=str(folder), fix=fix)
    wanted = canonical_all(languages, where="--languages")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if (tag := _tag_of(path, strict=not wanted)) is None:
            continue
        if tag in found and (not wanted or tag in wanted):
            what = f"{found[tag].name!r} and {path.name!r} are both the language {tag!r}"
            fix = f"put both into one folder {folder / tag}, or rename or remove one of them"
            raise UserError(what, where=str(folder), fix=fix)
        found[tag] = path
    if not found:
        fix = "files are named <language>.txt, .jsonl or .parquet, plain or with .gz or .zst"
        raise UserError("no text files here", where=str(folder), fix=fix)
    for tag in wanted:
        if tag not in found:
            raise _absent(tag, found, folder)
    return {tag: found[tag] for tag in wanted or sorted(found)}


def corpus(tag: str, path: Path, folder: Path) -> Corpus:
    """The files of one language.

    Raises:
        UserError: a file cannot be read or is in another encoding, or all of them are empty.
    """
    paths = sorted(_files_below(path)) if path.is_dir() else [path]
    sources = tuple(_source(file, folder) for file in paths)
    filled = [_check(source) for source in sources]  # all of them, for the errors
    if not any(filled):
        what = f"no text in the language {tag!r}: the file is empty"
        raise UserError(what, where=str(path), fix="give text, or leave the language out with --languages")
    return Corpus(tag, sources)


def kind_of(path: Path) -> str | None:
    """``txt``, ``jsonl``, ``parquet``, or None for a file that is no corpus."""
    suffixes = path.suffixes[-2:] if path.suffix in COMPRESSIONS else path.suffixes[-1:]
    kind = suffixes[0].removeprefix(".") if suffixes else ""
    if kind == "parquet" and path.suffix in COMPRESSIONS:
        return None
    return kind if kind in KINDS else None


def _tag_of(path: Path, *, strict: bool) -> str | None:
    """The language that a file or folder of the text folder is named after."""
    if path.name.startswith(".") or not (any(_files_below(path)) if path.is_dir() else kind_of(path)):
        return None
    stem = path.name if path.is_dir() else path.name.split(".")[0]
    try:
        return canonical(stem, where=str(path))
    except LanguageError:
        if strict:
            raise
        return None


def _absent(tag: str, found: Iterable[str], folder: Path) -> UserError:
    try:
        resolve(tag, list(found), place="with text")
    except LanguageError as error:
        return UserError(f"no text in the language {tag!r}", where=str(folder), fix=error.fix)
    raise AssertionError(tag)


def _files_below(folder: Path) -> Iterable[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith(".") and kind_of(Path(name)):
                yield Path(parent, name)


def _source(path: Path, folder: Path) -> Source:
    try:
        return Source(path, path.relative_to(folder).as_posix(), path.stat().st_size)
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from None


def _check(source: Source) -> bool:
    """Whether the file holds anything; refuses what can never be read."""
    if source.kind == "parquet":
        return source.size > 0 and parquet.check(source.path)
    start = head(source.path)
    if encoding := _other_encoding(start):
        fix = f"convert it: iconv -f {encoding.split()[0]} -t UTF-8 {source.path.name}"
        raise UserError(f"the file is {encoding}, not UTF-8", where=str(source.path), fix=fix)
    return bool(start)


def _other_encoding(start: bytes) -> str | None:
    for mark, encoding in _ENCODED.items():
        if start.startswith(mark):
            return encoding
    even, odd = start[0:1024:2], start[1:1024:2]
    for zeros, others, encoding in ((odd, even, "UTF-16LE"), (even, odd, "UTF-16BE")):
        if len(zeros) >= 4 and zeros.count(0) > 0.4 * len(zeros) and others.count(0) < 0.1 * len(others):
            return encoding
    return None
