"""What a section is made of; ``page.html`` knows how each kind of block looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from markupsafe import Markup

from polymod.report.figures import fixed


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: escaped unless it is Markup.
        sort: what numbers are sorted by; cells without it are sorted by their text.
        kind: how it is set; ``tag`` is a language tag, ``plot`` a chart.
        best: set in bold.
    """

    text: str
    sort: float | None = None
    kind: Literal["text", "number", "tag", "plot"] = "text"
    best: bool = False

    @classmethod
    def of(cls, value: float | None, digits: int = 0, *, best: bool = False) -> Cell:
        """A number; a dash where there is none."""
        return cls(fixed(value, digits), value, "number", best)


@dataclass(frozen=True)
class Column:
    """Head of a column; ``minor`` ones are left out on narrow screens, ``series`` is an arm's number."""

    head: str | Markup
    kind: Literal["text", "number", "tag", "plot"] = "text"
    minor: bool = False
    series: int | None = None


@dataclass(frozen=True)
class Rows:
    """Rows of a table under a heading of their own; an empty heading is left out."""

    heading: str
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row is its head.

    Attributes:
        sortable: by its heads; only a table of one group can be.
        crowded: on narrow screens a plot is worth more than the figures beside it.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[Column, ...]
    groups: tuple[Rows, ...]
    foot: tuple[Cell, ...] = ()
    sortable: bool = False
    crowded: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart; ``wide`` ones keep their size and scroll inside their own box. A heading tells many apart."""

    kind: ClassVar[str] = "chart"
    svg: Markup
    caption: str = ""
    wide: bool = False
    label: str = ""  # of the box that scrolls
    heading: str = ""


@dataclass(frozen=True)
class Multiples:
    """Small charts of one kind side by side, each with its heading and a few words."""

    kind: ClassVar[str] = "multiples"
    charts: tuple[tuple[str, str | Markup, Markup], ...]


@dataclass(frozen=True)
class Key:
    """What the markers mean, for charts that have no room for direct labels."""

    kind: ClassVar[str] = "key"
    entries: tuple[tuple[Markup, str], ...]


@dataclass(frozen=True)
class Points:
    """Sentences, one below the other."""

    kind: ClassVar[str] = "points"
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """Names and values; ``code`` sets the values as code."""

    kind: ClassVar[str] = "facts"
    pairs: tuple[tuple[str, str], ...]
    code: bool = False


@dataclass(frozen=True)
class Details:
    """Blocks that are shown on demand."""

    kind: ClassVar[str] = "details"
    summary: str
    blocks: tuple[Block, ...]


Block = Table | Chart | Multiples | Key | Points | Facts | Details


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        name: its anchor; never from data.
        means: one sentence, what the data say here.
        advice: one sentence, what to do about it.
    """

    name: str
    title: str
    means: str
    advice: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Tile:
    """A key figure; ``series`` gives it an arm's colour."""

    label: str
    value: str
    note: str
    series: int | None = None
