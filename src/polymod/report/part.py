"""A part of a results document: look-ups that check, and that say where a wrong value stands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polymod.errors import UserError

Matrix = list[list[float | None]]


@dataclass(frozen=True)
class Part:
    """A mapping of the document; one that is absent is empty.

    Attributes:
        where: dotted path from the top of the document, for errors.
    """

    tree: Mapping[str, Any]
    where: str = ""

    def __bool__(self) -> bool:
        return bool(self.tree)

    def part(self, *keys: str) -> Part:
        """The part below these keys, empty where it is absent."""
        found = self
        for key in keys:
            value = found.tree.get(key)
            if value is not None and not isinstance(value, Mapping):
                raise found.wrong(key, value, "a mapping")
            found = Part(value or {}, found._path(key))
        return found

    def parts(self) -> dict[str, Part]:
        """All parts below, by key, in the order of the document."""
        return {str(key): self.part(key) for key in self.tree}

    def rows(self, key: str) -> tuple[Part, ...]:
        """A list of mappings."""
        found = []
        for index, row in enumerate(self.sequence(key)):
            place = f"{key}[{index}]"
            if not isinstance(row, Mapping):
                raise self.wrong(place, row, "a mapping")
            found.append(Part(row, self._path(place)))
        return tuple(found)

    def sequence(self, key: str) -> Sequence[Any]:
        """A list, empty where it is absent."""
        value = self.tree.get(key)
        if value is not None and not isinstance(value, list | tuple):
            raise self.wrong(key, value, "a list")
        return value or ()

    def matrix(self, key: str, size: int) -> Matrix:
        """A square list of lists of numbers, absent ones as None; empty where it is absent."""
        rows = self.sequence(key)
        if rows and len(rows) != size:
            raise self.wrong(key, rows, f"a list of {size} rows")
        for row in rows:
            if not isinstance(row, list | tuple) or len(row) != size:
                raise self.wrong(key, row, f"rows of {size} numbers")
        return [[finite(value, self, key) for value in row] for row in rows]

    def number(self, key: str) -> float | None:
        """A finite number; None where it is absent, None, infinite or no number in the sense of IEEE 754."""
        return finite(self.tree.get(key), self, key)

    def text(self, key: str) -> str:
        """A text, empty where it is absent."""
        value = self.tree.get(key)
        if value is not None and not isinstance(value, str):
            raise self.wrong(key, value, "a text")
        return value or ""

    def wrong(self, key: str, value: object, wanted: str) -> UserError:
        """What to raise for a value of the wrong kind."""
        what = f"{self._path(key)} of the results document is {type(value).__name__}, not {wanted}"
        return UserError(what, fix="give a document that polymod wrote")

    def _path(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else str(key)


def finite(value: object, part: Part, key: str) -> float | None:
    """A value as a finite number or None; ``part`` and ``key`` say in an error where it stood."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise part.wrong(key, value, "a number")
    return float(value) if math.isfinite(value) else None
