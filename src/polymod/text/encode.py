"""The unit of tokenising: one part of a corpus becomes a shard for every split, and counts.

A document is its ids without special tokens, then ``</s>``.

V rows of the vocabulary, N documents of the part.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save
from tokenizers import Tokenizer

from polymod.files import atomic
from polymod.text.dedup import Duplicates
from polymod.text.parts import Part
from polymod.text.split import SPLITS, SplitRule
from polymod.text.tokenizer import Vocabulary, encodes_words_alone, load_tokenizer

CHUNK_DOCUMENTS = 2048
CHUNK_CHARACTERS = 2**20
WORDS_KEPT = 200_000  # in memory, about 60 MB
LONGEST_WORD_KEPT = 40
SPECIAL_IN_TEXT = "text that the tokenizer takes for a special token"
NO_TOKENS = "no tokens"


@dataclass(frozen=True)
class PartTask:
    """A part to tokenise.

    Attributes:
        first, stop: numbers of its documents in the corpus.
        shards: folder of the language's shards.
        done: file that says that all of them are written.
    """

    tag: str
    part: Path
    number: int
    first: int
    stop: int
    duplicates: Path
    rule: SplitRule
    tokenizer: Path
    vocab_size: int
    shards: Path
    done: Path
    size: int


@dataclass
class TokenCounts:
    """What the shards of a part, or of a whole language, hold.

    Attributes:
        documents, tokens: by split; the separators ``</s>`` are among the tokens.
        characters, words: of all documents; words are divided by spaces.
        pieces: tokens of all splits without separators; ``bytes`` and ``unknown`` are among them.
        dropped: documents without a place in any split, by reason.
    """

    documents: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SPLITS, 0))
    characters: int = 0
    words: int = 0
    pieces: int = 0
    bytes: int = 0
    unknown: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def add(self, other: TokenCounts) -> None:
        """Take in the counts of another part."""
        for mine, theirs in ((self.documents, other.documents), (self.tokens, other.tokens)):
            for split in SPLITS:
                mine[split] += theirs[split]
        for reason, count in other.dropped.items():
            self.dropped[reason] = self.dropped.get(reason, 0) + count
        self.characters += other.characters
        self.words += other.words
        self.pieces += other.pieces
        self.bytes += other.bytes
        self.unknown += other.unknown


def storage_type(vocab_size: int) -> np.dtype[Any]:
    """The little-endian type in which ids are stored."""
    return np.dtype("<u2") if vocab_size <= 2**16 else np.dtype("<u4")


def shard_path(shards: Path, split: str, number: int) -> Path:
    """File of the tokens of one part and split."""
    return shards / f"{split}-{number:05d}.bin"


class Encoder:
    """Documents -> ids, without special tokens."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.encode_special_tokens = True  # "<mask>" in a text is text
        self._tokenizer = tokenizer
        self._words = _Words(tokenizer) if encodes_words_alone(tokenizer) else None

    def __call__(self, documents: Sequence[str]) -> list[list[int]]:
        """Ids of normalised documents."""
        if self._words is None:
            encodings = self._tokenizer.encode_batch_fast(documents, add_special_tokens=False)
            return [encoding.ids for encoding in encodings]
        words = self._words
        return [list(chain.from_iterable(map(words.__getitem__, text.split(" ")))) for text in documents]


