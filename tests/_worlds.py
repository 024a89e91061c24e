"""Helpers for tests of worlds: what a world writes, in other words."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from polymod.worlds.concepts import CLASS_OF, HYPERNYMS, OPPOSITES, QUALITY_OF
from polymod.worlds.grammar import Grammar
from polymod.worlds.meaning import Clause, Mention, Sentence
from polymod.worlds.names import INTERNATIONAL
from polymod.worlds.script import spell
from polymod.worlds.world import TASKS, World


def digest(texts: Iterable[str]) -> str:
    """A short hash of texts."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def everything(world: World) -> list[str]:
    """Some of all that a world can make."""
    texts = [text for tag in world.tags for text in world.documents(tag, 5)]
    for name, tag, split in itertools.product(TASKS, world.tags[:2], ("train", "test")):
        texts += map(str, world.task(name, tag, split, 4))
    return texts


def words_of(text: str) -> list[str]:
    """Words without their punctuation marks."""
    return [word.strip(".,:?") for word in text.split()]


def anchors(world: World, tag: str) -> set[str]:
    """What a language writes as every language does: international names and words."""
    language = world.language(tag)
    names = {spell(world.names[name], "Latn") for name in INTERNATIONAL}
    return names | {language.written(gloss) for gloss in language.international}


def glosses(grammar: Grammar, sentences: Sequence[Sentence]) -> str:
    """Word by word."""
    return " ".join(form.gloss for sentence in sentences for form in grammar.forms(sentence))


def naive_bayes(train: Sequence[tuple[str, str]], test: Sequence[tuple[str, str]]) -> float:
    """Accuracy of a classifier that counts words and word pairs of a text; pairs of text and label."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for text, label in train:
        counts[label].update(_features(text))
    vocabulary = len(set().union(*counts.values()))
    totals = {label: sum(found.values()) + vocabulary for label, found in counts.items()}

    def guess(text: str) -> str:
        features = _features(text)
        scores = {
            label: sum(math.log((found[feature] + 1) / totals[label]) for feature in features)
            for label, found in counts.items()
        }
        return max(scores, key=scores.__getitem__)

    return sum(guess(text) == label for text, label in test) / len(test)


def _features(text: str) -> list[str]:
    words = text.split()
    return [*words, *(f"{one} {two}" for one, two in itertools.pairwise(words))]


def majority(train: Sequence[dict[str, Any]], test: Sequence[dict[str, Any]], other: str) -> list[bool]:
    """Whether each token's most frequent tag is right, for tokens whose tag or guess is not ``other``."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for record in train:
        for token, tag in zip(record["tokens"], record["tags"], strict=True):
            counts[token][tag] += 1
    guesses = {token: tags.most_common(1)[0][0] for token, tags in counts.items()}
    pairs = [
        (guesses.get(token, other), tag)
        for record in test
        for token, tag in zip(record["tokens"], record["tags"], strict=True)
    ]
    return [guess == tag for guess, tag in pairs if guess != other or tag != other]


def decide(premises: Sequence[Clause], hypothesis: Clause) -> str:
    """The label of an inference by a small logic of its own."""
    affirmed = hypothesis._replace(negated=False)
    implied = any(_implies(premise, affirmed) for premise in premises)
    excluded = any(_excludes(premise, affirmed) for premise in premises)
    assert not (implied and excluded), "a premise that contradicts itself"
    if not implied and not excluded:
        return "neutral"
    return "entailment" if implied != hypothesis.negated else "contradiction"


def _implies(premise: Clause, claim: Clause) -> bool:
    """Whether an affirmed premise says at least what the claim says."""
    if premise.negated:
        return False
    told = [premise, *([premise.converse] if premise.converse else [])]
    shown = _claimed_attribute(claim)
    return any(_covers(one, claim) for one in told) or (shown is not None and _attribute(premise) == shown)


def _excludes(premise: Clause, claim: Clause) -> bool:
    if premise.negated:
        told = [claim, *([claim.converse] if claim.converse else [])]
        return any(_covers(one, premise._replace(negated=False)) for one in told)
    if _opposite(premise.verb) == claim.verb and _covers(premise._replace(verb=claim.verb), claim):
        return True
    if premise.verb == claim.verb == "be" and premise.place and claim.place:
        here, there = premise.place, claim.place
        same = premise._replace(obliques=tuple((a, there if b == here else b) for a, b in premise.obliques))
        return here != there and _covers(same, claim)
    mine, its = _attribute(premise), _claimed_attribute(claim)
    return bool(
        mine and its and mine[0] == its[0] and mine[1] != its[1] and QUALITY_OF[mine[1]] == QUALITY_OF[its[1]]
    )


def _opposite(verb: str) -> str:
    return {one: other for pair in OPPOSITES for one, other in (pair, pair[::-1])}.get(verb, "")


def _covers(said: Clause, claim: Clause) -> bool:
    """Whether one clause is the other with more detail."""
    if (said.verb, said.past, bool(said.patient)) != (claim.verb, claim.past, bool(claim.patient)):
        return False
    if not _is(said.agent, claim.agent) or (claim.patient and not _is(said.patient, claim.patient)):
        return False
    details = ("time", "manner", "predicate")
    if any(getattr(claim, name) not in ("", getattr(said, name)) for name in details):
        return False
    return all(
        any(word == here and _is(what, one) for here, what in said.obliques) for word, one in claim.obliques
    )


def _is(one: Mention | None, other: Mention) -> bool:
    """Whether a mention says at least as much of the same participant."""
    if one is None or one.pronoun or other.pronoun:
        return False
    if other.adjective and other.adjective != one.adjective:
        return False
    if one.name or other.name:
        return one.name == other.name
    nouns = {one.noun, HYPERNYMS.get(CLASS_OF.get(one.noun, ""), one.noun)}
    return other.noun in nouns and one.quantity == other.quantity


def _attribute(clause: Clause) -> tuple[str, str] | None:
    """Thing and quality that a clause tells of, in so many words or by the way."""
    if clause.verb == "be" and clause.predicate in QUALITY_OF:
        return clause.agent.noun + clause.agent.quantity, clause.predicate
    if clause.patient and clause.patient.adjective:
        return clause.patient.noun + clause.patient.quantity, clause.patient.adjective
    return None


def _claimed_attribute(clause: Clause) -> tuple[str, str] | None:
    return _attribute(clause) if clause.verb == "be" else None


def fits(clause: Clause, asked: Clause) -> bool:
    """Whether a clause says what a question takes for granted; of two nouns, one may be the more general."""
    if clause.verb != asked.verb or clause.negated or clause.predicate:
        return False
    known = [name for name in ("agent", "patient", "place") if name != asked.asked and getattr(asked, name)]
    return all(_same(getattr(clause, name), getattr(asked, name)) for name in known)


def _same(one: Mention | None, other: Mention | None) -> bool:
    if one is None or other is None or one.pronoun:
        return False
    bare = [mention._replace(adjective="", owner="") for mention in (one, other)]
    return _is(*bare) or _is(*bare[::-1])


def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """Rank correlation of values without ties."""
    ranks = [np.argsort(np.argsort(np.asarray(values))) for values in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1])
