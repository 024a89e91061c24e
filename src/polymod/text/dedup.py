"""Exact duplicates of a corpus of any size, in memory that does not grow with it.

Every part of a corpus holds the sorted 128-bit digests of its documents. A range of digests is taken from
all parts, in their order, and sorted once more: of equal neighbours the first is the first in the corpus. The
ranges are so narrow that one of them has a bounded number of digests, and they are independent of each other.
N documents of the corpus, numbered in its order; M of them in a range.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polymod.files import atomic
from polymod.text.normalise import DIGEST_BYTES
from polymod.text.parts import PREFIXES, Part, parts_of

RANGE_DOCUMENTS = 2**21  # about 100 MB while a range is worked on

Ordinals = NDArray[np.int64]


@dataclass(frozen=True)
class Range:
    """Digests whose first ten bits lie from ``first`` to ``stop``.

    Attributes:
        parts: folder of the corpus' parts.
        folder: where the duplicates are written.
        size: bytes of digests, about.
    """

    tag: str
    parts: Path
    folder: Path
    first: int
    stop: int
    size: int

    @property
    def path(self) -> Path:
        """File of the duplicates in this range."""
        return self.folder / f"{self.first:04d}-{self.stop:04d}.bin"


def ranges(tag: str, parts: Path, folder: Path, documents: int) -> list[Range]:
    """Ranges of about equally many documents, few enough for the memory."""
    count = min(PREFIXES, -(-documents // RANGE_DOCUMENTS) or 1)
    cuts = [round(index * PREFIXES / count) for index in range(count + 1)]
    size = documents * DIGEST_BYTES // count
    return [Range(tag, parts, folder, a, b, size) for a, b in pairwise(cuts)]


def find_duplicates(task: Range) -> Generator[int, None, None]:
    """Write the numbers of all documents in the range that occurred before, ascending."""
    digests, ordinals, before = [], [], 0
    for part in parts_of(task.parts):
        digests_M2, places_M = part.digests(task.first, task.stop)
        digests.append(digests_M2)
        ordinals.append(places_M.astype(np.int64) + before)
        before += part.summary().counts.documents
    digests_M2, ordinals_M = np.concatenate(digests), np.concatenate(ordinals)
    with atomic(task.path) as file:
        file.write(repeated(digests_M2, ordinals_M).astype("<i8").tobytes())
    yield task.size


def repeated(digests_M2: NDArray[np.uint64], ordinals_M: Ordinals) -> Ordinals:
    """Of equal digests all but the first, as ascending document numbers."""
    order_M = np.lexsort((ordinals_M, digests_M2[:, 1], digests_M2[:, 0]))
    sorted_M2 = digests_M2[order_M]
    same = (sorted_M2[1:] == sorted_M2[:-1]).all(axis=1)
    return np.sort(ordinals_M[order_M[1:][same]])


class Duplicates:
    """The duplicates of a corpus whose ranges are all done."""

    def __init__(self, folder: Path) -> None:
        self._files = sorted(folder.glob("*.bin"))

    def __len__(self) -> int:
        return sum(path.stat().st_size // 8 for path in self._files)

    def mask(self, first: int, stop: int) -> NDArray[np.bool_]:
        """For the documents numbered from ``first`` to ``stop``: whether each is a duplicate."""
        mask = np.zeros(stop - first, dtype=np.bool_)
        for path in self._files:
            if path.stat().st_size:
                ordinals: Ordinals = np.memmap(path, dtype="<i8", mode="r")
                start, end = np.searchsorted(ordinals, [first, stop])
                mask[ordinals[start:end] - first] = True
        return mask


def first_documents(parts: Sequence[Part]) -> list[int]:
    """Number of the first document of every part, and of all documents at the end."""
    return list(accumulate((part.summary().counts.documents for part in parts), initial=0))
