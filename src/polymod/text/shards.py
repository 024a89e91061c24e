"""Prepared data, read for training: memory-mapped token streams, one per language and split.

B stretches, T tokens of a stretch, V rows of the vocabulary.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polymod.errors import UserError
from polymod.files import MANIFEST, language_name, problems, read_json, sha256
from polymod.languages import canonical_all, resolve
from polymod.text.encode import read_counts, storage_type
from polymod.text.split import SPLITS
from polymod.text.tokenizer import TOKENIZER, Vocabulary

DATA = "data.json"
SCHEMA = 1
MOST_MAPS = 256  # open at once: every map holds a file descriptor

Ids = NDArray[np.unsignedinteger[Any]]


class Shards:
    """A folder that ``prepare`` wrote, or some of its languages. Threads may share it.

    A stream is the documents of a split in the order of the corpus, each followed by ``</s>``.
    """

    def __init__(self, folder: Path, document: dict[str, Any], tags: Sequence[str]) -> None:
        self.folder, self._document, self._tags = folder, document, tuple(tags)
        vocabulary = dict(document["vocabulary"])
        self._vocabulary = Vocabulary(**{**vocabulary, "bytes": tuple(vocabulary["bytes"])})
        self._type = storage_type(self._vocabulary.size)
        self._files = {
            (tag, split): _shard_files(self._language_folder(tag), split) for tag in tags for split in SPLITS
        }
        sizes = {key: [file.stat().st_size for file in files] for key, files in self._files.items()}
        self._firsts = {
            key: np.cumsum([0, *sizes[key]], dtype=np.int64) // self._type.itemsize for key in self._files
        }
        self._maps: OrderedDict[Path, Ids] = OrderedDict()
        self._lock = threading.Lock()
        self.fingerprint = sha256(folder / MANIFEST)

    @classmethod
    def open(cls, folder: Path, languages: Sequence[str] | None = None, verify: bool = True) -> Shards:
        """Open a folder.

        Args:
            languages: any codes; by default all that are there.
            verify: compare the hashes of everything that is used with the manifest.

        Raises:
            UserError: no finished data folder, a language is not in it, or a file (named) is damaged.
        """
        document = read_data(folder)
        there = list(document["languages"])
        wanted = [
            resolve(code, there, where=str(folder), place="in the data")
            for code in canonical_all(languages or there)
        ]
        shards = cls(folder, document, wanted)
        if verify:
            shards._verify()
        return shards

    def of(self, tags: Sequence[str]) -> Shards:
        """Some of these languages."""
        return Shards(self.folder, self._document, tags)

    @property
    def tags(self) -> tuple[str, ...]:
        """Languages, in the order asked for."""
        return self._tags

    @property
    def vocabulary(self) -> Vocabulary:
        """Rows and special ids."""
        return self._vocabulary

    @property
    def tokenizer_path(self) -> Path:
        """The tokenizer file."""
        return self.folder / TOKENIZER

    def info(self, tag: str) -> dict[str, Any]:
        """What ``data.json`` says about a language."""
        info: dict[str, Any] = self._document["languages"][tag]
        return info

    def num_tokens(self, tag: str, split: str) -> int:
        """Length of a stream, separators included."""
        return int(self._firsts[tag, split][-1])

    def take(self, tag: str, split: str, starts_B: NDArray[np.int64], length: int) -> Ids:
        """Stretches of a stream.

        Args:
            starts_B: first token of each, so that ``start + length`` lies within the stream.

        Returns:
            ids (B, length) in the type in which they are stored.
        """
        firsts = self._firsts[tag, split]
        ids_BT: Ids = np.empty((len(starts_B), length), dtype=self._type)
        if not ids_BT.size:
            return ids_BT
        if starts_B.min() < 0 or starts_B.max() + length > firsts[-1]:
            raise IndexError(f"{tag} {split} has {firsts[-1]:,} tokens; asked for others")
        file_B = np.searchsorted(firsts, starts_B, side="right") - 1
        whole_B = starts_B + length <= firsts[file_B + 1]
        for number in np.unique(file_B[whole_B]):
            here = np.flatnonzero(whole_B & (file_B == number))
            windows = np.lib.stride_tricks.sliding_window_view(self._map(tag, split, number), length)
            ids_BT[here] = windows[starts_B[here] - firsts[number]]
        for row in np.flatnonzero(~whole_B):
            self._gather(ids_BT[row], tag, split, int(starts_B[row]))
        return ids_BT

    def unigram_counts(self, tag: str) -> NDArray[np.int64]:
        """Occurrences of each token in the train split (V,), separators left out."""
        counts_V, _ = read_counts(counts_path(self.folder, tag), self._vocabulary.size)
        return counts_V

    def _gather(self, ids_T: Ids, tag: str, split: str, start: int) -> None:
        """Fill one stretch that lies in several files."""
        firsts, filled = self._firsts[tag, split], 0
        while filled < len(ids_T):
            number = int(np.searchsorted(firsts, start + filled, side="right")) - 1
            begin = start + filled - int(firsts[number])
            piece = self._map(tag, split, number)[begin : begin + len(ids_T) - filled]
            ids_T[filled : filled + len(piece)] = piece
            filled += len(piece)

    def _map(self, tag: str, split: str, number: int) -> Ids:
        path = self._files[tag, split][number]
        with self._lock:
            if path not in self._maps:
                self._maps[path] = np.memmap(path, dtype=self._type, mode="r")
                if len(self._maps) > MOST_MAPS:
                    self._maps.popitem(last=False)
            self._maps.move_to_end(path)
            return self._maps[path]

    def _language_folder(self, tag: str) -> Path:
        return self.folder / "shards" / language_name(tag)

    def _verify(self) -> None:
        paths = [self.folder / DATA, self.tokenizer_path]
        paths += [path for files in self._files.values() for path in files]
        paths += [counts_path(self.folder, tag) for tag in self._tags]
        names = {path.relative_to(self.folder).as_posix() for path in paths}
        folders = tuple(f"shards/{language_name(tag)}/" for tag in self._tags)
        listed = read_json(self.folder / MANIFEST).get("files", {})
        names |= {name for name in listed if name.startswith(folders)}  # also those that are gone
        if found := problems(self.folder, names):
            fix = "prepare the data again into another folder, or copy this one again"
            raise UserError("\n  ".join(["the data are damaged", *found]), where=str(self.folder), fix=fix)


def read_data(folder: Path) -> dict[str, Any]:
    """The document ``data.json`` of a finished data folder.

    Raises:
        UserError: no such folder, not prepared, or not to the end.
    """
    if not folder.is_dir():
        raise UserError("no such folder", where=str(folder), fix="make it with polymod prepare")
    if not (folder / MANIFEST).exists() or not (folder / DATA).exists():
        fix = "make it with polymod prepare; an interrupted one goes on with the same command"
        raise UserError("no finished data folder", where=str(folder), fix=fix)
    document: dict[str, Any] = read_json(folder / DATA)
    if not isinstance(document, dict) or document.get("schema") != SCHEMA or "languages" not in document:
        what = f"{DATA} is not of schema {SCHEMA}"
        raise UserError(what, where=str(folder), fix="use the version of polymod that wrote it")
    return document


def counts_path(folder: Path, tag: str) -> Path:
    """File of a language's unigram counts."""
    return folder / "counts" / f"{language_name(tag)}.safetensors"


def _shard_files(folder: Path, split: str) -> list[Path]:
    """Files that hold tokens, in their order."""
    files = sorted(folder.glob(f"{split}-*.bin"))
    return [file for file in files if file.stat().st_size]
