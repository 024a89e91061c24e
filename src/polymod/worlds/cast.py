"""Who and what a story is about: entities that fit the slots of a schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from polymod.worlds import names
from polymod.worlds.chance import Chance, Ranked
from polymod.worlds.concepts import (
    CLASS_OF,
    DESCRIBED,
    GOODS,
    HYPERNYMS,
    NOUNS,
    PLACES,
    QUALITIES,
    QUANTITIES,
)
from polymod.worlds.meaning import PEOPLE, Mention
from polymod.worlds.notation import USUAL

NAMED = 0.75  # share of persons who have a name
SURNAMED = 0.4  # share of those who have a surname too
COUNTED = 0.15  # share of things that come in numbers
OWNED = 0.35  # share of buildings and furniture that belong to a person with a name
TRIES = 4  # at a noun that no other entity of the story has; a house may be the only one that fits
_COUNTABLE = frozenset({"fruit", "container", "clothing", "writing", "treasure", "bird", "beast", "tool"})
_OWNABLE = frozenset({"building", "furniture", "vehicle"})
_CLASSES = {kind: Ranked(nouns) for kind, nouns in NOUNS.items()}
_TRADES = {"goods": (GOODS, "tool"), "place": (PLACES, "building")}  # with what those have who have no trade


class Entity(NamedTuple):
    """A participant of a story.

    Attributes:
        kind: class of its noun, or ``"town"``.
        noun, name, surname, sex, quantity, owner: as in ``Mention``.
        quality: the adjective that the story gives to it.
    """

    kind: str
    noun: str = ""
    name: str = ""
    surname: str = ""
    sex: str = ""
    quality: str = ""
    quantity: str = ""
    owner: str = ""


def rivals(mention: Mention, present: Iterable[Mention]) -> list[Mention]:
    """The mention with each other name or noun of its kind that is not present, nor sounds like one that is.

    Nothing can take the place of a pronoun or of a more general word.
    """
    if not mention.is_plain:
        return []
    if mention.name:
        words = {names.SOUNDS_LIKE[one.name] for one in present if one.name}
        others = [name for name in names.IDS[mention.name[0]] if names.SOUNDS_LIKE[name] not in words]
        return [mention._replace(name=name) for name in others]
    nouns = {one.noun for one in present}
    return [mention._replace(noun=noun) for noun in NOUNS[CLASS_OF[mention.noun]] if noun not in nouns]


class Cast:
    """The entities of one story, made when they are first needed; no two have names that sound alike."""

    def __init__(self, chance: Chance, restrictions: Mapping[str, str]) -> None:
        self._chance = chance
        self._restrictions = restrictions
        self._entities: dict[str, Entity] = {}
        self._words: set[str] = set()  # of the names

    def __getitem__(self, slot: str) -> Entity:
        entity = self._entities.get(slot)
        if entity is None:
            restriction = self._restrictions.get(slot) or USUAL[slot]
            entity = self._entities[slot] = self._create(restriction)
        return entity

    def keep(self, slot: str, restrictions: Mapping[str, str]) -> None:
        """Let everybody go but one."""
        self._entities = {slot: self[slot]}
        self._restrictions = restrictions

    def is_only(self, entity: Entity) -> bool:
        """Whether nothing else in the story would be meant by its more general word."""
        others = [other for other in self._entities.values() if other is not entity and not other.name]
        return HYPERNYMS.get(entity.kind) not in {HYPERNYMS.get(other.kind) for other in others}

    def _reserved(self) -> set[str]:
        """Nouns that a slot must have."""
        return {restriction for restriction in self._restrictions.values() if restriction in CLASS_OF}

    def _create(self, restriction: str) -> Entity:
        """An entity that fits a restriction in the notation of ``notation.py``."""
        chance = self._chance
        if restriction == "town":
            return Entity("town", name=self._name("t"))
        known = {entity.noun for entity in self._entities.values()} | self._reserved()
        noun = self._noun(restriction)
        for _ in range(TRIES):
            noun = self._noun(restriction) if noun in known else noun
        kind = CLASS_OF[noun]
        quality = chance.pick(QUALITIES[chance.pick(DESCRIBED[kind])])
        if kind in PEOPLE:
            sex = chance.pick("fm")
            name = self._name(sex) if chance.random() < NAMED else ""
            surname = self._name("s") if name and chance.random() < SURNAMED else ""
            return Entity(kind, noun, name, surname, sex, quality)
        if kind == "firm":
            return Entity(kind, noun, self._name("o"), quality=quality)
        quantity = self._quantity() if kind in _COUNTABLE and chance.random() < COUNTED else ""
        owner = self._owner() if kind in _OWNABLE and chance.random() < OWNED else ""
        return Entity(kind, noun, quality=quality, quantity=quantity, owner=owner)

    def _noun(self, restriction: str) -> str:
        chance = self._chance
        table, mark, slot = restriction.partition(":")
        if mark:
            by_role, otherwise = _TRADES[table]
            known = by_role.get(self[slot].noun)
            return chance.pick(known) if known else _CLASSES[otherwise].pick(chance)
        noun = chance.pick(restriction.split("+"))
        return _CLASSES[noun].pick(chance) if noun in _CLASSES else noun

    def _quantity(self) -> str:
        """A word, or a number that is no hour and no year."""
        return (
            self._chance.pick(QUANTITIES) if self._chance.random() < 0.6 else str(25 + self._chance.below(75))
        )

    def _owner(self) -> str:
        """The name of a person of the story, or none if nobody in it has a name yet."""
        known = [entity.name for entity in self._entities.values() if entity.sex and entity.name]
        return self._chance.pick(known) if known else ""

    def _name(self, kind: str) -> str:
        while True:
            name = names.RANKED[kind].pick(self._chance)
            if names.SOUNDS_LIKE[name] not in self._words:
                self._words.add(names.SOUNDS_LIKE[name])
                return name
