"""Denials: a text says what did not happen in front of what did."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from polymod.worlds.cast import rivals
from polymod.worlds.chance import Chance
from polymod.worlds.concepts import CLASS_OF, NOUNS, OPPOSITE, QUALITIES, QUALITY_OF
from polymod.worlds.meaning import Clause, Sentence


def with_denials(sentences: Sequence[Sentence], share: float, chance: Chance) -> list[Sentence]:
    """The sentences, some of them behind the denial of the same with one part changed.

    The part is another quality, the opposite verb, or another participant, none of which the text has, so
    that nothing that is told is denied.

    Args:
        share: chance of a sentence; one that asks, denies, or has no such part stays alone.
    """
    told = [clause for sentence in sentences for clause in sentence]
    found: list[Sentence] = []
    for sentence in sentences:
        if chance.random() < share and (ways := list(_changed(sentence[0], told, chance))):
            found.append((chance.pick(ways)._replace(negated=True, manner="", link=""),))
        found.append(sentence)
    return found


def _changed(clause: Clause, told: Sequence[Clause], chance: Chance) -> Iterator[Clause]:
    """The clause with one part changed, once for each part that can be."""
    if clause.negated or clause.asked:
        return
    present = [mention for other in told for mention in other.mentions]
    said = {other.predicate for other in told} | {mention.adjective for mention in present}
    if clause.predicate:
        kind = QUALITY_OF.get(clause.predicate)
        qualities = QUALITIES[kind] if kind else NOUNS[CLASS_OF[clause.predicate]]
        if others := [quality for quality in qualities if quality not in said]:
            yield clause._replace(predicate=chance.pick(others))
    opposite = OPPOSITE.get(clause.verb, clause.verb)
    if opposite not in {other.verb for other in told}:
        yield clause._replace(verb=opposite)
    if agents := rivals(clause.agent, present):
        yield clause._replace(agent=chance.pick(agents))
    if clause.patient and (patients := rivals(clause.patient, present)):
        yield clause._replace(patient=chance.pick(patients))
    for number, (word, mention) in enumerate(clause.obliques):
        if elsewhere := rivals(mention, present):
            before, behind = clause.obliques[:number], clause.obliques[number + 1 :]
            yield clause._replace(obliques=(*before, (word, chance.pick(elsewhere)), *behind))
