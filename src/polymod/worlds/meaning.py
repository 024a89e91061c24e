"""What a sentence says, before any language says it: participants, clauses, sentences."""

from __future__ import annotations

from typing import NamedTuple

from polymod.worlds.concepts import CLASS_OF, CONVERSES

PLACE_WORDS = frozenset({"in", "on", "under", "behind", "near"})
PEOPLE = frozenset({"role", "kin"})  # classes of nouns
_CONVERSE = {
    verb: (here, other, there)
    for one, with_one, two, with_two in CONVERSES
    for verb, here, other, there in ((one, with_one, two, with_two), (two, with_two, one, with_one))
}


class Mention(NamedTuple):
    """A participant as it is spoken of at one place.

    Attributes:
        noun: concept (``"farmer"``); beside a name it stands in apposition (``farmer Mira``).
        name: a name of ``names.py``, or none.
        surname: a second name behind the first.
        sex: ``"f"`` or ``"m"`` for persons, nothing else has one.
        adjective: a quality, or none.
        quantity: a concept of ``QUANTITIES`` or digits; what has one is plural.
        owner: a person's name (``the house of Mira``).
        definite: known to the listener.
        pronoun: said as he, she or it.
    """

    noun: str = ""
    name: str = ""
    surname: str = ""
    sex: str = ""
    adjective: str = ""
    quantity: str = ""
    owner: str = ""
    definite: bool = True
    pronoun: bool = False

    @property
    def is_person(self) -> bool:
        """Whether one asks ``who`` for it."""
        return bool(self.sex) or CLASS_OF.get(self.noun) in PEOPLE

    @property
    def is_plain(self) -> bool:
        """Whether it is a name or a noun that is not the more general word of others."""
        return not self.pronoun and bool(self.name or self.noun in CLASS_OF)

    @property
    def bare(self) -> Mention:
        """The same participant as one who has been spoken of: a first name, or a definite noun."""
        if self.name and not self.name.startswith("o"):
            return Mention(name=self.name, sex=self.sex)
        return self._replace(definite=True, adjective="", owner="", surname="")


class Clause(NamedTuple):
    """Who does what.

    Attributes:
        verb: concept; ``"be"`` takes a predicate (adjective or noun) or stands with a place; without a verb
            only the link is said.
        obliques: further participants with their adpositions.
        time: a concept of ``TIMES``, a year or an hour (digits), or none.
        asked: what a question asks for: a part (``agent patient place time``), the ``truth``, or none.
        link: the word that ties the clause to what comes before; ``":"`` for speech.
    """

    verb: str
    agent: Mention
    patient: Mention | None = None
    obliques: tuple[tuple[str, Mention], ...] = ()
    predicate: str = ""
    time: str = ""
    manner: str = ""
    negated: bool = False
    past: bool = True
    asked: str = ""
    link: str = ""

    @property
    def mentions(self) -> list[Mention]:
        """Every participant."""
        found = [self.agent, *([self.patient] if self.patient else [])]
        return found + [mention for _, mention in self.obliques]

    @property
    def place(self) -> Mention | None:
        """Where it happens, if that is said."""
        return next((mention for word, mention in self.obliques if word in PLACE_WORDS), None)

    @property
    def converse(self) -> Clause | None:
        """The event told from the other side (``sell to`` and ``buy from``), if there is a verb for it."""
        here, other, there = _CONVERSE.get(self.verb, ("", "", ""))
        rest = [oblique for oblique in self.obliques if oblique[0] != here]
        if not other or self.patient is None:
            return None
        if not here:
            return self._replace(verb=other, agent=self.patient, patient=self.agent)
        partner = next((mention for word, mention in self.obliques if word == here), None)
        if partner is None:
            return None
        return self._replace(verb=other, agent=partner, obliques=((there, self.agent), *rest))


Sentence = tuple[Clause, ...]
