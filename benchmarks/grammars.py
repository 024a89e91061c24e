"""Seeds of worlds in which two families speak alike: another vocabulary, nearly the same grammar.

``python benchmarks/grammars.py FAMILIES ONE OTHER FIRST STOP`` goes through the seeds from FIRST to STOP - 1.
ONE and OTHER are numbers of families (0 is that of ``qaa``). Printed are ten seeds at most whose first four
languages of the two have no affixes and differ in few features, those that differ least first.
"""

from __future__ import annotations

import sys

from polymod.worlds.lineage import Lineage, lineages
from polymod.worlds.typology import FEATURES, typology

MOST = 3  # features in which two of the languages may differ


def furthest(seed: int, members: list[Lineage]) -> int:
    """In how many features two of the languages differ at most; more than ``MOST`` if that is seen early."""
    found = []
    for lineage in members:
        found.append(typology(seed, lineage))
        differing = [sum(found[-1][name] != other[name] for name in FEATURES) for other in found]
        if max(differing) > MOST or found[-1]["affixing"] != "isolating":
            return MOST + 1
    return max(sum(a[name] != b[name] for name in FEATURES) for a in found for b in found)


def main() -> None:
    families, one, other, first, stop = map(int, sys.argv[1:])
    every = lineages(2 * families, families)
    members = [every[one], every[other], every[one + families], every[other + families]]
    seeds = [
        (differing, seed) for seed in range(first, stop) if (differing := furthest(seed, members)) <= MOST
    ]
    for differing, seed in sorted(seeds)[:10]:
        print(f"seed {seed}: at most {differing} of {len(FEATURES)} features differ")


if __name__ == "__main__":
    main()
