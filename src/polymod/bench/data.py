"""The suite of data: how fast one core makes batches, how full they are, how soon a run goes on."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from polymod.data.loader import BatchPlan, TrainLoader
from polymod.data.masking import Masking
from polymod.data.packing import packed

Case = dict[str, Any]
BLOCK, BATCH, MICRO, VOCAB = 512, 2**17, 2**15, 250_002
FAR = 1_000_000  # a step late in a long run
BUDGET = 2**13


def tokens_per_second(languages: int, rounds: int) -> Case:
    """Tokens per second of packing and masking on one core, from memory-mapped shards."""
    with _shards(languages) as tokens:
        train, rates = _loader(tokens), []
        train.at(0)
        for step in range(rounds):
            started = time.process_time()
            train.at(step + 1)
            rates.append(BATCH / (time.process_time() - started))
    return {"spread": _spread(rates), "target": 2e6}


def fill(rounds: int) -> Case:
    """Tokens of a training batch over the room that it has."""
    with _shards(8) as tokens:
        train = _loader(tokens)
        shares = [sum(micro.num_tokens for micro in train.at(step).micro) / BATCH for step in range(rounds)]
    return {"ratio": _spread(shares), "unit": "of the room", "target": 0.98}


def fill_of_reading(rounds: int) -> Case:
    """Tokens of a batch of ragged sequences in 8 languages over its budget, as models are read with."""
    shares = []
    for turn in range(rounds):
        generator = np.random.default_rng(turn)
        lengths = np.clip(generator.lognormal(3.3, 0.7, 4000), 4, 510).astype(int)
        sequences = [[5] * int(length) for length in lengths]
        tags = [f"qaa-x-{index % 8:04d}" for index in range(len(sequences))]
        sizes = [batch.num_tokens for _, batch in packed(sequences, tags, budget=BUDGET)]
        shares.append(sum(sizes[:-1]) / (BUDGET * (len(sizes) - 1)))  # the last one is what is left
    return {"ratio": _spread(shares), "unit": "of the budget", "target": 0.98}


def going_on(languages: int, rounds: int) -> Case:
    """Seconds from nothing to the next batch at step 1,000,000, which is the one that would have come."""
    with _shards(languages) as tokens:
        straight = _loader(tokens)
        wanted = [straight.at(step).digest for step in range(FAR - 1, FAR + 1)][-1]
        seconds = []
        for _ in range(rounds):
            started = time.perf_counter()
            batch = _loader(tokens).at(FAR)
            seconds.append(time.perf_counter() - started)
            assert batch.digest == wanted, "another batch than that of a run that never stopped"
    return {"ratio": _spread(seconds), "unit": "seconds", "target": 1.0}


CASES: dict[str, Callable[[int], Case]] = {
    "loader_8": partial(tokens_per_second, 8),
    "loader_2000": partial(tokens_per_second, 2000),
    "fill": fill,
    "fill_of_reading": fill_of_reading,
    "going_on_8": partial(going_on, 8),
    "going_on_2000": partial(going_on, 2000),
}


class MappedTokens:
    """Random tokens in one memory-mapped file per language."""

    def __init__(self, folder: Path, vocab: int, num_languages: int = 8, size: int = 2**20) -> None:
        generator = np.random.default_rng(0)
        self.tags = tuple(f"qaa-x-{index:04d}" for index in range(num_languages))
        self._size = size
        for tag in self.tags:
            generator.integers(4, vocab - 1, size, dtype=np.uint32).tofile(folder / tag)
        self._maps = {tag: np.memmap(folder / tag, dtype=np.uint32, mode="r") for tag in self.tags}

    def num_tokens(self, tag: str, split: str) -> int:
        """As many of every language."""
        return self._size

    def take(self, tag: str, split: str, starts_B: np.ndarray[Any, Any], length: int) -> np.ndarray[Any, Any]:
        """Stretches (B, length)."""
        return self._maps[tag][starts_B[:, None] + np.arange(length)]


def _loader(tokens: MappedTokens) -> TrainLoader:
    masking = Masking(VOCAB - 1, (0, 1, 2, 3, VOCAB - 1), VOCAB)
    return TrainLoader(tokens, tokens.tags, masking, BatchPlan(BLOCK, BATCH, MICRO, 0.7, 0), bos_id=0)


def _spread(values: list[float]) -> dict[str, Any]:
    middle = statistics.median(values)
    return {"median": middle, "min": min(values), "max": max(values), "rounds": len(values)}


@contextmanager
def _shards(languages: int) -> Iterator[MappedTokens]:
    """The more languages, the smaller each: 64 MB in all."""
    with tempfile.TemporaryDirectory() as folder:
        yield MappedTokens(Path(folder), VOCAB, languages, 2**24 // languages)
