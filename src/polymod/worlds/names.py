"""Proper names: one book for the whole world, so that every language tells of the same people and towns.

A name is spelt by ear in each language's script, except the international ones, which everybody writes in
Latin letters. Some words serve for a person and a town or firm alike; only the context tells which.
"""

from __future__ import annotations

from polymod.worlds.chance import Chance, Ranked
from polymod.worlds.phonology import UNIVERSAL

COUNTS = {"f": 24, "m": 24, "s": 32, "t": 32, "o": 16}  # women, men, surnames, towns, firms
INTERNATIONAL_EVERY = 2  # every second name of each kind
SHARED = {"t": "sfm", "o": "sfmt"}  # kinds that may take over words of other kinds
SHARE = 0.7  # of them do
TYPES = {"f": "PER", "m": "PER", "s": "PER", "t": "LOC", "o": "ORG"}

IDS = {kind: tuple(f"{kind}{number}" for number in range(count)) for kind, count in COUNTS.items()}
RANKED = {kind: Ranked(ids) for kind, ids in IDS.items()}
ALL = tuple(name for ids in IDS.values() for name in ids)
INTERNATIONAL = frozenset(
    name for ids in IDS.values() for name in ids[INTERNATIONAL_EVERY - 1 :: INTERNATIONAL_EVERY]
)


def _homonyms() -> dict[str, str]:
    """For every name the one whose word it is: its own, or that of a name of another kind."""
    chance, found = Chance("homonyms"), dict[str, str]()
    for kind, ids in IDS.items():
        lenders = [name for other in SHARED.get(kind, "") for name in IDS[other]]
        for name in ids:
            found[name] = name
            same_sort = [lender for lender in lenders if (lender in INTERNATIONAL) == (name in INTERNATIONAL)]
            if same_sort and chance.random() < SHARE:
                lender = chance.pick(same_sort)
                lenders.remove(lender)
                found[name] = found[lender]
    return found


SOUNDS_LIKE = _homonyms()  # the same in every world, so that a story can do without homonyms


def name_book(seed: int) -> dict[str, str]:
    """Phonemes of every name."""
    chance = Chance("names", seed)
    words: dict[str, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(SOUNDS_LIKE.values()):
        words[name] = UNIVERSAL.word(chance, 2 + (chance.random() < 0.4), taken)
        taken.add(words[name])
    return {name: words[SOUNDS_LIKE[name]] for name in ALL}
