"""Recalls: a text comes back to what it told: says it again, asks for a part of it, or whether it is so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from polymod.worlds.cast import rivals
from polymod.worlds.chance import Chance
from polymod.worlds.meaning import Clause, Mention, Sentence
from polymod.worlds.qa import ask, may_mean, plain

FIRST = 2  # sentences that a text has before it comes back to one
CLAIMED, ASKED = 0.5, 0.3  # shares of claims and of questions; the other recalls say a clause again
WRONG = 0.5  # chance of a claim to have another in the place of somebody or something; some clauses have none
DENIED = 0.5  # chance of a claim to deny, and to be about what the text denies, if it does
YES, NO = (Clause("", Mention(), link=word) for word in ("so", "not"))


def with_recalls(sentences: Sequence[Sentence], share: float, chance: Chance) -> list[Sentence]:
    """The sentences, some of them before a recall of what has been told so far.

    A clause comes again in its plain form; a question has its answer; and a claim is answered by *so*, by
    *not*, or, when it has a wrong participant, by *but* and how it was. Who acts is not only a pronoun, the
    last sentence is not recalled, and a question has one answer in what was told.

    Args:
        share: chance of a sentence.
    """
    found: list[Sentence] = []
    for number, sentence in enumerate(sentences):
        found.append(sentence)
        if number >= FIRST and chance.random() < share:
            found += _recall(sentences[: number + 1], chance)
    return found


def _recall(told: Sequence[Sentence], chance: Chance) -> list[Sentence]:
    kind = chance.random()
    if kind < CLAIMED:
        return _claim(told, chance)
    question = ask(told, chance)
    if question is None or question.sentence == len(told) - 1:
        return []
    return [(question.asked,), (question.answer,)] if kind < CLAIMED + ASKED else [(question.answer,)]


def _claim(told: Sequence[Sentence], chance: Chance) -> list[Sentence]:
    """A claim about one of the clauses, and what is said to it."""
    denied = chance.random() < DENIED
    clauses = [clause for sentence in told[:-1] for clause in sentence if _is_plain(clause)]
    clauses = [clause for clause in clauses if clause.negated == denied] or clauses
    if not clauses:
        return []
    truth = plain(chance.pick(clauses), "")
    claim = truth._replace(negated=chance.random() < DENIED, asked="truth")
    if chance.random() >= WRONG:
        return [(claim,), (YES if claim.negated == truth.negated else NO,)]
    wrong = list(_wrong(claim, told))
    return [(chance.pick(wrong),), (truth._replace(link="but"),)] if wrong else []


def _is_plain(clause: Clause) -> bool:
    return not clause.asked and not any(mention.pronoun for mention in clause.mentions)


def _wrong(claim: Clause, told: Sequence[Sentence]) -> Iterator[Clause]:
    """The claim with another agent or patient, of whom the text tells something else."""
    clauses = [clause for sentence in told for clause in sentence]
    present = {_called(mention) for clause in clauses for mention in clause.mentions}
    agents = [claim._replace(agent=agent) for agent in rivals(claim.agent, claim.mentions)]
    patients = rivals(claim.patient, claim.mentions) if claim.patient else []
    for wrong in (*agents, *(claim._replace(patient=patient) for patient in patients)):
        known = present.issuperset(map(_called, wrong.mentions))
        if known and not any(may_mean(clause, wrong) for clause in clauses):
            yield wrong


def _called(mention: Mention) -> str:
    return mention.name or mention.noun
