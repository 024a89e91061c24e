"""Types of grammar: what differs between languages in word order and in what words are marked for.

A proto-language draws every feature, some as its area has them; each step down its line may change a few.
Head-final languages tend to put everything behind what it belongs to, as real ones do.
"""

from __future__ import annotations

from polymod.worlds.chance import Chance
from polymod.worlds.lineage import Lineage
from polymod.worlds.script import area

Typology = dict[str, str]

FEATURES: dict[str, tuple[str, ...]] = {
    "order": ("SVO", "SOV", "VSO"),  # of agent, verb and patient
    "adjective": ("before", "after"),  # the noun
    "adposition": ("before", "after"),
    "genitive": ("before", "after"),
    "numeral": ("before", "after"),
    "oblique": ("inner", "outer"),  # further participants: next to the verb, or beyond the patient
    "time": ("first", "last"),  # in the clause
    "affixing": ("suffix", "prefix", "isolating"),
    "fusion": ("agglutinative", "fusional"),  # an affix for each category, or one for all
    "case": ("none", "accusative", "ergative"),
    "dative": ("case", "adposition"),  # how the receiver is marked
    "gender": ("none", "two", "three"),
    "agreement": ("none", "number", "gender"),  # of the verb with the agent
    "article": ("none", "before", "suffix"),
    "negation": ("before", "after", "affix", "final"),  # the verb; final in the clause
    "question_word": ("first", "in place"),
    "question_particle": ("none", "first", "last"),
    "pronouns": ("kept", "dropped"),  # of agents
    "copula": ("kept", "dropped"),  # in the present
}
# What goes with the order of verb and patient.
_HARMONY = {
    "SOV": {
        "adposition": "after",
        "genitive": "before",
        "adjective": "before",
        "affixing": "suffix",
        "time": "first",
    },
    "SVO": {"adposition": "before", "genitive": "after", "oblique": "outer", "time": "last"},
    "VSO": {"adposition": "before", "genitive": "after", "adjective": "after", "oblique": "outer"},
}
_HARMONIC, _AREAL = 0.75, 0.4  # chance that a proto-language follows harmony, or its area
_DRIFT = (0.0, 0.04, 0.03, 0.04)  # chance that a feature changes at each node of the line
_ORDERS = ("SVO", "SOV", "VSO", "SOV", "SVO")  # families draw their order without putting back, then again


def typology(seed: int, lineage: Lineage, grammars: int | None = None) -> Typology:
    """The features of a language: drawn by its family, changed along its line.

    With ``grammars``, families take turns with so many, and languages of one differ in words only.
    """
    if grammars:
        return _consistent(_proto(seed, lineage.family % grammars))
    found = _proto(seed, lineage.family)
    for node, drift in zip(lineage.nodes, _DRIFT, strict=True):
        chance = Chance("typology", seed, node)
        for feature, values in FEATURES.items():
            changes, value = chance.random() < drift, chance.pick(values)
            if changes:
                found[feature] = value
    return _consistent(found)


def _proto(seed: int, family: int) -> Typology:
    page, place = divmod(family, len(_ORDERS))
    order = Chance("orders", seed, page).sample(_ORDERS, len(_ORDERS))[place]
    chance = Chance("proto", seed, family)
    found = {feature: chance.pick(values) for feature, values in FEATURES.items()} | {"order": order}
    for feature, value in _HARMONY[order].items():
        if chance.random() < _HARMONIC:
            found[feature] = value
    around = Chance("area", seed, area(family))
    for feature, values in FEATURES.items():
        value = around.pick(values)
        if feature != "order" and chance.random() < _AREAL:
            found[feature] = value
    return found


def _consistent(found: Typology) -> Typology:
    """Isolating languages have no affixes; without case or gender nothing can be marked for it."""
    if found["affixing"] == "isolating":
        found |= {"fusion": "agglutinative", "case": "none", "agreement": "none", "gender": "none"}
        found["negation"] = "before" if found["negation"] == "affix" else found["negation"]
        found["article"] = "before" if found["article"] == "suffix" else found["article"]
    if found["case"] == "none":
        found["dative"] = "adposition"
    if found["gender"] == "none" and found["agreement"] == "gender":
        found["agreement"] = "number"
    return found
