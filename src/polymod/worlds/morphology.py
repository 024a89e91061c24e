"""Inflection: stems and affixes to whole words, still in phonemes. Regular, without exceptions.

Genders are numbers from 0; concord (of adjectives, articles and verbs) is ``"0" "1" "2"`` or ``"plural"``.
"""

from __future__ import annotations

from typing import NamedTuple

from polymod.worlds.language import Language

_ABBREVIATIONS = {
    "plural": "PL",
    "singular": "SG",
    "nominative": "NOM",
    "accusative": "ACC",
    "ergative": "ERG",
    "dative": "DAT",
    "oblique": "OBL",
    "genitive": "GEN",
    "definite": "DEF",
    "past": "PST",
    "negative": "NEG",
    "concord": "C",
    "ending": "C",
}


class Inflected(NamedTuple):
    """A word in phonemes.

    Attributes:
        stem, before, after: its stem, and the affixes on either side.
        gloss: of all three in the same order (``house-PL-ACC``).
        script: of the stem, where it is a word of another language; empty: the language's own.
    """

    stem: str
    gloss: str
    script: str = ""
    before: str = ""
    after: str = ""


class Morphology:
    """How one language inflects."""

    def __init__(self, language: Language) -> None:
        self._type = language.typology
        self._words = language.words
        self._scripts = language.scripts
        self._isolating = language.typology["affixing"] == "isolating"
        self._fusional = language.typology["fusion"] == "fusional"
        self._agrees = language.typology["agreement"] != "none"

    def stem(self, concept: str) -> Inflected:
        """The word itself."""
        return Inflected(self._words[concept].stem, concept, self._scripts.get(concept, ""))

    def noun(self, concept: str, gender: int, plural: bool, case: str, definite: bool) -> Inflected:
        """A noun; isolating languages say plural and definiteness with words of their own, if at all."""
        word = self.stem(concept)
        if self._isolating:
            return word
        if self._fusional:
            word = self._with(word, f"ending-{gender}-{'plural' if plural else 'singular'}-{case}")
        else:
            word = self._with(word, "plural") if plural else word
            word = self.case(word, case)
        return self._with(word, "definite") if definite and self._type["article"] == "suffix" else word

    def case(self, word: Inflected, case: str) -> Inflected:
        """A name, pronoun or question word: the case, and nothing else."""
        return word if case == "nominative" else self._with(word, case)

    def adjective(self, concept: str, concord: str) -> Inflected:
        """An adjective or article, in concord with its noun where there is gender."""
        word = self.stem(concept)
        return word if self._type["gender"] == "none" else self._with(word, f"concord-{concord}")

    def verb(self, concept: str, past: bool, negated: bool, concord: str) -> Inflected:
        """A verb with denial, tense and agreement, as far as the language marks them on the verb."""
        word = self.stem(concept)
        if self._isolating:
            return word
        if negated and self._type["negation"] == "affix":
            word = self._with(word, "negative")
        by_gender = self._type["agreement"] == "gender"
        agreement = concord if self._agrees and (by_gender or concord == "plural") else "0"
        if self._fusional:
            return self._with(word, f"{'past' if past else 'concord'}-{agreement}")
        word = self._with(word, "past") if past else word
        marked = self._agrees and (by_gender or concord == "plural")
        return self._with(word, f"concord-{agreement}") if marked else word

    def _with(self, word: Inflected, affix: str) -> Inflected:
        sounds = self._words[f"affix:{affix}"].stem
        label = ".".join(_ABBREVIATIONS.get(part, part) for part in affix.split("-")).replace("C.", "C")
        if self._type["affixing"] == "prefix":
            return word._replace(before=sounds + word.before, gloss=f"{label}-{word.gloss}")
        return word._replace(after=word.after + sounds, gloss=f"{word.gloss}-{label}")
