"""Stories: a schema with its cast, told sentence by sentence as people tell, with names and pronouns."""

from __future__ import annotations

from polymod.worlds.cast import Cast, Entity
from polymod.worlds.chance import Chance, Ranked
from polymod.worlds.concepts import HYPERNYMS, MANNERS, TIMES
from polymod.worlds.meaning import Clause, Mention, Sentence
from polymod.worlds.notation import ClausePlan
from polymod.worlds.schemas import SCHEMAS

PAST = 0.75  # share of stories told in the past
INTRODUCED = 0.6  # share of stories that begin by saying who A is
DESCRIBED_FIRST, DESCRIBED_LATER = 0.6, 0.25  # chance that a thing is mentioned with its quality
RESUMED = 0.5  # chance that an agent who was the last agent is a pronoun
GENERAL = 0.08  # chance that a known thing is called by its more general word
JOINED = 0.12  # chance that a sentence is tied to the one before with "and"
TIMED, IN_MANNER, PLACED = 0.18, 0.12, 0.12  # chance of a time, a manner, the last place in a clause
_TIMES = Ranked(TIMES)
_MANNERS = Ranked(MANNERS)
# Verbs of which one does not say in which manner.
_STATES = frozenset({"have", "love", "hate", "want", "need", "know", "remember", "forget", "fear", "live"})
_INTRODUCTIONS = (
    (ClausePlan("", "A", False, "be", "", (), "role", ""),),
    (ClausePlan("", "A", False, "live", "", (("in", "T"),), "", ""),),
    (ClausePlan("", "A", False, "come", "", (("from", "T"),), "", ""),),
    (ClausePlan("", "A", False, "work", "", (("for", "G"),), "", ""),),
)


class Story:
    """One telling; ``sentences`` grows as steps are told."""

    def __init__(self, chance: Chance) -> None:
        self.sentences: list[Sentence] = []
        self._chance = chance
        self._schema = chance.pick(SCHEMAS)
        self._cast = Cast(chance, self._schema.cast)
        self._told: set[str] = set()
        self._said: set[tuple[ClausePlan, ...]] = set()
        self._last_agent = ""
        self._place: Entity | None = None
        self._past = chance.random() < PAST

    def tell(self) -> list[Sentence]:
        """Introduction and steps of the schema."""
        chance = self._chance
        if chance.random() < INTRODUCED and self._cast["A"].name:
            self._sentence(chance.pick(_INTRODUCTIONS))
        for step in self._schema.steps:
            if step.chance == 1.0 or chance.random() < step.chance:
                self._sentence(chance.pick(step.sentences))
        return self.sentences

    def go_on(self) -> list[Sentence]:
        """A second schema, in which A is the same person and everybody else is new."""
        self._schema = self._chance.pick(SCHEMAS)
        self._cast.keep("A", self._schema.cast)
        self._told &= {"A"}
        self._said &= set(_INTRODUCTIONS)
        self._place = None
        return self.tell()

    def _sentence(self, plans: tuple[ClausePlan, ...]) -> None:
        if plans in self._said:  # an introduction may be a step as well
            return
        self._said.add(plans)
        speech, clauses = False, []
        for plan in plans:
            speech = speech or plan.link == ":"
            clauses.append(self._clause(plan, speech))
        last = self.sentences[-1] if self.sentences else ()
        if len(last) == 1 and not clauses[0].link and self._chance.random() < JOINED:
            self.sentences[-1] = (*last, clauses[0]._replace(link="and"), *clauses[1:])
        else:
            self.sentences.append(tuple(clauses))

    def _clause(self, plan: ClausePlan, speech: bool) -> Clause:
        chance = self._chance
        present = [self._cast[slot] for slot in plan.slots]
        owners = {entity.name for entity in present}  # whose things need no owner here
        agent = self._mention(plan.agent, owners, resumed=plan.agent == self._last_agent)
        patient = self._mention(plan.patient, owners) if plan.patient else None
        obliques = tuple([(word, self._mention(slot, owners)) for word, slot in plan.obliques])
        predicate, time, manner = plan.predicate, "", ""
        if predicate:
            predicate, agent = self._predicate(plan, agent)
        elif not speech and not plan.negated:
            time = self._time() if chance.random() < TIMED else ""
            if plan.verb not in _STATES:
                manner = _MANNERS.pick(chance) if chance.random() < IN_MANNER else ""
                if self._place and self._place not in present and not obliques and chance.random() < PLACED:
                    obliques = (("in", self._known(self._place)),)
        for word, slot in plan.obliques:
            if word in ("in", "to"):
                self._place = self._cast[slot] if self._cast[slot].kind in ("building", "outdoors") else None
        asked = {plan.agent: "agent", plan.patient: "patient", "": ""}.get(plan.asked, "place")
        self._last_agent = plan.agent
        past = self._past and not speech
        return Clause(
            plan.verb, agent, patient, obliques, predicate, time, manner, plan.negated, past, asked, plan.link
        )

    def _predicate(self, plan: ClausePlan, agent: Mention) -> tuple[str, Mention]:
        """What is said of the agent, and the agent without what would say it twice."""
        entity = self._cast[plan.agent]
        if plan.predicate == "role" and entity.name:
            return entity.noun, agent._replace(noun="" if agent.name else agent.noun, adjective="")
        predicate = entity.quality if plan.predicate in ("own", "role") else plan.predicate
        return predicate, agent._replace(adjective="")

    def _time(self) -> str:
        kind = self._chance.random()
        if kind < 0.5:
            return _TIMES.pick(self._chance)
        return str(1900 + self._chance.below(120)) if kind < 0.8 else str(1 + self._chance.below(24))

    def _mention(self, slot: str, owners: set[str], resumed: bool = False) -> Mention:
        entity = self._cast[slot]
        if slot not in self._told:
            self._told.add(slot)
            return self._first(entity, "" if entity.owner in owners else entity.owner)
        if resumed and not (entity.name and not entity.sex) and self._chance.random() < RESUMED:
            return Mention(entity.noun, sex=entity.sex, quantity=entity.quantity, pronoun=True)
        return self._known(entity)

    def _known(self, entity: Entity) -> Mention:
        chance = self._chance
        if entity.name:
            return Mention(name=entity.name, sex=entity.sex)
        noun = entity.noun
        if chance.random() < GENERAL and self._cast.is_only(entity):
            noun = HYPERNYMS.get(entity.kind, noun)
        adjective = entity.quality if chance.random() < DESCRIBED_LATER else ""
        return Mention(noun, sex=entity.sex, adjective=adjective, quantity=entity.quantity)

    def _first(self, entity: Entity, owner: str) -> Mention:
        chance = self._chance
        if entity.name:
            apposed = entity.kind == "firm" or (entity.sex and chance.random() < 0.3)
            return Mention(entity.noun if apposed else "", entity.name, entity.surname, entity.sex)
        adjective = entity.quality if chance.random() < DESCRIBED_FIRST else ""
        definite = bool(entity.owner)
        return Mention(entity.noun, "", "", entity.sex, adjective, entity.quantity, owner, definite)
