"""The head of the page: the finding in one sentence and the key figures, computed from the data."""

from __future__ import annotations

from polymod.report.blocks import Tile
from polymod.report.comparison import compare, on_plateau, scored, verdict, worst
from polymod.report.document import Arm, Document
from polymod.report.figures import count, duration, fixed, listed, several, signed


def finding(document: Document) -> str:
    """One sentence: which arm is better by how much, and how far each is below the unigram entropy."""
    arms = scored(document)
    if not arms:
        return "This document holds no losses yet."
    said = verdict(document)
    first = _first_gain(document, arms[0], arms[0].name if said else f"the {arms[0].name} arm")
    gains = listed([first, *(_further_gain(document, arm) for arm in arms[1:])], most=8)
    sentence = "; ".join(part for part in (said, gains, _left_out(document)) if part)
    return f"{sentence[0].upper()}{sentence[1:]}."


def tiles(document: Document) -> tuple[Tile, ...]:
    """The key figures."""
    found = []
    if document.languages:
        families = [family for family in document.families if family]
        note = f"in {several(len(families), 'family', 'families')}" if families else "in this document"
        noun = "language" if len(document.languages) == 1 else "languages"
        found.append(Tile(noun.capitalize(), f"{len(document.languages):,}", note))
    for arm in sorted(scored(document), key=lambda arm: arm.number):
        note = "nats" if arm.gain is None else f"nats; {_below(arm.gain)} the unigram entropy"
        found.append(Tile(f"Mean loss, {arm.name}", fixed(arm.loss), note, series=arm.number))
    both = compare(document)
    if both is not None and not on_plateau(document):
        note = f"nats, {both.better.name} against {both.other.name}"
        found.append(Tile("Difference", signed(-both.mean), note))
        if len(both.differences) > 1:
            note = f"of {len(both.differences):,} languages"
            found.append(Tile(f"{both.better.name} is lower in", f"{both.wins:,}", note))
    if (seconds := document.part.number("seconds")) is not None:
        tokens = sum(arm.part.number("tokens") or 0 for arm in document.arms)
        note = f"for {count(tokens)} training tokens" if tokens else "from start to end"
        found.append(Tile("Time", duration(seconds), note))
    return tuple(found)


def _first_gain(document: Document, arm: Arm, name: str) -> str:
    """``modular is on average 2.87 nats below the unigram entropy (1.90 in its worst language, qac)``."""
    if arm.gain is None:
        return f"{name} has a mean loss of {fixed(arm.loss)} nats"
    low = _worst(document, arm, "in its worst language, ")
    return f"{name} is on average {_below(arm.gain, 'nats ')} the unigram entropy{low}"


def _further_gain(document: Document, arm: Arm) -> str:
    """``shared 2.15 below (1.90 in qab)``."""
    if arm.gain is None:
        return f"{arm.name} has a mean loss of {fixed(arm.loss)} nats"
    return f"{arm.name} {_below(arm.gain)}{_worst(document, arm, 'in ')}"


def _worst(document: Document, arm: Arm, place: str) -> str:
    least = worst(arm)
    if least is None or len(arm.scored) < 2:
        return ""
    gain = fixed(least[1]) if least[1] >= 0 else _below(least[1])
    return f" ({gain} {place}{document.label(least[0])})"


def _below(gain: float, unit: str = "") -> str:
    return f"{fixed(abs(gain))} {unit}{'below' if gain >= 0 else 'above'}"


def _left_out(document: Document) -> str:
    """Which languages the means are without, and why."""
    scored_tags = {tag for arm in document.arms for tag in arm.scored}
    given = {tag for arm in document.arms for tag in arm.scores}
    labels = [each.label for each in document.languages if each.tag in given - scored_tags]
    if not labels:
        return ""
    return f"the means leave out {listed(labels)}, where an arm has no finite loss"
