"""Counter-based random numbers and permutations: any element at once, no state, the same on every machine.

B elements.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ROUNDS = 6


def key(*parts: object) -> np.uint64:
    """A 64-bit key from anything that prints, such as a seed and a tag."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return np.uint64(int.from_bytes(digest[:8], "little"))


def mix(x: U64) -> U64:
    """SplitMix64's finaliser (Steele et al. 2014): neighbouring counters give independent bits."""
    with np.errstate(over="ignore"):
        x = x + _GOLDEN
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def uniform(bits: U64) -> NDArray[np.float64]:
    """Numbers in [0, 1) from the upper 53 bits."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def permute(index_B: NDArray[np.int64], size_B: NDArray[np.int64], key_B: U64) -> NDArray[np.int64]:
    """Image of each index under the random permutation of ``range(size)`` that its key names.

    A balanced Feistel network over the next even number of bits; images outside the range walk on along their
    cycle (Black and Rogaway 2002), so that it is a permutation of the range itself.
    """
    half = np.maximum(
        (np.ceil(np.log2(np.maximum(size_B, 2))).astype(np.uint64) + np.uint64(1)) // np.uint64(2), 1
    )
    mask = (np.uint64(1) << half) - np.uint64(1)
    x = index_B.astype(np.uint64)
    outside = np.ones(len(x), dtype=bool)
    while outside.any():
        left, right = x[outside] >> half[outside], x[outside] & mask[outside]
        for turn in range(_ROUNDS):
            turned = mix(right ^ mix(key_B[outside] + np.uint64(turn))) & mask[outside]
            left, right = right, left ^ turned
        x[outside] = (left << half[outside]) | right
        outside[outside] = x[outside] >= size_B[outside].astype(np.uint64)
    return x.astype(np.int64)
