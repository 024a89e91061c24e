"""Languages trained alone and together: gaps of loss, as a results document tells of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from polymod.diagnose.gaps import ON_PLATEAU
from polymod.report.document import Document
from polymod.report.part import Part

TRANSFER, INTERFERENCE = "transfer", "interference"


@dataclass(frozen=True)
class Gap:
    """How far a setting is from the reference: nats of loss, below 0 where the setting is better.

    Attributes:
        verdict: ``transfer``, ``interference``, ``neither`` or why it cannot be said (``on the plateau``).
    """

    difference: float | None
    low: float | None
    high: float | None
    verdict: str

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends of the 95 % interval, if they are known."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True)
class Setting:
    """Mean loss of a language in a setting over seeds, its spread, tokens of the language that were seen."""

    mean: float | None
    spread: float | None
    seeds: int
    tokens: float | None


@dataclass(frozen=True)
class Gaps:
    """One comparison of settings.

    Attributes:
        names: settings that are compared with the reference.
        gaps: by language, then by setting.
        means: by setting, over languages.
        notes: by setting, that it has hardly learnt anything; it has no verdict, whatever the document says.
        left_out: by setting, why it cannot be compared.
    """

    condition: str
    reference: str
    names: tuple[str, ...]
    settings: Mapping[str, Mapping[str, Setting]]
    entropy: Mapping[str, float | None]
    gaps: Mapping[str, Mapping[str, Gap]]
    means: Mapping[str, Gap]
    notes: Mapping[str, str]
    left_out: Mapping[str, str]

    def early(self, name: str) -> list[str]:
        """The reference and a setting, as far as they have hardly learnt anything."""
        return [each for each in (self.reference, name) if each in self.notes]


def comparisons(document: Document) -> list[Gaps]:
    """Every comparison that has a gap."""
    found = [_gaps(part) for part in document.part.rows("gaps")]
    return [each for each in found if each.names]


def _gaps(part: Part) -> Gaps:
    languages = part.part("languages").parts()
    notes, left_out = part.part("notes"), part.part("left_out")
    reference = part.text("reference")
    early = None if reference in notes.tree else set(notes.tree)
    by_language = {tag: _each(entry.part("gaps"), early) for tag, entry in languages.items()}
    names = dict.fromkeys(name for gaps in by_language.values() for name in gaps)
    return Gaps(
        condition=part.text("condition"),
        reference=reference,
        names=tuple(names),
        settings={
            tag: {name: _setting(each) for name, each in entry.part("settings").parts().items()}
            for tag, entry in languages.items()
        },
        entropy={tag: entry.number("unigram_entropy") for tag, entry in languages.items()},
        gaps=by_language,
        means=_each(part.part("mean"), early),
        notes={str(name): notes.text(name) for name in notes.tree},
        left_out={str(name): left_out.text(name) for name in left_out.tree},
    )


def _each(part: Part, early: Collection[str] | None) -> dict[str, Gap]:
    """Gaps by setting; those of early settings, or all if the reference is early (None), have no verdict."""
    return {name: _gap(each, early is None or name in early) for name, each in part.parts().items()}


def _gap(part: Part, early: bool) -> Gap:
    verdict = ON_PLATEAU if early else part.text("verdict")
    return Gap(part.number("difference"), part.number("low"), part.number("high"), verdict)


def _setting(part: Part) -> Setting:
    return Setting(
        part.number("mean"), part.number("sd"), len(part.sequence("losses")), part.number("tokens")
    )
