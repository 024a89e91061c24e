"""The words of a language: inherited through sound changes, replaced, or borrowed; each knows its origin.

Two words are cognate when their origins are equal, whether both come from one mother or one was borrowed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from polymod.worlds.chance import Chance
from polymod.worlds.concepts import CONCEPTS, CONVERSIONS, INTERNATIONAL
from polymod.worlds.lineage import Lineage
from polymod.worlds.phonology import UNIVERSAL, Inventory, apply_changes, draw_changes, inventory
from polymod.worlds.script import area

CHANGES = (0, 1, 1, 2)  # sound changes at each node of a line
REPLACED = (0.0, 0.06, 0.04, 0.08)  # chance that a word is replaced by a new one at each node
BORROWED = 0.18  # chance that a word comes from a neighbouring family, or is one that travels in the area
ALONE = 0.3  # share of the loans that a language does not have in common with its branch
FROM_DONOR = 0.5  # share of the loans that come from one neighbour
INHERITS_INTERNATIONAL = 0.15  # chance that a language has a word of its own for an international one
CONVERTED = 0.6  # chance that a pair of ``CONVERSIONS`` is one word in a family
AFFIXES = (
    *("plural", "accusative", "ergative", "dative", "oblique", "genitive", "definite", "past", "negative"),
    *(f"concord-{gender}" for gender in ("0", "1", "2", "plural")),
    *(
        f"ending-{gender}-{number}-{case}"
        for gender in "012"
        for number in ("singular", "plural")
        for case in ("nominative", "accusative", "ergative", "dative", "oblique", "genitive")
    ),
    *(f"past-{gender}" for gender in ("0", "1", "2", "plural")),
)
_SYLLABLES = {  # of roots: least, and the chance of each further one
    "AFFIX": (1, 0.0),
    "PART": (1, 0.0),
    "ADP": (1, 0.1),
    "CONJ": (1, 0.2),
    "PRON": (1, 0.2),
    "NUM": (1, 0.5),
    "VERB": (1, 0.6),
    "ADV": (2, 0.3),
    "ADJ": (2, 0.2),
    "NOUN": (2, 0.25),
}
_ITEMS = (*CONCEPTS, *(("AFFIX", affix) for affix in AFFIXES))
_OPEN = frozenset({"VERB", "ADV", "ADJ", "NOUN"})  # parts of speech that borrow
OPEN_CONCEPTS = tuple(gloss for part, gloss in CONCEPTS if part in _OPEN)
_SHORT = Inventory("aeiou", "ptkbdgmnslrvj", "nslr", 0.35, 0.5)  # shape of affixes


class Word(NamedTuple):
    """Phonemes, and the origin that cognates share."""

    stem: str
    origin: str


Lexicon = dict[str, Word]


def lexicon(seed: int, lineage: Lineage) -> Lexicon:
    """Words and affixes (keys ``affix:...``) of a language; only conversions sound alike."""
    nodes = lineage.nodes
    words = dict(_proto(seed, lineage.family))
    sounds = _inventory(seed, lineage.family)
    for depth, node in enumerate(nodes):
        changes = draw_changes(Chance("changes", seed, node), CHANGES[depth])
        words = {key: Word(apply_changes(word.stem, changes), word.origin) for key, word in words.items()}
        chance = Chance("replaced", seed, node)
        for part, gloss in _ITEMS:
            key = _key(part, gloss)
            if chance.random() < REPLACED[depth]:
                words[key] = Word(_root(chance, sounds, part, set()), f"{node}/{gloss}")
    words |= _loans(seed, lineage)
    for one, other in _conversions(seed, lineage.family):
        words[one] = words[other]
    return _distinct(seed, lineage, words)


def _key(part: str, gloss: str) -> str:
    return f"affix:{gloss}" if part == "AFFIX" else gloss


def _root(chance: Chance, sounds: Inventory, part: str, taken: set[str]) -> str:
    if part == "AFFIX":
        return _SHORT.word(chance, 1, taken)
    count, more = _SYLLABLES[part]
    while chance.random() < more and count < 3:
        count += 1
    return sounds.word(chance, count, taken)


@lru_cache(maxsize=64)
def _inventory(seed: int, family: int) -> Inventory:
    return inventory(Chance("inventory", seed, family))


@lru_cache(maxsize=64)
def _proto(seed: int, family: int) -> Lexicon:
    """The mother of a family."""
    chance, sounds = Chance("roots", seed, family), _inventory(seed, family)
    taken: set[str] = set()
    words = {}
    for part, gloss in _ITEMS:
        root = _root(chance, sounds, part, taken)
        taken.add(root)
        words[_key(part, gloss)] = Word(root, f"{family}/{gloss}")
    return words


@lru_cache(maxsize=64)
def _travelling_words(seed: int, where: str) -> Lexicon:
    """Words that belong to no family: of an area, or of the whole ``world`` (the international ones)."""
    chance, taken, found = Chance("travelling", seed, where), set[str](), {}
    for part, gloss in CONCEPTS:
        if part in _OPEN:
            found[gloss] = Word(UNIVERSAL.word(chance, 2, taken), f"{where}/{gloss}")
            taken.add(found[gloss].stem)
    return found


def _loans(seed: int, lineage: Lineage) -> Lexicon:
    """International words, and words that the language or its branch took over in its area."""
    chance = Chance("loans", seed, lineage.nodes[-1])
    shared = Chance("loans", seed, lineage.nodes[1])  # borrowed by the branch, before it split
    here, world = _travelling_words(seed, area(lineage.family)), _travelling_words(seed, "world")
    neighbours = [family for family in range(lineage.family) if area(family) == area(lineage.family)]
    donor = _proto(seed, Chance("donor", seed, lineage.family).pick(neighbours)) if neighbours else here
    found = {}
    for part, gloss in CONCEPTS:
        own, common, from_donor = chance.random(), shared.random(), shared.random() < FROM_DONOR
        if gloss in INTERNATIONAL:
            if own >= INHERITS_INTERNATIONAL:
                found[gloss] = world[gloss]
        elif part in _OPEN and (own < BORROWED * ALONE or common < BORROWED * (1 - ALONE)):
            found[gloss] = donor[gloss] if from_donor else here[gloss]
    return found


def _conversions(seed: int, family: int) -> list[tuple[str, str]]:
    chance = Chance("conversions", seed, family)
    return [pair for pair in CONVERSIONS if chance.random() < CONVERTED]


def _distinct(seed: int, lineage: Lineage, words: Lexicon) -> Lexicon:
    """Lengthen what has come to sound like an earlier word or affix; international words stay as they are."""
    chance = Chance("distinct", seed, lineage.nodes[-1])
    spoken = {word.stem for gloss, word in words.items() if is_international(gloss, word)}
    affixes: set[str] = set()
    found = {}
    for key, word in words.items():
        stem, taken = word.stem, affixes if key.startswith("affix:") else spoken
        while stem in taken and not is_international(key, word):
            stem += _SHORT.syllable(chance, first=False)
        taken.add(stem)
        found[key] = Word(stem, word.origin)
    for one, other in _conversions(seed, lineage.family):
        found[one] = found[other]
    return found


def is_international(gloss: str, word: Word) -> bool:
    """Whether a language says a concept with the word that all the world has."""
    return word.origin == f"world/{gloss}"
