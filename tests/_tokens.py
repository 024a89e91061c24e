"""Token streams in memory with the interface of shards."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


class MemoryTokens:
    """Random ordinary tokens (ids 4 to vocab - 2) with a document end (2) now and then."""

    def __init__(self, sizes: Mapping[str, int], vocab: int = 60, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        self.streams = {
            tag: generator.integers(4, vocab - 1, size).astype(np.uint16) for tag, size in sizes.items()
        }
        for stream in self.streams.values():
            stream[9::10] = 2

    def num_tokens(self, tag: str, split: str) -> int:
        return len(self.streams[tag])

    def take(self, tag: str, split: str, starts_B: np.ndarray, length: int) -> np.ndarray:
        return self.streams[tag][starts_B[:, None] + np.arange(length)]
