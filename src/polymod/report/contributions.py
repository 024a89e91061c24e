"""What languages' modules contribute: the loss through other packs or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from polymod.report.document import Document
from polymod.report.part import Matrix, Part, finite

SOURCE, SHUFFLED, NONE = CONTROLS = ("source", "shuffled", "none")
SURE = 1.96  # standard errors to either side that hold 95 %


@dataclass(frozen=True)
class Above:
    """How far the loss through another pack is above that through the own one, in nats."""

    pack: str
    value: float
    error: float | None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % of it, by the standard error over batches."""
        return (
            None if self.error is None else (self.value - SURE * self.error, self.value + SURE * self.error)
        )


@dataclass(frozen=True)
class Contribution:
    """The modules of a run.

    Attributes:
        own: loss of each language through its own pack, in nats.
        above: by language, then by control; without what was not tried.
        means: by control, over languages.
        through: by language (row) and pack (column) how far the loss is above the own; empty for many.
    """

    run: str
    step: float
    source: str
    own: Mapping[str, float | None]
    above: Mapping[str, Mapping[str, Above]]
    means: Mapping[str, float | None]
    through: Matrix

    @property
    def tags(self) -> tuple[str, ...]:
        """Languages."""
        return tuple(self.own)


def contributions(document: Document) -> list[Contribution]:
    """Every run whose modules were tried."""
    found = [_contribution(part) for part in document.part.rows("controls")]
    return [each for each in found if any(each.above.values())]


def _contribution(part: Part) -> Contribution:
    languages = part.part("languages").parts()
    tried = {
        tag: {control: each for control in CONTROLS if (each := _above(entry.part(control)))}
        for tag, entry in languages.items()
    }
    return Contribution(
        run=part.text("run"),
        step=part.number("step") or 0.0,
        source=part.text("source"),
        own={tag: entry.number("target") for tag, entry in languages.items()},
        above=tried,
        means={control: part.part("mean").number(control) for control in CONTROLS},
        through=_through(part, languages),
    )


def _above(part: Part) -> Above | None:
    value = part.number("above_own")
    return None if value is None else Above(part.text("pack"), value, part.number("se"))


def _through(part: Part, languages: Mapping[str, Part]) -> Matrix:
    """Rows and columns are the languages; what goes through no module at all is left out."""
    packs = list(map(str, part.sequence("packs")))
    if not packs or any(tag not in packs for tag in languages):
        return []
    rows: Matrix = []
    for entry in languages.values():
        losses, own = entry.sequence("through"), entry.number("target")
        if len(losses) != len(packs):
            raise entry.wrong("through", losses, f"a list of {len(packs)} numbers")
        known = [finite(losses[packs.index(tag)], entry, "through") for tag in languages]
        rows.append([None if loss is None or own is None else loss - own for loss in known])
    return rows
