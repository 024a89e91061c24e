"""Tagged sentences: every word with its part of speech and its entity tag; and sentences for retrieval."""

from __future__ import annotations

from typing import Any

from polymod.worlds.chance import Chance
from polymod.worlds.grammar import Grammar
from polymod.worlds.meaning import Mention, Sentence
from polymod.worlds.story import Story

NAMELESS, PERSONAL = 0.1, 0.3  # chance that a sentence without names, or with persons only, is taken
FULL = 3  # participants said in full that make a sentence fit for retrieval


def draw_any(chance: Chance, number: int) -> Sentence:
    """A sentence of a story."""
    return chance.pick(Story(chance).tell())


def draw_named(chance: Chance, number: int) -> Sentence:
    """A sentence of a story, chosen so that towns and firms are not too rare beside persons."""
    while True:
        sentence = draw_any(chance, number)
        kinds = {mention.name[0] for mention in _mentions(sentence) if mention.name}
        if kinds & {"t", "o"} or chance.random() < (PERSONAL if kinds else NAMELESS):
            return sentence


def draw_full(chance: Chance, number: int) -> Sentence:
    """A sentence that says enough to be told from others."""
    while True:
        sentence = draw_any(chance, number)
        mentions = _mentions(sentence)
        if len(mentions) >= FULL and not any(mention.pronoun for mention in mentions):
            return sentence


def say_parts_of_speech(grammar: Grammar, sentence: Sentence) -> dict[str, Any]:
    """``tokens`` and universal parts of speech as ``tags``."""
    forms = grammar.forms(sentence)
    return {"tokens": [form.surface for form in forms], "tags": [form.upos for form in forms]}


def say_entities(grammar: Grammar, sentence: Sentence) -> dict[str, Any]:
    """``tokens`` and entities (IOB2; PER, LOC, ORG) as ``tags``."""
    forms = grammar.forms(sentence)
    return {"tokens": [form.surface for form in forms], "tags": [form.entity for form in forms]}


def say_text(grammar: Grammar, sentence: Sentence) -> dict[str, Any]:
    """The sentence as ``text``."""
    return {"text": grammar.text([sentence])}


def _mentions(sentence: Sentence) -> list[Mention]:
    """Every participant of every clause."""
    return [mention for clause in sentence for mention in clause.mentions]
