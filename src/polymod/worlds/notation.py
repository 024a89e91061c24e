"""The notation of story schemas, and what it is compiled to.

A schema is a title line with its cast, then one line per step:

``A give O to B, because A love B``
    clauses: slot, verb, slot, adposition and slot; ``, because`` joins a clause to the sentence before it.
``but A not find O`` / ``then ...``
    a word of ``LINKS`` in front; ``not`` denies.
``A be +glad`` / ``O be +own`` / ``A be +role``
    a predicate: an adjective, the quality that the story gave to O, the role of A.
``B ask A: O be in ?P`` / ``A answer: O be in P``
    speech, in the present tense; ``?`` marks the place that is asked for.
``60% step`` / ``one | other``
    a step that is told with that chance; alternatives.

Cast: ``C=farmer+baker`` and ``O=tool+food`` (nouns or classes of nouns), ``O=goods:C`` and ``P=place:C``
(what C deals in, and where), ``T=town``. A slot that the title does not restrict is filled by ``USUAL``.
"""

from __future__ import annotations

from typing import NamedTuple

from polymod.worlds.concepts import ADPOSITIONS, LINKS

# What fills a slot that a schema does not restrict.
USUAL = {
    **dict.fromkeys("ABCD", "role+kin"),
    **dict.fromkeys("PQR", "outdoors+building"),
    **dict.fromkeys("TU", "town"),
    **dict.fromkeys("XY", "beast"),
    "G": "firm",
    "H": "house",
}


class ClausePlan(NamedTuple):
    """One clause of a step; upper-case letters are slots."""

    link: str
    agent: str
    negated: bool
    verb: str
    patient: str
    obliques: tuple[tuple[str, str], ...]
    predicate: str
    asked: str

    @property
    def slots(self) -> list[str]:
        """Every participant."""
        return [self.agent, *([self.patient] if self.patient else []), *[slot for _, slot in self.obliques]]


class Step(NamedTuple):
    """What may happen next: the chance that it is told, and its alternative sentences."""

    chance: float
    sentences: tuple[tuple[ClausePlan, ...], ...]


class Schema(NamedTuple):
    """A title, the slots whose filling is restricted, and the steps in order."""

    title: str
    cast: dict[str, str]
    steps: tuple[Step, ...]


def compile_schemas(source: str) -> tuple[Schema, ...]:
    """Schemas from text: blocks with blank lines between them."""
    schemas = []
    for block in source.strip().split("\n\n"):
        head, *lines = block.splitlines()
        title, *cast = head.split()
        slots = dict(restriction.split("=") for restriction in cast)
        schemas.append(Schema(title, slots, tuple(map(_step, lines))))
    return tuple(schemas)


def _step(line: str) -> Step:
    percent, mark, rest = line.partition("% ")
    chance, text = (int(percent) / 100, rest) if mark else (1.0, line)
    return Step(chance, tuple(_sentence(alternative) for alternative in text.split(" | ")))


def _sentence(text: str) -> tuple[ClausePlan, ...]:
    return tuple(_clause(words.split()) for words in text.replace(": ", ", : ").split(", "))


def _clause(words: list[str]) -> ClausePlan:
    link = words.pop(0) if words[0] in (*LINKS, ":") else ""
    asked = next((word[1:] for word in words if word.startswith("?")), "")
    words = [word.removeprefix("?") for word in words]
    agent = words.pop(0)
    negated = words[0] == "not"
    verb = words[1] if negated else words[0]
    rest = words[2 if negated else 1 :]
    predicate = rest.pop()[1:] if rest and rest[-1].startswith("+") else ""
    patient = rest.pop(0) if rest and rest[0] not in ADPOSITIONS else ""
    obliques = tuple(zip(rest[::2], rest[1::2], strict=True))
    return ClausePlan(link, agent, negated, verb, patient, obliques, predicate, asked)
