"""Parts of a cleaned corpus on disk: documents, their sorted digests, bad records and counts in one file.

A part is a safetensors file of some megabytes, written atomically: either it is whole, or it is not there.
n documents of the part.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from polymod.files import atomic
from polymod.text.corpus import Counts
from polymod.text.normalise import DIGEST_BYTES

PREFIXES = 1024  # by the first ten bits of the digest; a range of them is found without reading the others
SUFFIX = ".part"

Digests = NDArray[np.uint64]


@dataclass(frozen=True)
class Position:
    """Where reading goes on: a piece of the plan, a byte (row) in it, and the lines read of it so far."""

    piece: int = 0
    offset: int = 0
    line: int = 0


@dataclass
class Summary:
    """What is known about a part without reading its documents.

    Attributes:
        lines_of: lines read of each file, by the file's number in the corpus.
        scripts: letters by script.
        end: where the next part begins.
        last: whether the plan's pieces end with this part.
    """

    counts: Counts = field(default_factory=Counts)
    lines_of: dict[int, int] = field(default_factory=dict)
    scripts: dict[str, int] = field(default_factory=dict)
    end: Position = Position()
    last: bool = False

    def to_json(self) -> str:
        """The summary as text."""
        return json.dumps({**vars(self), "counts": vars(self.counts), "end": vars(self.end)})

    @classmethod
    def from_json(cls, text: str) -> Summary:
        """The inverse of ``to_json``."""
        tree: dict[str, Any] = json.loads(text)
        counts = Counts(**tree["counts"])
        counts.dropped, counts.bad = Counter(counts.dropped), Counter(counts.bad)
        lines_of = {int(number): lines for number, lines in tree["lines_of"].items()}
        return cls(counts, lines_of, tree["scripts"], Position(**tree["end"]), tree["last"])


def write_part(
    path: Path, documents: list[bytes], digests: list[bytes], quarantine: list[bytes], summary: Summary
) -> None:
    """Write a part atomically.

    Args:
        documents: UTF-8 without line feeds; empty where only the digests are wanted.
        digests: of every document, in the same order.
        quarantine: JSON lines, each with its line feed.
    """
    digests_N2 = np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)
    digests_N2 = digests_N2.reshape(-1, DIGEST_BYTES // 8)
    order_N = np.lexsort((digests_N2[:, 1], digests_N2[:, 0]))  # stable: equal digests stay in order
    digests_N2 = digests_N2[order_N]
    prefixes_N = digests_N2[:, 0] >> np.uint64(54)
    tensors: dict[str, NDArray[Any]] = {
        "digests": digests_N2,
        "order": order_N.astype(np.uint32),
        "fences": np.searchsorted(prefixes_N, np.arange(PREFIXES + 1)).astype(np.uint32),
        "documents": _packed(documents),
        "quarantine": _packed(quarantine),
    }
    with atomic(path) as file:
        file.write(save(tensors, metadata={"summary": summary.to_json()}))


def _packed(lines: list[bytes]) -> NDArray[np.uint8]:
    joined = b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines)
    return np.frombuffer(zstandard.ZstdCompressor(level=1).compress(joined), dtype=np.uint8)


class Part:
    """A part that was written before."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def chain(self) -> int:
        """Number of the chain of pieces that it belongs to."""
        return int(self.path.name.split("-")[0])

    def summary(self) -> Summary:
        """Its counts and place."""
        with safe_open(self.path, framework="numpy") as file:
            return Summary.from_json(file.metadata()["summary"])

    def documents(self) -> list[bytes]:
        """Documents in UTF-8, in the order of the corpus."""
        return self._lines("documents")

    def quarantine(self) -> list[bytes]:
        """JSON lines about bad records."""
        return self._lines("quarantine")

    def digests(self, first: int = 0, stop: int = PREFIXES) -> tuple[Digests, NDArray[np.uint32]]:
        """Sorted digests (m, 2) whose first ten bits lie from ``first`` to ``stop``; their places (m,)."""
        with safe_open(self.path, framework="numpy") as file:
            fences = file.get_tensor("fences")
            start, end = int(fences[first]), int(fences[stop])
            if start == end:  # which get_slice refuses
                return np.zeros((0, 2), dtype=np.uint64), np.zeros(0, dtype=np.uint32)
            return file.get_slice("digests")[start:end], file.get_slice("order")[start:end]

    def digests_in_order(self) -> Digests:
        """Digests (n, 2) in the order of the documents."""
        sorted_N2, order_N = self.digests()
        digests_N2 = np.empty_like(sorted_N2)
        digests_N2[order_N] = sorted_N2
        return digests_N2

    def _lines(self, name: str) -> list[bytes]:
        with safe_open(self.path, framework="numpy") as file:
            data = zstandard.ZstdDecompressor().decompress(file.get_tensor(name).tobytes())
        return data.split(b"\n")[:-1]


def part_path(folder: Path, chain: int, number: int) -> Path:
    """File of the ``number``-th part of a chain of pieces."""
    return folder / f"{chain:06d}-{number:06d}{SUFFIX}"


def parts_of(folder: Path, chain: int | None = None) -> list[Part]:
    """Whole parts in a folder (of one chain), in the order of the corpus."""
    pattern = f"{'*' if chain is None else f'{chain:06d}'}-*{SUFFIX}"
    return [Part(path) for path in sorted(folder.glob(pattern)) if not path.name.startswith(".")]
