"""Inference: premise, hypothesis, and whether the one entails or contradicts the other.

The hypothesis is drawn first and the label by turns, so that nothing in a hypothesis tells the label; the
premise is then drawn from claims that imply the hypothesis, exclude it, or leave it open. Where the
hypothesis denies what it says, claims that exclude it entail it and those that imply it contradict it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from polymod.worlds.cast import rivals
from polymod.worlds.chance import Chance
from polymod.worlds.concepts import (
    CLASS_OF,
    DESCRIBED,
    HYPERNYMS,
    MANNERS,
    NOUNS,
    OPPOSITE,
    QUALITIES,
    TIMES,
)
from polymod.worlds.grammar import Grammar
from polymod.worlds.meaning import Clause, Mention, Sentence
from polymod.worlds.story import Story

LABELS = ("entailment", "neutral", "contradiction")
NEGATED = 1 / 3  # share of hypotheses that deny
GENERAL = 0.2  # share of hypotheses that call the patient by its more general word
CONTEXT = 0.4  # share of premises with a second sentence that has nothing to do with it
EVENTS, PLACES = (
    0.7,
    0.15,
)  # hypotheses on what happens, on where somebody is; the rest: on what things are like
TAKEN = 0.4  # chance that a clause of a story that would do is taken
_PLACES = (*NOUNS["outdoors"], *NOUNS["building"])


class Inference(NamedTuple):
    """Premise, hypothesis and gold label."""

    premise: tuple[Sentence, ...]
    hypothesis: Clause
    label: str


class Claims(NamedTuple):
    """A hypothesis (affirmed), and clauses that imply it, exclude it, or do neither."""

    hypothesis: Clause
    imply: tuple[Clause, ...]
    exclude: tuple[Clause, ...]
    leave_open: tuple[Clause, ...]


def draw(chance: Chance, number: int) -> Inference:
    """An inference; the labels take turns."""
    kind, negated = chance.random(), chance.random() < NEGATED
    claims = (_event if kind < EVENTS else _place if kind < EVENTS + PLACES else _quality)(chance)
    label = LABELS[number % len(LABELS)]
    if label == "neutral":
        ways = claims.leave_open
    else:
        ways = claims.imply if (label == "entailment") != negated else claims.exclude
    hypothesis = claims.hypothesis._replace(negated=negated)
    premise: tuple[Sentence, ...] = ((chance.pick([way for way in ways if way != hypothesis]),),)
    if chance.random() < CONTEXT:
        aside = chance.pick(Story(chance).tell())
        if not any(clause.asked for clause in aside):
            premise = (aside, *premise) if chance.random() < 0.5 else (*premise, aside)
    return Inference(premise, hypothesis, label)


def say(grammar: Grammar, inference: Inference) -> dict[str, Any]:
    """``premise hypothesis label`` in one language."""
    premise, hypothesis = grammar.text(inference.premise), grammar.text([(inference.hypothesis,)])
    return {"premise": premise, "hypothesis": hypothesis, "label": inference.label}


def _event(chance: Chance) -> Claims:
    """What somebody does to something, with details of which the hypothesis has some but not all."""
    clause, patient = _told(chance)
    base = clause._replace(agent=clause.agent.bare, patient=patient.bare, time="", manner="", link="")
    base = base._replace(obliques=tuple((word, mention.bare) for word, mention in base.obliques))
    details = {"time": chance.pick(TIMES), "manner": chance.pick(MANNERS)}
    if not patient.name:
        details["quality"] = chance.pick(QUALITIES[chance.pick(DESCRIBED[CLASS_OF[patient.noun]])])
    if not base.obliques:
        details["place"] = chance.pick([place for place in _PLACES if place != patient.noun])
    order = chance.sample(tuple(details), len(details))
    shown = order[: 1 + (len(order) > 2 and chance.random() < 0.4)]
    claimed = _general(base) if chance.random() < GENERAL else base
    same, broad = _with(claimed, details, shown), _with(claimed, details, shown[1:])
    narrow = _with(base, details, order[: len(shown) + 1])
    changed = _changed(base, chance) if claimed is base else _by_another(base, chance)
    other = _with(changed, details, shown)
    imply, exclude = [narrow], [_not(broad), _not(same)]
    if narrow.converse:
        imply.append(narrow.converse)
    if base.verb in OPPOSITE:
        exclude.append(same._replace(verb=OPPOSITE[base.verb]))
    return Claims(same, tuple(imply), tuple(exclude), (broad, _not(narrow), other, _not(other)))


def _place(chance: Chance) -> Claims:
    """Where somebody is; nobody is in two places at one time."""
    clause, _ = _told(chance)
    here, there = (("in", Mention(place)) for place in chance.sample(_PLACES, 2))
    base = Clause("be", clause.agent.bare, None, (here,), past=clause.past)
    companion = ("with", _another(base.agent, base, chance))
    timed, accompanied = base._replace(time=chance.pick(TIMES)), base._replace(obliques=(here, companion))
    same = timed if chance.random() < 0.5 else accompanied
    narrow = timed._replace(obliques=(here, companion))
    elsewhere = same._replace(obliques=(there, *same.obliques[1:]))
    other = _by_another(same, chance)
    exclude = (elsewhere, elsewhere, _not(base), _not(same))
    return Claims(same, (narrow,), exclude, (base, _not(narrow), other, _not(elsewhere)))


def _quality(chance: Chance) -> Claims:
    """What something is like: told in so many words, or by the way; what is red is not green."""
    clause, patient = _told(chance)
    while patient.name:
        clause, patient = _told(chance)
    kinds = DESCRIBED[CLASS_OF[patient.noun]]
    kind = chance.pick(kinds)
    quality, excluded = chance.sample(QUALITIES[kind], 2)
    thing = patient.bare
    same = Clause("be", thing, predicate=quality, past=clause.past)
    by_the_way = clause._replace(agent=clause.agent.bare, patient=thing._replace(adjective=quality), link="")
    otherwise = by_the_way._replace(patient=thing._replace(adjective=excluded))
    different = _another(thing, by_the_way, chance)
    exclude = (otherwise, same._replace(predicate=excluded), _not(same))
    unlike, silent = same._replace(agent=different), by_the_way._replace(patient=thing)
    aside = by_the_way._replace(patient=different._replace(adjective=quality))
    return Claims(same, (by_the_way,), exclude, (silent, unlike, _not(unlike), aside))


def _told(chance: Chance) -> tuple[Clause, Mention]:
    """A clause of a story with a person who acts on something, and that something."""
    while True:
        for sentence in Story(chance).tell():
            clause = chance.pick(sentence)
            patient, agent = clause.patient, clause.agent
            if (
                patient is None
                or clause.asked
                or not (agent.is_plain and patient.is_plain and agent.is_person)
            ):
                continue
            if chance.random() < TAKEN:
                return clause._replace(negated=False), patient


def _general(clause: Clause) -> Clause:
    """The patient by its more general word, where it has one."""
    assert clause.patient is not None
    word = HYPERNYMS.get(CLASS_OF.get(clause.patient.noun, ""))
    return (
        clause._replace(patient=clause.patient._replace(noun=word))
        if word and not clause.patient.name
        else clause
    )


def _with(clause: Clause, details: dict[str, str], shown: list[str]) -> Clause:
    """The clause with some of the details."""
    patient, obliques = clause.patient, clause.obliques
    if "quality" in shown and patient:
        patient = patient._replace(adjective=details["quality"])
    if "place" in shown:
        obliques = (*obliques, ("in", Mention(details["place"])))
    time = details["time"] if "time" in shown else ""
    manner = details["manner"] if "manner" in shown else ""
    return clause._replace(patient=patient, obliques=obliques, time=time, manner=manner)


def _changed(clause: Clause, chance: Chance) -> Clause:
    """The same done by another person, or to another thing."""
    if chance.random() < 0.5 or not clause.patient:
        return _by_another(clause, chance)
    return clause._replace(patient=_another(clause.patient, clause, chance))


def _by_another(clause: Clause, chance: Chance) -> Clause:
    return clause._replace(agent=_another(clause.agent, clause, chance))


def _another(mention: Mention, clause: Clause, chance: Chance) -> Mention:
    """Another participant of the same kind, who is not in the clause yet."""
    return chance.pick(rivals(mention, clause.mentions))


def _not(clause: Clause) -> Clause:
    return clause._replace(negated=True)
