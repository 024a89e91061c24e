"""Documents of a data folder that are held out and trained on at once. There must be none.

N tokens, K documents.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polymod.text.shards import Ids, Shards
from polymod.text.split import SPLITS

TOKENS_AT_ONCE = 2**20
_FACTOR = np.uint64(0x9E3779B97F4A7C15)

Keys = NDArray[np.uint64]


@dataclass(frozen=True)
class Question:
    """A language of a data folder."""

    tag: str
    folder: Path
    size: int


def count_overlap(task: Question) -> Generator[int, None, int]:
    """Number of documents that are in the train split and in another one, by their tokens."""
    shards = Shards.open(task.folder, [task.tag], verify=False)
    held_out = [keys for split in SPLITS[1:] for keys in document_keys(shards, task.tag, split)]
    known = np.unique(np.concatenate(held_out)) if held_out else np.zeros(0, dtype=np.uint64)
    found = 0
    for keys in document_keys(shards, task.tag, "train"):
        found += int(np.isin(keys, known).sum())
        yield len(keys)
    return found


def document_keys(shards: Shards, tag: str, split: str) -> Iterator[Keys]:
    """64 bits for each document of a stream; equal documents have equal keys."""
    total, start = shards.num_tokens(tag, split), 0
    eos, length = shards.vocabulary.eos_id, TOKENS_AT_ONCE
    while start < total:
        ids_N = shards.take(tag, split, np.array([start]), min(length, total - start))[0]
        ends_K = np.flatnonzero(ids_N == eos)
        if not len(ends_K) and start + length < total:
            length *= 2  # a document longer than that
            continue
        stop = int(ends_K[-1]) + 1 if len(ends_K) else len(ids_N)
        yield keys_of(ids_N[:stop], ends_K if len(ends_K) else np.array([stop - 1]))
        start, length = start + stop, TOKENS_AT_ONCE


def keys_of(ids_N: Ids, ends_K: NDArray[np.int64]) -> Keys:
    """A polynomial in a fixed factor, modulo 2^64, over the scrambled tokens of each document."""
    starts_K = np.concatenate([[0], ends_K[:-1] + 1])
    lengths_K = np.diff(np.append(starts_K, len(ids_N)))
    place_N = np.arange(len(ids_N)) - np.repeat(starts_K, lengths_K)
    powers = np.cumprod(np.full(int(lengths_K.max()), _FACTOR, dtype=np.uint64))
    token_N = (ids_N.astype(np.uint64) + np.uint64(1)) * _FACTOR
    token_N ^= token_N >> np.uint64(29)
    return np.add.reduceat(token_N * powers[place_N], starts_K)
