"""What is true of a world: ``world.json``."""

from __future__ import annotations

from typing import Any

from polymod.worlds.chance import VERSION
from polymod.worlds.concepts import CONCEPTS, INTERNATIONAL
from polymod.worlds.language import Language
from polymod.worlds.names import ALL
from polymod.worlds.names import INTERNATIONAL as INTERNATIONAL_NAMES
from polymod.worlds.world import World

PUNCTUATION = ".,:?"
DIGITS = 4  # digits that the relatedness is rounded to


def facts(world: World) -> dict[str, Any]:
    """Languages, what is written alike in all of them, and the matrix of relatedness."""
    rows = [[round(float(value), DIGITS) for value in row] for row in world.relatedness()]
    return {
        "generator": VERSION,
        "seed": world.seed,
        "languages": {tag: _language(world.language(tag), world.family(tag)) for tag in world.tags},
        "anchors": {
            "international_words": len(INTERNATIONAL),
            "international_names": len(INTERNATIONAL_NAMES),
            "names": len(ALL),
            "digits": 10,
            "punctuation": PUNCTUATION,
        },
        "relatedness": {"tags": list(world.tags), "rows": rows},
    }


def _language(language: Language, family: str) -> dict[str, Any]:
    typology = language.typology
    return {
        "family": family,
        "script": language.script,
        "word_order": typology["order"],
        "affixing": typology["affixing"],
        "case": typology["case"],
        "genders": typology["gender"],
        "ancestors": list(language.lineage.nodes[:-1]),
        "typology": typology,
        "lexicon": _lexicon(language),
    }


def _lexicon(language: Language) -> dict[str, int]:
    """How many of its words come from where."""
    inherited, *later = language.lineage.nodes
    sources = [language.words[gloss].origin.rpartition("/")[0] for _, gloss in CONCEPTS]
    found = {
        "inherited": sources.count(inherited),
        "replaced": sum(source in later for source in sources),
        "international": sources.count("world"),
    }
    return {"concepts": len(CONCEPTS), **found, "borrowed": len(CONCEPTS) - sum(found.values())}
