"""A controlled language: its line, its script, its type of grammar and its words, all decided by the seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from polymod.worlds.chance import Chance
from polymod.worlds.concepts import INTERNATIONAL
from polymod.worlds.lexicon import OPEN_CONCEPTS, Lexicon, is_international, lexicon
from polymod.worlds.lineage import Lineage
from polymod.worlds.script import area, spell
from polymod.worlds.typology import Typology, typology

SWITCHED = 0.5  # share of the words that somebody takes from the other language where both are mixed
STRAYS = 0.05  # chance that a language has taken over the script of the next family


@dataclass(frozen=True)
class Language:
    """All that is known about a language.

    Attributes:
        lineage: tag, family, member.
        script: ISO 15924 code.
        typology: value of every feature of ``typology.FEATURES``.
        words: stem and origin of every concept and affix.
        scripts: of the concepts whose words are those of another language (see ``switching``).
    """

    seed: int
    lineage: Lineage
    script: str
    typology: Typology
    words: Lexicon
    scripts: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def international(self) -> frozenset[str]:
        """The concepts for which it has the international word."""
        return frozenset(gloss for gloss in INTERNATIONAL if is_international(gloss, self.words[gloss]))

    def switching(self, other: Language, chance: Chance) -> Language:
        """How somebody speaks who also speaks another language: words of that one in the grammar of this one.

        Nouns, verbs, adjectives and adverbs change; affixes and other words stay its own, as those of
        the matrix language do in code-switching (Myers-Scotton 1993).
        """
        taken = [gloss for gloss in OPEN_CONCEPTS if chance.random() < SWITCHED]
        words = {**self.words, **{gloss: other.words[gloss] for gloss in taken}}
        return replace(self, words=words, scripts=dict.fromkeys(taken, other.script))

    def spelt(self, stem: str, script: str = "", before: str = "", after: str = "") -> str:
        """A stem in a script (empty: the language's own) with its affixes in the language's own."""
        if script in ("", self.script):
            return spell(before + stem + after, self.script)
        return spell(before, self.script) + spell(stem, script) + spell(after, self.script)

    def written(self, concept: str) -> str:
        """The word for a concept, without endings; international words in Latin letters."""
        return spell(self.words[concept].stem, "Latn" if concept in self.international else self.script)

    def gender(self, noun: str) -> int:
        """Number of the class that a noun belongs to; a whole family classes alike."""
        count = {"none": 1, "two": 2, "three": 3}[self.typology["gender"]]
        return Chance("gender", self.seed, self.lineage.family, noun).below(count)


def make_language(seed: int, lineage: Lineage, grammars: int | None = None) -> Language:
    """The language at a place of the family tree; it does not depend on which others exist."""
    kind = typology(seed, lineage, grammars)
    return Language(seed, lineage, _script(seed, lineage), kind, lexicon(seed, lineage))


def _script(seed: int, lineage: Lineage) -> str:
    strays = lineage.member > 0 and Chance("script", seed, lineage.nodes[-1]).random() < STRAYS
    return area(lineage.family + strays)
