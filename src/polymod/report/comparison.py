"""Arms compared: how far each is below the unigram entropy, which is better, by how much and where."""

from __future__ import annotations

from dataclasses import dataclass

from polymod.report.document import Arm, Document
from polymod.report.figures import fixed, listed, several

PLATEAU = 1.0  # nats below the unigram entropy from which on arms can be compared
EQUAL = 0.005  # nats that two decimals do not show


@dataclass(frozen=True)
class Comparison:
    """Two arms on the languages that every arm has a loss for.

    Attributes:
        better, other: arms; ``better`` has the lower mean loss.
        differences: nats by which ``better`` is lower, by tag; negative where it is higher.
    """

    better: Arm
    other: Arm
    differences: dict[str, float]

    @property
    def mean(self) -> float:
        """Mean difference in nats, at least 0."""
        return sum(self.differences.values()) / len(self.differences)

    @property
    def wins(self) -> int:
        """Languages in which ``better`` is lower."""
        return sum(difference > EQUAL for difference in self.differences.values())

    @property
    def extremes(self) -> tuple[str, str]:
        """Tags of the largest and the smallest difference."""
        by_size = sorted(self.differences, key=lambda tag: self.differences[tag])
        return by_size[-1], by_size[0]


def scored(document: Document) -> list[Arm]:
    """Arms with at least one loss, the lowest mean first."""
    found = [(arm.loss, arm.number, arm) for arm in document.arms if arm.loss is not None]
    return [arm for _, _, arm in sorted(found, key=lambda entry: entry[:2])]


def compare(document: Document) -> Comparison | None:
    """The two best arms, if there are two that share a language."""
    arms = scored(document)[:2]
    if len(arms) < 2:
        return None
    one, two = arms
    pairs = {tag: (one.scored[tag].loss, two.scored[tag].loss) for tag in one.scored if tag in two.scored}
    differences = {tag: b - a for tag, (a, b) in pairs.items() if a is not None and b is not None}
    return Comparison(one, two, differences) if differences else None


def on_plateau(document: Document) -> list[Arm]:
    """Arms that have learnt little more than how frequent tokens are."""
    return [arm for arm in scored(document) if arm.gain is not None and arm.gain < PLATEAU]


def worst(arm: Arm) -> tuple[str, float] | None:
    """Tag and gain of the language that is least below its unigram entropy, if that is known."""
    gains = {tag: score.gain for tag, score in arm.scored.items() if score.gain is not None}
    tag = min(gains, key=lambda tag: gains[tag], default=None)
    return None if tag is None else (tag, gains[tag])


def verdict(document: Document) -> str:
    """Which arm is better, by how much, in how many languages; or why that cannot be said. A main clause."""
    found, low, noun = compare(document), on_plateau(document), document.noun
    if found is None:
        return ""
    if low:
        names = listed([arm.name for arm in low])
        arms = f"the {names} {noun} has" if len(low) == 1 else f"the {noun}s {names} have"
        return f"{arms} not left the plateau of word frequencies, so the {noun}s cannot be compared yet"
    better, other, languages = (
        found.better.name,
        found.other.name,
        several(len(found.differences), "language"),
    )
    if found.mean <= EQUAL:
        return f"the {better} {noun} and the {other} {noun} score the same to two decimals over {languages}"
    by = f"{fixed(found.mean)} nats"
    if len(found.differences) > 1:
        by += f" on average, in {found.wins} of {languages}"
    return f"the {better} {noun} is better than the {other} {noun} by {by}"
