"""The head of the page: the finding in few sentences and the key figures, computed from the data."""

from __future__ import annotations

from polymod.report.additions import Added, additions, unchanged
from polymod.report.blocks import Tile
from polymod.report.comparison import compare, on_plateau, scored, verdict, worst
from polymod.report.diagnosed import diagnosed, diagnosed_tiles
from polymod.report.document import Arm, Document
from polymod.report.figures import count, duration, fixed, listed, several, signed
from polymod.report.transfers import SOURCE, points, transfers


def finding(document: Document) -> str:
    """All sentences of the head."""
    return " ".join(sentences(document))


def sentences(document: Document) -> list[str]:
    """One each: which arm is better by how much; diagnoses; what was added; how tasks transfer."""
    found = (_arms(document), *diagnosed(document), _added(document), _transfers(document))
    return list(filter(None, found)) or ["This document holds no losses yet."]


def _arms(document: Document) -> str:
    """Which arm is better by how much, and how far each is below the unigram entropy."""
    arms = scored(document)
    if not arms:
        return ""
    said = verdict(document)
    first = _first_gain(document, arms[0], arms[0].name if said else f"the {arms[0].name} {document.noun}")
    gains = listed([first, *(_further_gain(document, arm) for arm in arms[1:])], most=8)
    sentence = "; ".join(part for part in (said, gains, _left_out(document)) if part)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _added(document: Document) -> str:
    """``Added afterwards, qad comes to 2.61 nats (2.05 below its unigram entropy)``: two, and the worst."""
    found = additions(document)
    if found is None:
        return ""
    said = [_added_language(document, added) for added in found.languages[:2]]
    if found.worst is not None and found.worst not in found.languages[:2]:
        said.append(f"at worst {_added_language(document, found.worst)}")
    if more := len(found.languages) - len(said):
        said.append(f"{several(more, 'further language')} below")
    return f"Added afterwards, {'; '.join([*said, *filter(None, [unchanged(found)])])}."


def _added_language(document: Document, added: Added) -> str:
    below = "" if added.gain is None else f" ({_below(added.gain)} its unigram entropy)"
    return f"{document.label(added.tag)} comes to {fixed(added.loss)} nats{below}"


def _transfers(document: Document) -> str:
    """``NER learnt in qaa has 61.2 F1 on average elsewhere (+2.3 against no module)``: the harder control."""
    said = []
    for each in transfers(document):
        if each.mean.value is not None:
            learnt = f"{each.name} learnt in {listed([document.label(tag) for tag in each.sources])}"
            score = f"{points(each.mean.value)} {each.metric_name} on average elsewhere"
            worth = "" if each.harder is None else f" ({_against(*each.harder)})"
            said.append(f"{learnt} has {score}{worth}")
    return f"{'; '.join(said)}." if said else ""


def _against(control: str, gain: float) -> str:
    module = "the source's module" if control == SOURCE else "no module"
    return f"{signed(gain, 1)} against {module}"


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
        if len(both.differences) > 1:
            note += f"; lower in {both.wins:,} of {len(both.differences):,}"
        found.append(Tile("Difference", signed(-both.mean), note))
    found += [*diagnosed_tiles(document), *_grown(document)]
    if (seconds := document.part.number("seconds")) is not None:
        tokens = sum(arm.part.number("tokens") or 0 for arm in document.arms)
        note = f"for {count(tokens)} training tokens" if tokens else "from start to end"
        found.append(Tile("Time", duration(seconds), note))
    return tuple(found)


def _grown(document: Document) -> list[Tile]:
    """Key figures of what was added and of tasks."""
    found = []
    added = additions(document)
    if added is not None and added.gain is not None:
        label = f"Added, {listed([document.label(each.tag) for each in added.languages], 2)}"
        note = f"nats; {_below(added.gain)} the unigram entropy"
        if added.worst is not None and added.worst.gain is not None:
            note += f" on average; {document.label(added.worst.tag)} {_below(added.worst.gain)}"
        found.append(Tile(label, fixed(added.loss), note))
    for each in transfers(document)[:4]:
        if each.mean.value is not None:
            home = "" if each.home is None else f"; {points(each.home)} where it was learnt"
            found.append(
                Tile(f"{each.name} in other languages", points(each.mean.value), f"{each.metric_name}{home}")
            )
    return found


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
    """Which languages the means are without, and why; or that they are over different ones."""
    arms = scored(document)
    if len({frozenset(arm.scored) for arm in arms}) > 1:
        return (
            f"no language has a loss in every {document.noun}, so each mean is over the {document.noun}'s own"
        )
    scored_tags = {tag for arm in document.arms for tag in arm.scored}
    odd, missing = list[str](), list[str]()
    for tag, label in ((each.tag, each.label) for each in document.languages):
        has = [arm.scores[tag].loss is not None for arm in document.arms if tag in arm.scores]
        if has and tag not in scored_tags:
            (missing if all(has) else odd).append(label)
    said = [f"{listed(missing)}, which not every {document.noun} has"] if missing else []
    said += [f"{listed(odd)}, where {document.article} has no finite loss"] if odd else []
    return f"the means leave out {', and '.join(said)}" if said else ""
