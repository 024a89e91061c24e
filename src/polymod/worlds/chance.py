"""Random choices that depend on names only: the same on every machine, Python version and process.

Only ``Random.random`` is used, whose sequence Python guarantees; every other choice is arithmetic on it.
"""

from __future__ import annotations

import hashlib
import random
from bisect import bisect
from collections.abc import Sequence
from typing import Generic, TypeVar

VERSION = "polymod-worlds-1"  # of the generator; another one makes other worlds from the same seeds
T = TypeVar("T")


class Chance:
    """A stream of choices; equal names give equal streams."""

    __slots__ = ("random",)

    def __init__(self, *names: str | int) -> None:
        digest = hashlib.blake2b("/".join(map(str, (VERSION, *names))).encode(), digest_size=8).digest()
        self.random = random.Random(int.from_bytes(digest, "big")).random

    def below(self, limit: int) -> int:
        """An integer from 0 to ``limit`` - 1."""
        return int(self.random() * limit)

    def pick(self, items: Sequence[T]) -> T:
        """One item, all equally likely."""
        return items[int(self.random() * len(items))]

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """``count`` different items in random order; all of them if there are fewer."""
        rest = list(items)
        return [rest.pop(self.below(len(rest))) for _ in range(min(count, len(rest)))]


class Ranked(Generic[T]):
    """Items of which the earlier are the more frequent: the weight of rank r is 1 / (r + 2)."""

    __slots__ = ("_bounds", "_total", "items")

    def __init__(self, items: Sequence[T]) -> None:
        self.items = tuple(items)
        total, bounds = 0.0, []
        for rank in range(len(self.items)):
            total += 1 / (rank + 2)
            bounds.append(total)
        self._bounds, self._total = bounds, total

    def pick(self, chance: Chance) -> T:
        """One item."""
        return self.items[bisect(self._bounds, chance.random() * self._total)]
