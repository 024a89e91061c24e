"""Which split a document belongs to: a function of its text, see docs/data.md.

The second half of the document's digest, read as a number ``u`` from 0 to 1, decides the split. N documents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polymod.text.normalise import digest, normalise

SPLITS = ("train", "valid", "meta")
SMALL_VALID, SMALL_META = 0.10, 0.05  # shares of a small language


@dataclass(frozen=True)
class SplitRule:
    """Shares of the held-out splits.

    ``u < valid`` is valid and ``valid <= u < valid + meta`` is meta, in every corpus. Small languages take
    more, from ``valid + meta`` upwards: what a large corpus holds out, every small one holds out as well.
    """

    valid: float = 0.01
    meta: float = 0.01
    small: bool = False

    def of_digests(self, digests_N2: NDArray[np.uint64]) -> NDArray[np.uint8]:
        """Index into ``SPLITS`` of every document."""
        u_N = digests_N2[:, 1]
        bounds, splits = self._bounds()
        edges = np.array([min(int(bound * 2**64), 2**64 - 1) for bound in bounds], dtype=np.uint64)
        return np.array(splits, dtype=np.uint8)[np.searchsorted(edges, u_N, side="right")]

    def of_text(self, text: str) -> str:
        """The split of one document."""
        words = np.frombuffer(digest(normalise(text).encode()), dtype=">u8").astype(np.uint64)
        return SPLITS[int(self.of_digests(words[None])[0])]

    def _bounds(self) -> tuple[list[float], list[int]]:
        """Upper ends of the intervals of ``u`` but the last, and the split of every interval."""
        core = self.valid + self.meta
        if not self.small:
            return [self.valid, core], [1, 2, 0]
        more_valid = core + max(0.0, SMALL_VALID - self.valid)
        more_meta = more_valid + (max(0.0, SMALL_META - self.meta) if self.meta else 0.0)
        return [self.valid, core, more_valid, more_meta], [1, 2, 1, 2, 0]
