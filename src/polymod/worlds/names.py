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


def name_book(seed: int) -> dict[str, str]:
    """Phonemes of every name."""
    chance = Chance("names", seed)
    book: dict[str, str] = {}
    taken: set[str] = set()
    for kind, ids in IDS.items():
        lenders = [name for other in SHARED.get(kind, "") for name in IDS[other]]
        for name in ids:
            same_sort = [lender for lender in lenders if (lender in INTERNATIONAL) == (name in INTERNATIONAL)]
            if same_sort and chance.random() < SHARE:
                lender = chance.pick(same_sort)
                lenders.remove(lender)
                book[name] = book[lender]
                continue
            book[name] = UNIVERSAL.word(chance, 2 + (chance.random() < 0.4), taken)
            taken.add(book[name])
    return book
