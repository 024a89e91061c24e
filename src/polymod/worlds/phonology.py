"""Sounds: one letter per phoneme, syllable patterns, and the sound changes that make daughters of one mother.

Phonemes are written ``a e i o u O Y`` (ö, ü) and ``p b t d k g f v w s z S Z C h m n N l r j`` (S Z C N as in
ship, vision, chip, sing).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from polymod.worlds.chance import Chance

VOWELS = "aeiouOY"
CONSONANTS = "pbtdkgfvwszSZChmnNlrj"
PHONEMES = VOWELS + CONSONANTS
_V, _C = f"[{VOWELS}]", f"[{CONSONANTS}]"


class Inventory(NamedTuple):
    """The sounds of a proto-language and how its syllables are built."""

    vowels: str
    consonants: str
    codas: str
    closed: float  # share of syllables with a coda
    bare: float  # share of word-initial syllables without onset

    def syllable(self, chance: Chance, first: bool) -> str:
        """A syllable; only the first of a word may lack its onset."""
        onset = "" if first and chance.random() < self.bare else chance.pick(self.consonants)
        coda = chance.pick(self.codas) if chance.random() < self.closed else ""
        return onset + chance.pick(self.vowels) + coda

    def word(self, chance: Chance, syllables: int, taken: set[str]) -> str:
        """A word that is not in ``taken``; it grows by a syllable where chance finds no new one."""
        for attempt in range(1, 1000):
            count = syllables + attempt // 20
            word = "".join(self.syllable(chance, first=place == 0) for place in range(count))
            if word not in taken:
                return word
        raise AssertionError("a vocabulary larger than the number of words")


UNIVERSAL = Inventory("aeiou", "ptkbdgmnslrvj", "nslr", 0.25, 0.15)

# Regular changes: name, pattern, replacement. Each keeps words pronounceable and hardly merges them.
CHANGES = (
    ("p becomes f", "p", "f"),
    ("b weakens to v", rf"(?<={_V})b", "v"),
    ("t softens before i", "t(?=[iY])", "C"),
    ("k softens before front vowels", "k(?=[ieYO])", "C"),
    ("g softens before front vowels", "g(?=[ieYO])", "j"),
    ("k becomes h at the beginning", f"^k(?={_V})", "h"),
    ("d becomes z between vowels", rf"(?<={_V})d(?={_V})", "z"),
    ("t becomes d between vowels", rf"(?<={_V})t(?={_V})", "d"),
    ("k becomes g between vowels", rf"(?<={_V})k(?={_V})", "g"),
    ("p becomes b between vowels", rf"(?<={_V})p(?={_V})", "b"),
    ("s becomes z between vowels", rf"(?<={_V})s(?={_V})", "z"),
    ("s becomes S", "s", "S"),
    ("z becomes s", "z", "s"),
    ("v becomes w", "v", "w"),
    ("w becomes v", "w", "v"),
    ("h is lost", f"h(?={_V})", ""),
    ("l becomes r at the end of syllables", f"l(?={_C}|$)", "r"),
    ("l becomes j before i", "l(?=[iY])", "j"),
    ("r becomes l", "r", "l"),
    ("j hardens to Z", "j", "Z"),
    ("C becomes S", "C", "S"),
    ("n becomes N at the end", "n$", "N"),
    ("g becomes h", "g", "h"),
    ("f becomes h", "f", "h"),
    ("e rises to i at the end", "e$", "i"),
    ("o rises to u", "o", "u"),
    ("u is fronted", "u", "Y"),
    ("o is fronted before i", f"o(?={_C}+i)", "O"),
    ("a is raised before i", f"a(?={_C}+i)", "e"),
    ("a is rounded", f"a(?={_C}$)", "o"),
    ("e opens to a before r and l", "e(?=[rl])", "a"),
    ("i opens to e before consonants", f"i(?={_C}$)", "e"),
    ("final a weakens to e", "a$", "e"),
    ("final vowels fall", f"(?<={_V}{_C}){_V}$", ""),
    ("m becomes n at the end", "m$", "n"),
)
_COMPILED = tuple((re.compile(pattern), new) for _, pattern, new in CHANGES)


def inventory(chance: Chance) -> Inventory:
    """A proto-language's sounds."""
    vowels = "aeiou" + chance.pick(("", "", "O", "Y", "OY"))
    kept = [letter for letter in CONSONANTS if letter in "ptkmnsl" or chance.random() < 0.6]
    codas = "".join(chance.sample([letter for letter in kept if letter in "nmNlrstSkz"], 5))
    return Inventory(vowels, "".join(kept), codas, 0.1 + 0.4 * chance.random(), 0.25 * chance.random())


def draw_changes(chance: Chance, count: int) -> tuple[int, ...]:
    """``count`` sound changes, in the order in which they happened."""
    return tuple(chance.sample(range(len(CHANGES)), count))


def apply_changes(word: str, changes: tuple[int, ...]) -> str:
    """What has become of a word; a change that would leave no vowel or no word does not happen to it."""
    for number in changes:
        pattern, new = _COMPILED[number]
        changed = pattern.sub(new, word)
        if any(letter in VOWELS for letter in changed):
            word = changed
    return word
