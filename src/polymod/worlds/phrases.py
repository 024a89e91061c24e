"""Phrases of one language: nouns with all that goes with them, verbs with tense and denial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from polymod.worlds.language import Language
from polymod.worlds.meaning import Mention
from polymod.worlds.morphology import Inflected, Morphology
from polymod.worlds.names import INTERNATIONAL, TYPES
from polymod.worlds.script import spell

MOST_REMEMBERED = 50_000  # noun phrases of one language
_UPOS_OF_NAME = "PROPN"


class Form(NamedTuple):
    """A word as it stands in a text: letters, universal part of speech, gloss, entity tag (IOB2)."""

    surface: str
    upos: str
    gloss: str
    entity: str = "O"


class Phrase(NamedTuple):
    """Words that stand together, and what agrees with them (see ``morphology``)."""

    text: str
    forms: tuple[Form, ...]
    concord: str = "0"


def phrase(forms: list[Form], concord: str = "0") -> Phrase:
    """The words in their order."""
    return Phrase(" ".join([form.surface for form in forms]), tuple(forms), concord)


class Phrases:
    """Builds each phrase of a language once and remembers it."""

    def __init__(self, language: Language, names: Mapping[str, str]) -> None:
        self.language = language
        self.typology = language.typology
        self._morphology = Morphology(language)
        self._names = names
        self._head_first = language.typology["adposition"] == "before"
        self._nouns: dict[tuple[Mention, str], Phrase] = {}
        self._verbs: dict[tuple[str, bool, bool, str], Phrase] = {}
        self._words: dict[tuple[str, str], Phrase] = {}

    def noun(self, mention: Mention, case: str) -> Phrase:
        """A participant in a case (``nominative``: unmarked)."""
        found = self._nouns.get((mention, case))
        if found is None:
            if len(self._nouns) >= MOST_REMEMBERED:
                self._nouns.clear()
            found = self._nouns[mention, case] = self._noun_phrase(mention, case)
        return found

    def verb(self, verb: str, past: bool, negated: bool, concord: str) -> Phrase:
        """A verb, or the copula, with what belongs to it; empty where the copula is left out."""
        key = (verb, past, negated, concord)
        found = self._verbs.get(key)
        if found is None:
            found = self._verbs[key] = self._verb_phrase(verb, past, negated, concord)
        return found

    def word(self, concept: str, upos: str) -> Phrase:
        """A word that is not inflected, or a number in digits."""
        found = self._words.get((concept, upos))
        if found is None:
            found = self._words[concept, upos] = phrase([self._plain(concept, upos)])
        return found

    def adjective(self, concept: str, concord: str, upos: str = "ADJ") -> Phrase:
        """A predicate or attribute."""
        return phrase([self._form(self._morphology.adjective(concept, concord), upos)])

    def question(self, word: str, case: str) -> Phrase:
        """``who``, ``what`` in a case; ``where``, ``when`` as they are."""
        inflected = self._morphology.case(self._morphology.stem(word), case)
        return phrase([self._form(inflected, "PRON" if word in ("who", "what") else "ADV")])

    def _form(self, word: Inflected, upos: str) -> Form:
        return Form(self.language.spelt(word.stem, word.script, word.before, word.after), upos, word.gloss)

    def _plain(self, concept: str, upos: str) -> Form:
        return (
            Form(concept, upos, concept)
            if concept.isdigit()
            else self._form(self._morphology.stem(concept), upos)
        )

    def _noun_phrase(self, mention: Mention, case: str) -> Phrase:
        typology, gender = self.typology, self._gender(mention)
        concord = "plural" if mention.quantity else str(gender)
        if mention.pronoun:
            return phrase([self._pronoun(mention, gender, case)], concord)
        forms = self._core(mention, gender, case)
        if mention.adjective:
            adjective = self.adjective(mention.adjective, concord).forms
            forms = _beside(forms, adjective, typology["adjective"])
        if mention.quantity:
            forms = _beside(forms, (self._plain(mention.quantity, "NUM"),), typology["numeral"])
        if mention.noun and not mention.name and mention.definite and typology["article"] == "before":
            forms = [*self.adjective("the", concord, "DET").forms, *forms]
        if mention.owner:
            forms = _beside(forms, self._owner(mention.owner), typology["genitive"])
        return phrase(forms, concord)

    def _gender(self, mention: Mention) -> int:
        if self.typology["gender"] != "none" and mention.sex:
            return "fm".index(mention.sex)
        return self.language.gender(mention.noun or TYPES[mention.name[0]])

    def _pronoun(self, mention: Mention, gender: int, case: str) -> Form:
        if mention.quantity:
            concept = "they"
        elif self.typology["gender"] != "none":
            concept = ("she", "he", "it")[gender]
        else:
            concept = "he" if mention.sex else "it"
        return self._form(self._morphology.case(self._morphology.stem(concept), case), "PRON")

    def _core(self, mention: Mention, gender: int, case: str) -> list[Form]:
        """The noun, the names, or both: ``farmer Mira`` is one person, ``bank Mira`` one name of a firm."""
        firm = mention.name.startswith("o")
        name_case = self._genitive() if firm and mention.noun else case
        names = [self._name(mention.name, name_case, "B")] if mention.name else []
        if mention.surname:
            names.append(self._name(mention.surname, case, "I"))
        if not mention.noun:
            return names
        together = _beside(self._noun_words(mention, gender, case), names, self.typology["genitive"])
        if not firm:
            return together
        return [form._replace(entity=f"{'I' if place else 'B'}-ORG") for place, form in enumerate(together)]

    def _noun_words(self, mention: Mention, gender: int, case: str) -> list[Form]:
        plural, definite = bool(mention.quantity), mention.definite and not mention.name
        noun = self._noun_form(
            mention.noun, self._morphology.noun(mention.noun, gender, plural, case, definite)
        )
        if not plural or self.typology["affixing"] != "isolating":
            return [noun]
        return _beside([noun], [self._plain("plural", "PART")], self.typology["adposition"])

    def _noun_form(self, noun: str, inflected: Inflected) -> Form:
        """International words stay as they are."""
        if noun in self.language.international:
            return Form(self.language.written(noun), "NOUN", noun)
        return self._form(inflected, "NOUN")

    def _name(self, name: str, case: str, place: str) -> Form:
        tag = f"{place}-{TYPES[name[0]]}"
        word = Inflected(self._names[name], self._names[name].capitalize())
        if name in INTERNATIONAL:
            return Form(spell(word.stem, "Latn"), _UPOS_OF_NAME, word.gloss, tag)
        return self._form(self._morphology.case(word, case), _UPOS_OF_NAME)._replace(entity=tag)

    def _genitive(self) -> str:
        return "nominative" if self.typology["case"] == "none" else "genitive"

    def _owner(self, name: str) -> list[Form]:
        owner = [self._name(name, self._genitive(), "B")]
        if self.typology["case"] != "none":
            return owner
        return _beside(owner, [self._plain("of", "ADP")], self.typology["adposition"])

    def _verb_phrase(self, verb: str, past: bool, negated: bool, concord: str) -> Phrase:
        negation = self.typology["negation"]
        dropped = verb == "be" and self.typology["copula"] == "dropped" and not past
        forms = []
        if not dropped or (negated and negation == "affix"):
            inflected = self._morphology.verb(verb, past, negated, concord)
            forms = [self._form(inflected, "AUX" if verb == "be" else "VERB")]
        if past and self.typology["affixing"] == "isolating":
            forms = _beside(forms, [self._plain("past", "AUX")], self.typology["adposition"])
        if negated and negation in ("before", "after"):
            forms = _beside(forms, [self._plain("not", "PART")], negation)
        return phrase(forms)


def _beside(forms: list[Form], other: list[Form] | tuple[Form, ...], side: str) -> list[Form]:
    """``other`` before or after the forms."""
    return [*other, *forms] if side == "before" else [*forms, *other]
