"""Questions on a text: who, what, where or when, answered by words of the text (SQuAD v1.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from polymod.worlds.chance import Chance
from polymod.worlds.concepts import CLASS_OF, HYPERNYMS
from polymod.worlds.grammar import Grammar
from polymod.worlds.meaning import PLACE_WORDS, Clause, Mention, Sentence
from polymod.worlds.story import Story

SENTENCES, ASIDE = 6, 3  # of the story, and of another one in the same context, which distracts
TRIES = 8  # clauses looked at before a context is given up
_INTRANSITIVE = frozenset({"be", "live", "work", "come"})  # whose place tells what they say


class Question(NamedTuple):
    """A question and where its answer stands.

    Attributes:
        sentence, clause: index of the sentence in the context, of the clause in the sentence.
        asked: the clause as a question.
        answer: the clause as a full answer.
    """

    sentence: int
    clause: int
    asked: Clause
    answer: Clause


class Reading(NamedTuple):
    """A context and a question on it."""

    context: tuple[Sentence, ...]
    question: Question


def draw(chance: Chance, number: int) -> Reading:
    """A story with a part of another one around it, and a question on either that has one answer."""
    while True:
        told = Story(chance).tell()
        start = chance.below(max(1, len(told) - SENTENCES + 1))
        first, second = told[start : start + SENTENCES], Story(chance).tell()[:ASIDE]
        context = first + second if number % 2 else second + first
        if question := ask(context, chance):
            return Reading(tuple(context), question)


def say(grammar: Grammar, reading: Reading) -> dict[str, Any]:
    """``context question answers`` in one language; the answer is the phrase that stands in the context."""
    context, question = "", reading.question
    for number, sentence in enumerate(reading.context):
        spelt, spans = grammar.spell_out(sentence)
        if number == question.sentence:
            begin, end = spans[question.clause, question.asked.asked]
            answers = [{"text": spelt[begin:end], "answer_start": len(context) + begin}]
        context += spelt + " "
    asked, _ = grammar.spell_out((question.asked,))
    return {"context": context.rstrip(), "question": asked, "answers": answers}


def ask(context: Sequence[Sentence], chance: Chance) -> Question | None:
    """A question whose answer the context gives once, or none if chance hits upon none."""
    for _ in range(TRIES):
        number = chance.below(len(context))
        place = chance.below(len(context[number]))
        clause, parts = context[number][place], _parts(context[number][place])
        if not parts or any(told.asked for told in context[number]):
            continue
        answer = plain(clause, part := chance.pick(parts))
        others = [other for told in context for other in told if other is not clause]
        if not any(not other.negated and may_mean(other, answer, part) for other in others):
            return Question(number, place, answer._replace(asked=part), answer)
    return None


def _parts(clause: Clause) -> list[str]:
    """The parts that can be asked for, of what is affirmed and of nobody who is only a pronoun."""
    if clause.negated or clause.predicate or clause.agent.pronoun:
        return []
    found = ["agent"] if clause.patient or clause.obliques else []
    found += ["patient"] if clause.patient else []
    found += ["place"] if clause.place else []
    return found + (["time"] if clause.time else [])


def plain(clause: Clause, part: str) -> Clause:
    """The clause without link, manner and what else is told by the way."""
    essential = clause.patient is None or part == "place" or clause.verb in _INTRANSITIVE
    kept = [(word, mention.bare) for word, mention in clause.obliques if essential or word not in PLACE_WORDS]
    return clause._replace(
        agent=clause.agent.bare,
        patient=clause.patient.bare if clause.patient else None,
        obliques=tuple(kept),
        time=clause.time if part == "time" else "",
        manner="",
        link="",
    )


def may_mean(other: Clause, clause: Clause, part: str = "") -> bool:
    """Whether another clause may tell or deny the same but for a part: nothing speaks against it."""
    if (other.verb, other.predicate) != (clause.verb, clause.predicate):
        return False
    pairs = {
        "agent": (other.agent, clause.agent),
        "patient": (other.patient, clause.patient),
        "place": (other.place, clause.place),
    }
    return all(_may_be(*pair) for name, pair in pairs.items() if name != part)


def _may_be(one: Mention | None, other: Mention | None) -> bool:
    """Whether two mentions may mean the same."""
    if one is None or other is None or one.pronoun or other.pronoun:
        return True
    if one.name and other.name:
        return one.name == other.name
    return bool(_nouns(one) & _nouns(other))


def _nouns(mention: Mention) -> set[str]:
    """What a thing without a name may be called: its noun, and the more general one."""
    return {mention.noun, HYPERNYMS.get(CLASS_OF.get(mention.noun, ""), mention.noun)}
