"""A value for every pair of languages: a heat map with its key, and its numbers or its ends as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from polymod.report.blocks import Block, Cell, Chart, Column, Points, Rows, Table
from polymod.report.charts.heatmap import HeatMap, draw, ramp
from polymod.report.document import Document
from polymod.report.figures import fixed, several
from polymod.report.order import arranged, picked
from polymod.report.part import Matrix

T = TypeVar("T")
MOST_WITH_NUMBERS = 40  # languages; more would make a table that nobody reads
MOST_WITH_MORE_MAPS = 120  # languages; with more, one map is enough for a page
_SMALL = 0.15  # values that need a third digit
_ENDS = 12  # pairs at either end


@dataclass(frozen=True)
class Pairs:
    """Values of pairs of languages in the order of the map.

    Attributes:
        groups: heading and number of the languages that belong together.
        rows: square.
    """

    tags: tuple[str, ...]
    groups: tuple[tuple[str, int], ...]
    places: tuple[int, ...]
    rows: Matrix

    @classmethod
    def of(cls, document: Document, tags: Sequence[str], rows: Matrix, alike: Matrix) -> Pairs:
        """Languages by family, and within a family by how ``alike`` they are."""
        found = arranged(document, tags, alike)
        places = tuple(place for _, of_group in found for place in of_group)
        groups = tuple((f"family {name}" if name else "", len(of_group)) for name, of_group in found)
        return cls(tuple(tags[place] for place in places), groups, places, picked(rows, places))

    def having(self, rows: Matrix) -> Pairs:
        """The same languages with other values, which are given in the order of the document."""
        return replace(self, rows=picked(rows, self.places))

    @property
    def values(self) -> list[tuple[float, str, str]]:
        """Every pair of two languages with a value, the lowest first; of both directions the first."""
        found = [
            (value, one, self.tags[j])
            for i, one in enumerate(self.tags)
            for j, value in enumerate(self.rows[i])
            if i < j and value is not None
        ]
        return sorted(found)

    @property
    def largest(self) -> float:
        """The largest size of a value."""
        return max((abs(value) for row in self.rows for value in row if value is not None), default=1.0)


@dataclass(frozen=True)
class Words:
    """What is written at a map.

    Attributes:
        name: unique on the page, never from data.
        caption: a sentence on what the map means and what to do about it.
    """

    name: str
    title: str
    description: str
    caption: str
    heading: str = ""


def maps(pairs: Pairs, words: Words, *, outlined: bool = False, largest: float = 0.0) -> list[Block]:
    """The map and the key of its shades, which reach from the smallest to the largest size.

    Args:
        outlined: the diagonal is of another kind.
        largest: value of the fullest shade; that of the data if it is 0.
    """
    fullest = largest or pairs.largest
    given = (words.name, words.title, words.description, pairs.tags, pairs.groups, pairs.rows)
    digits = 2 if fullest >= _SMALL else 3
    chart = HeatMap(*given, largest=fullest, outlined=outlined, digits=digits)
    negative = any(value < 0 for row in pairs.rows for value in row if value is not None)
    svg, key = draw(chart), ramp(fullest, -fullest if negative else 0.0, digits)
    return [
        Chart(svg, wide=True, label=words.title, heading=words.heading),
        Chart(key, words.caption),
    ]


def numbers(pairs: Pairs, what: str, digits: int = 2) -> Table:
    """The whole matrix; of many languages the pairs at its ends."""
    if len(pairs.tags) > MOST_WITH_NUMBERS:
        return _ends(pairs, what, digits)
    body = tuple(
        (Cell(tag, kind="tag"), *(Cell.of(value, digits) for value in row))
        for tag, row in zip(pairs.tags, pairs.rows, strict=True)
    )
    columns = (Column("Language"), *(Column(tag, "number") for tag in pairs.tags))
    return Table(f"{what} of every pair", columns, (Rows("", body),))


def _ends(pairs: Pairs, what: str, digits: int) -> Table:
    found = pairs.values
    shown = [*found[-_ENDS:][::-1], *found[: min(_ENDS, max(0, len(found) - _ENDS))][::-1]]
    body = tuple(
        (Cell(one, kind="tag"), Cell(other, kind="tag"), Cell.of(value, digits))
        for value, one, other in shown
    )
    columns = (Column("Language"), Column("Other language"), Column(what, "number"))
    caption = f"{what}: the highest and lowest of {len(found):,} pairs; the JSON document has them all"
    return Table(caption, columns, (Rows("", body),), sortable=True)


def drawn(found: Sequence[T], most: int, document: Document) -> list[T]:
    """The first of the runs that a section draws: at most so many, with many languages one."""
    return list(found[: most if len(document.languages) <= MOST_WITH_NUMBERS else 1])


def left_out(found: Sequence[T], shown: Sequence[T], noun: str = "run") -> list[Block]:
    """A sentence on the runs that are not drawn, if there are any."""
    more = several(len(found) - len(shown), f"further {noun}")
    said = f"{more} left out here; the JSON document beside this page has the numbers."
    return [Points((said,))] * (len(found) > len(shown))


def named(pair: tuple[float, str, str], digits: int = 2) -> str:
    """``qaa and qab (0.12)``."""
    value, one, other = pair
    return f"{one} and {other} ({fixed(value, digits)})"
