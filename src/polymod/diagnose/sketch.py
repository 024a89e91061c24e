"""Gradients as rows whose inner products are wanted: whole, or as count sketches of a fixed size.

A count sketch (Charikar, Chen and Farach-Colton 2002) adds every entry, with a random sign, to one of m
buckets. Inner products of two sketches are those of the vectors on average, with a standard deviation of at
most ``|a| |b| sqrt(2 / m)``. Place and sign follow from a hash of the entry's number, so nothing as large as
the model is kept.

R rows, P entries of a vector, B of a block of them, m buckets.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polymod.data.random import key
from polymod.model.partition import Place
from polymod.train.parallel import Ranks

WHOLE_BYTES = 2**30  # rows that take more than this are sketched, unless it is asked for otherwise
BUCKETS = 4096
_BLOCK = 2**20
_MIX = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)  # SplitMix64's, as signed integers


def buckets_for(parameters: int, rows: int) -> int:
    """Size of the sketches for so many rows of so many parameters; 0, which means whole rows, if they fit."""
    return 0 if 4 * parameters * rows <= WHOLE_BYTES else BUCKETS


class Rows:
    """Vectors of several cells, one row each, reduced to what their inner products need.

    Args:
        count: R, how many rows there will be.
        buckets: m of each cell; 0 keeps the vectors whole, and so does a cell with at most m entries.
        seed: decides buckets and signs.
    """

    def __init__(self, count: int, buckets: int, seed: int = 0) -> None:
        self.buckets = buckets
        self._count, self._seed, self._done = count, seed, 0
        self._rows: dict[Place, Tensor] = {}

    def add(self, vectors: Iterable[tuple[Place, Tensor]]) -> None:
        """The next row of every cell."""
        for where, vector_P in vectors:
            if self.buckets and len(vector_P) > self.buckets:
                start = int(key(self._seed, "sketch", *where).astype(np.int64))
                vector_P = sketch(vector_P, self.buckets, start)
            if where not in self._rows:
                self._rows[where] = torch.empty(self._count, len(vector_P))
            self._rows[where][self._done] = vector_P
        self._done += 1

    def sum_(self, ranks: Ranks) -> None:
        """Replace the rows by their sums over processes that have zeros where another one has a row."""
        for rows_RP in self._rows.values():
            ranks.sum_([rows_RP], "monitor")

    def gram(self, where: Place) -> NDArray[np.float64]:
        """Inner products of the rows of a cell so far, (R, R)."""
        rows_RP = self._rows[where][: self._done]
        products: NDArray[np.float64] = (rows_RP @ rows_RP.T).double().numpy()
        return products

    @property
    def places(self) -> list[Place]:
        """The cells, in the order of the first row."""
        return list(self._rows)


def sketch(vector_P: Tensor, buckets: int, start: int) -> Tensor:
    """Count sketch of a vector, (m,) on its device.

    Args:
        start: of the counter that is hashed; one for all vectors that are to be compared.
    """
    sums_m = torch.zeros(buckets, dtype=vector_P.dtype, device=vector_P.device)
    for first in range(0, len(vector_P), _BLOCK):
        part_B = vector_P[first : first + _BLOCK]
        bits_B = _hash(torch.arange(first, first + len(part_B), device=part_B.device) + start)
        place_B = _shifted(bits_B, 1) % buckets
        sums_m.index_add_(0, place_B, torch.where((bits_B & 1).bool(), part_B, -part_B))
    return sums_m


def _hash(x_B: Tensor) -> Tensor:
    """SplitMix64's finaliser on signed integers, which wrap."""
    x_B = (x_B ^ _shifted(x_B, 30)) * _MIX[0]
    x_B = (x_B ^ _shifted(x_B, 27)) * _MIX[1]
    mixed_B: Tensor = x_B ^ _shifted(x_B, 31)
    return mixed_B


def _shifted(x_B: Tensor, by: int) -> Tensor:
    """Logical shift to the right."""
    shifted_B: Tensor = (x_B >> by) & (2 ** (64 - by) - 1)
    return shifted_B
