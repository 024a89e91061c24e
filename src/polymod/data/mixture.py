"""Which language, and which of its blocks, fills each slot of training: a pure function of seed and slot
number.

Slots come in cycles. In every cycle a language has the same whole number of slots (its share, exact to one
slot of the cycle), spread evenly with random jitter, so that every batch and not only the average follows the
mixture.

K slots of a cycle, B slots asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from polymod.data.random import U64, key, mix, permute, uniform

_SMALLEST_CYCLE, _LARGEST_CYCLE = 2**12, 2**20
_APART = 0.02
_SLOTS_OF_RAREST = 32  # aimed at, so that rounding to whole slots changes no share by more than 2 %


def shares(tokens: Mapping[str, int], alpha: float) -> dict[str, float]:
    """Sampling share of each language: ``tokens ** alpha``, normalised.

    1 follows the data, 0 gives every language the same; X-MOD uses 0.7 (XLM-R 0.3).
    """
    weights = {tag: float(count) ** alpha for tag, count in tokens.items()}
    total = sum(weights.values())
    return {tag: weight / total for tag, weight in weights.items()}


def equally_many(a: float, b: float, *, step: int) -> bool:
    """Whether tokens of a language that two runs see count as equally many: up to 2 %, or to one batch."""
    return abs(a - b) <= max(_APART * max(a, b), step)


class Mixture:
    """Slot number -> language and running number of that language's block."""

    def __init__(self, share_of: Mapping[str, float], seed: int) -> None:
        self.tags = tuple(sorted(share_of))  # the order of the user's list must not matter
        self.seed = seed
        share_L = np.array([share_of[tag] for tag in self.tags])
        wanted = 2 ** np.ceil(np.log2(_SLOTS_OF_RAREST / share_L.min()))
        self.cycle = int(np.clip(wanted, _SMALLEST_CYCLE, _LARGEST_CYCLE))
        self.quota_L = _apportion(share_L, self.cycle)
        self._in_cycle = lru_cache(maxsize=2)(self._make_cycle)

    def at(self, slots_B: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Language (index into ``tags``) and running number of its block, for each slot."""
        language_B, number_B = np.empty_like(slots_B), np.empty_like(slots_B)
        cycle_B, place_B = np.divmod(slots_B, self.cycle)
        for cycle in np.unique(cycle_B):
            here = cycle_B == cycle
            language_K, rank_K = self._in_cycle(int(cycle))
            language_B[here] = language_K[place_B[here]]
            number_B[here] = cycle * self.quota_L[language_B[here]] + rank_K[place_B[here]]
        return language_B, number_B

    def _make_cycle(self, cycle: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The j-th of a language's q slots lies somewhere in the j-th of q equal parts of the cycle."""
        language_K = np.repeat(np.arange(len(self.tags)), self.quota_L)
        rank_K = np.concatenate([np.arange(quota) for quota in self.quota_L])
        jitter_K = uniform(mix(np.arange(self.cycle, dtype=np.uint64) ^ key(self.seed, "mixture", cycle)))
        order = np.argsort((rank_K + jitter_K) / self.quota_L[language_K], kind="stable")
        return language_K[order], rank_K[order]


def _apportion(share_L: NDArray[np.float64], slots: int) -> NDArray[np.int64]:
    """Whole numbers that sum to ``slots``, at least 1 each, by largest remainder."""
    exact_L = share_L * slots
    quota_L = np.maximum(1, np.floor(exact_L)).astype(np.int64)
    left = slots - int(quota_L.sum())
    if left >= 0:
        quota_L[np.argsort(quota_L - exact_L, kind="stable")[:left]] += 1
    else:  # more rare languages than slots for them: the most frequent one gives
        quota_L[np.argmax(quota_L)] += left
    return quota_L


class Blocks:
    """Running number of a block -> where it starts in its language's token stream.

    A language's stream is cut into blocks of equal size; the left-over is spread over a random shift. One
    epoch visits every block once in random order; the next epoch has another order and another shift.
    """

    def __init__(self, num_tokens: int, size: int, seed: int, tag: str) -> None:
        self.size, self.per_epoch = size, num_tokens // size
        self._left_over = num_tokens - self.per_epoch * size
        self._key = key(seed, "blocks", tag)

    def starts(self, number_B: NDArray[np.int64]) -> NDArray[np.int64]:
        """First token of each block."""
        epoch_B, index_B = np.divmod(number_B, self.per_epoch)
        key_B: U64 = mix(epoch_B.astype(np.uint64) ^ self._key)
        block_B = permute(index_B, np.full_like(index_B, self.per_epoch), key_B)
        shift_B = (mix(key_B) % np.uint64(self._left_over + 1)).astype(np.int64)
        return block_B * self.size + shift_B