class _Words(dict[str, list[int]]):
    """Ids of words; most words of a text have been seen before."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self._tokenizer = tokenizer

    def __missing__(self, word: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(word, add_special_tokens=False).ids
        if len(word) <= LONGEST_WORD_KEPT:
            if len(self) >= WORDS_KEPT:
                self.clear()
            self[word] = ids
        return ids


@lru_cache(maxsize=1)
def _tools(tokenizer: Path, vocab_size: int) -> tuple[Encoder, Vocabulary]:
    loaded = load_tokenizer(tokenizer)
    return Encoder(loaded), Vocabulary.of(loaded, vocab_size)


def encode_part(task: PartTask) -> Generator[int, None, None]:
    """Write the shards of a part, then its counts; yields bytes of text that were done."""
    encoder, vocabulary = _tools(task.tokenizer, task.vocab_size)
    part = Part(task.part)
    documents, digests_N2 = part.documents(), part.digests_in_order()
    split_N = task.rule.of_digests(digests_N2)
    kept_N = ~Duplicates(task.duplicates).mask(task.first, task.stop)
    counts, unigrams_V = TokenCounts(), np.zeros(task.vocab_size, dtype=np.int64)
    for index, split in enumerate(SPLITS):
        wanted = np.flatnonzero(kept_N & (split_N == index))
        if not len(wanted):
            continue
        with atomic(shard_path(task.shards, split, task.number)) as file:
            for texts in _chunks(documents, wanted):
                tokens = _stream(encoder(texts), texts, vocabulary, counts, split)
                histogram_V = np.bincount(tokens, minlength=task.vocab_size)
                _count(counts, histogram_V, vocabulary)
                if split == "train":
                    unigrams_V += histogram_V
                file.write(tokens.tobytes())
                yield sum(map(len, texts))
    unigrams_V[vocabulary.eos_id] = 0
    write_counts(task.done, unigrams_V, asdict(counts))


def _chunks(documents: Sequence[bytes], wanted: NDArray[np.intp]) -> Iterator[list[str]]:
    """Documents, some thousand at once, or fewer if they are long."""
    texts: list[str] = []
    characters = 0
    for index in wanted:
        texts.append(documents[index].decode())
        characters += len(texts[-1])
        if len(texts) == CHUNK_DOCUMENTS or characters >= CHUNK_CHARACTERS:
            yield texts
            texts, characters = [], 0
    if texts:
        yield texts


def _stream(
    rows: list[list[int]], texts: list[str], vocabulary: Vocabulary, counts: TokenCounts, split: str
) -> NDArray[np.unsignedinteger[Any]]:
    """Ids of documents, each ended by ``</s>``, as they are stored."""
    special = frozenset(vocabulary.special) - {vocabulary.unk_id}
    flat: list[int] = []
    for row, text in zip(rows, texts, strict=True):
        if not row or not special.isdisjoint(row):
            reason = SPECIAL_IN_TEXT if row else NO_TOKENS
            counts.dropped[reason] = counts.dropped.get(reason, 0) + 1
            continue
        flat += row
        flat.append(vocabulary.eos_id)
        counts.documents[split] += 1
        counts.characters += len(text)
        counts.words += text.count(" ") + 1
    counts.tokens[split] += len(flat)
    return np.array(flat, dtype=storage_type(vocabulary.size))


def _count(counts: TokenCounts, histogram_V: NDArray[np.int64], vocabulary: Vocabulary) -> None:
    counts.pieces += int(histogram_V.sum() - histogram_V[vocabulary.eos_id])
    counts.bytes += int(histogram_V[list(vocabulary.bytes)].sum())
    counts.unknown += int(histogram_V[vocabulary.unk_id])


def write_counts(path: Path, counts_V: NDArray[np.int64], facts: dict[str, Any]) -> None:
    """Sparse unigram counts with facts about them, atomically."""
    ids = np.flatnonzero(counts_V)
    tensors = {"ids": ids.astype(np.int64), "counts": counts_V[ids]}
    with atomic(path) as file:
        file.write(save(tensors, metadata={"facts": json.dumps(facts)}))


def read_counts(path: Path, vocab_size: int) -> tuple[NDArray[np.int64], dict[str, Any]]:
    """Counts (V,) and facts that ``write_counts`` wrote."""
    with safe_open(path, framework="numpy") as file:
        counts_V = np.zeros(vocab_size, dtype=np.int64)
        counts_V[file.get_tensor("ids")] = file.get_tensor("counts")
        return counts_V, json.loads(file.metadata()["facts"])
