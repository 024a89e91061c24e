"""Languages added to a trained run, as a results document tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from polymod.report.document import Document
from polymod.report.figures import mean, several
from polymod.report.part import Part


@dataclass(frozen=True)
class Added:
    """An added language; losses are in nats on its valid split, absent where they are not finite.

    Attributes:
        start: loss before its own parameters were trained.
        loss: at the end.
        no_module: at the end, with the same text through no module.
        entropy: of a model that knows the frequencies of its tokens only.
        init_from: languages whose mean its module started from.
        part: its part of the document.
    """

    tag: str
    start: float | None
    loss: float | None
    no_module: float | None
    entropy: float | None
    init_from: tuple[str, ...]
    part: Part

    @property
    def gain(self) -> float | None:
        """Nats below the unigram entropy."""
        return None if self.loss is None or self.entropy is None else self.entropy - self.loss


@dataclass(frozen=True)
class Additions:
    """What was added.

    Attributes:
        old: of every old language, whether it is bit for bit as it was.
    """

    languages: tuple[Added, ...]
    old: Mapping[str, bool]

    @property
    def loss(self) -> float | None:
        """Mean over the languages, if it is known of all."""
        losses = [added.loss for added in self.languages if added.loss is not None]
        return mean(losses) if len(losses) == len(self.languages) else None

    @property
    def equal(self) -> int:
        """Old languages that are bit for bit as they were."""
        return sum(self.old.values())

    @property
    def gain(self) -> float | None:
        """Mean nats below the unigram entropy, if it is known of all."""
        gains = [added.gain for added in self.languages if added.gain is not None]
        return mean(gains) if len(gains) == len(self.languages) else None

    @property
    def worst(self) -> Added | None:
        """The language least below its unigram entropy, if there are several that this is known of."""
        known = [(added.gain, added) for added in self.languages if added.gain is not None]
        return min(known, key=lambda each: each[0])[1] if len(known) > 1 else None


def additions(document: Document) -> Additions | None:
    """None where the document knows of no added language."""
    part = document.part.part("added")
    languages = tuple(_added(tag, each) for tag, each in part.part("languages").parts().items())
    old = part.part("old_languages").parts()
    return Additions(languages, {tag: _equal(each) for tag, each in old.items()}) if languages else None


def unchanged(found: Additions) -> str:
    """``12 of 12 old languages are bit for bit as they were``; empty where it was not compared."""
    if not found.old:
        return ""
    old = several(len(found.old), "old language")
    return f"{found.equal} of {old} {'is' if len(found.old) == 1 else 'are'} bit for bit as before"


def _added(tag: str, part: Part) -> Added:
    return Added(
        tag=tag,
        start=part.number("start"),
        loss=part.number("loss"),
        no_module=part.number("no_module"),
        entropy=part.number("unigram_entropy"),
        init_from=tuple(str(each) for each in part.sequence("init_from")),
        part=part,
    )


def _equal(part: Part) -> bool:
    value = part.tree.get("bit_equal")
    if not isinstance(value, bool):
        raise part.wrong("bit_equal", value, "true or false")
    return value
