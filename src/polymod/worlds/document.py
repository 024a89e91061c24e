"""Documents: what a language's text is made of. A story, at times a second one, a retelling, a question."""

from __future__ import annotations

from polymod.worlds.chance import Chance
from polymod.worlds.meaning import Sentence
from polymod.worlds.qa import ask
from polymod.worlds.story import Story

CONTINUED = 0.25  # share of documents with a second story of the same person
RETOLD = 0.25  # share in which something is told again from the other side (who sold, who bought)
ASKED = 0.25  # share that end in a question and its answer


def document(chance: Chance) -> list[Sentence]:
    """The sentences of one document."""
    story = Story(chance)
    sentences = story.tell()
    if chance.random() < CONTINUED:
        story.go_on()
    if chance.random() < RETOLD:
        _retell(sentences, chance)
    if chance.random() < ASKED and (question := ask(sentences, chance)):
        sentences += ((question.asked,), (question.answer,))
    return sentences


def _retell(sentences: list[Sentence], chance: Chance) -> None:
    """Add the converse of an event, if one has a converse."""
    told = [
        clause
        for sentence in sentences
        for clause in sentence
        if not clause.asked and not clause.agent.pronoun
    ]
    converses = [converse for clause in told if (converse := clause.converse)]
    if converses:
        sentences.append((chance.pick(converses)._replace(link="so"),))
