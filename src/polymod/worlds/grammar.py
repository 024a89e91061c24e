"""From meaning to sentences: which case each participant takes, and the order of everything in the clause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from polymod.worlds.concepts import QUALITY_OF
from polymod.worlds.language import Language
from polymod.worlds.meaning import PLACE_WORDS, Clause, Mention, Sentence
from polymod.worlds.phrases import Form, Phrase, Phrases
from polymod.worlds.typology import Typology

# A phrase and its part: agent verb patient predicate place oblique time manner adposition particle link mark.
Piece = tuple[str, Phrase]
# Where in the text each part of each clause of a sentence stands: (clause, part) -> (start, stop).
Spans = dict[tuple[int, str], tuple[int, int]]
LARGEST_HOUR = 24  # a number up to this is an hour of the day, a larger one a year
_LINK_UPOS = {"and": "CCONJ", "but": "CCONJ", "because": "SCONJ", "so": "SCONJ", "then": "ADV", "not": "PART"}


class Grammar:
    """One language as a function from meanings to words."""

    def __init__(self, language: Language, names: Mapping[str, str]) -> None:
        self.language = language
        self._phrases = Phrases(language, names)
        self._type = language.typology
        self._order = clause_order(language.typology)
        self._comma, self._colon, self._stop, self._asks = (_mark(sign) for sign in ",:.?")

    def text(self, sentences: Sequence[Sentence]) -> str:
        """Sentences as running text."""
        clauses = [clause for sentence in sentences for clause in self.clauses(sentence)]
        return attach(" ".join([phrase.text for clause in clauses for _, phrase in clause]))

    def forms(self, sentence: Sentence) -> list[Form]:
        """Every word and mark of a sentence, for tagging and glosses."""
        return [form for clause in self.clauses(sentence) for _, phrase in clause for form in phrase.forms]

    def spell_out(self, sentence: Sentence) -> tuple[str, Spans]:
        """The text of a sentence, and where each part of it stands."""
        text, spans = "", Spans()
        for number, clause in enumerate(self.clauses(sentence)):
            for part, phrase in clause:
                text += phrase.text if part == "mark" or not text else f" {phrase.text}"
                spans[number, part] = (len(text) - len(phrase.text), len(text))
        return text, spans

    def clauses(self, sentence: Sentence) -> list[list[Piece]]:
        """Pieces clause by clause; links and marks stand with the clause that they come with."""
        found: list[list[Piece]] = []
        for clause in sentence:
            pieces: list[Piece] = []
            if clause.link == ":":
                pieces.append(self._colon)
            elif clause.link:
                link = ("link", self._phrases.word(clause.link, _LINK_UPOS[clause.link]))
                pieces += (self._comma, link) if found else (link,)
            if clause.verb:
                self._clause(clause, pieces)
            found.append(pieces)
        found[-1].append(self._asks if sentence[-1].asked else self._stop)
        return found

    def _clause(self, clause: Clause, pieces: list[Piece]) -> None:
        asked, typology, phrases = clause.asked, self._type, self._phrases
        agent = phrases.noun(clause.agent, self._agent_case(clause))
        verb = phrases.verb(clause.verb, clause.past, clause.negated, agent.concord)
        dropped = clause.agent.pronoun and typology["pronouns"] == "dropped" and verb.forms
        if asked:
            self._open_question(clause, pieces)
        for part in self._order:
            if part == asked:
                if typology["question_word"] != "first":
                    pieces.append((asked, self._question(clause)))
            elif part == "agent":
                if not dropped:
                    pieces.append((part, agent))
            elif part == "verb":
                if verb.forms:
                    pieces.append((part, verb))
            elif part == "patient":
                self._complement(clause, agent, pieces)
            elif part == "oblique":
                self._obliques(clause, pieces)
            elif part == "time" and clause.time:
                self._time(clause.time, pieces)
            elif part == "manner" and clause.manner:
                pieces.append((part, phrases.word(clause.manner, "ADV")))
        if clause.negated and typology["negation"] == "final":
            pieces.append(("particle", phrases.word("not", "PART")))
        if asked and typology["question_particle"] == "last":
            pieces.append(("particle", phrases.word("question", "PART")))

    def _agent_case(self, clause: Clause) -> str:
        return "ergative" if clause.patient and self._type["case"] == "ergative" else "nominative"

    def _patient_case(self) -> str:
        return "accusative" if self._type["case"] == "accusative" else "nominative"

    def _complement(self, clause: Clause, agent: Phrase, pieces: list[Piece]) -> None:
        """The patient, or what the agent is said to be."""
        if clause.patient:
            pieces.append(("patient", self._phrases.noun(clause.patient, self._patient_case())))
        elif clause.predicate in QUALITY_OF:
            pieces.append(("predicate", self._phrases.adjective(clause.predicate, agent.concord)))
        elif clause.predicate:
            noun = Mention(clause.predicate, sex=clause.agent.sex, definite=False)
            pieces.append(("predicate", self._phrases.noun(noun, "nominative")))

    def _obliques(self, clause: Clause, pieces: list[Piece]) -> None:
        """Further participants, the place that is asked for among them."""
        for adposition, mention in clause.obliques:
            part = "place" if adposition in PLACE_WORDS else "oblique"
            if part == clause.asked:
                if self._type["question_word"] != "first":
                    pieces.append((part, self._question(clause)))
            elif adposition == "to" and self._type["dative"] == "case":
                pieces.append((part, self._phrases.noun(mention, "dative")))
            else:
                case = "nominative" if self._type["case"] == "none" else "oblique"
                self._adpositional((part, self._phrases.noun(mention, case)), adposition, pieces)

    def _time(self, time: str, pieces: list[Piece]) -> None:
        """A time of day or season, ``in`` a year, ``at`` an hour."""
        if time.isdigit():
            number = ("time", self._phrases.word(time, "NUM"))
            self._adpositional(number, "at" if int(time) <= LARGEST_HOUR else "in", pieces)
        else:
            pieces.append(("time", self._phrases.word(time, "ADV")))

    def _adpositional(self, noun: Piece, adposition: str, pieces: list[Piece]) -> None:
        word = ("adposition", self._phrases.word(adposition, "ADP"))
        pieces += (word, noun) if self._type["adposition"] == "before" else (noun, word)

    def _open_question(self, clause: Clause, pieces: list[Piece]) -> None:
        if self._type["question_particle"] == "first":
            pieces.append(("particle", self._phrases.word("question", "PART")))
        if self._type["question_word"] == "first" and clause.asked != "truth":
            pieces.append((clause.asked, self._question(clause)))

    def _question(self, clause: Clause) -> Phrase:
        if clause.asked in ("place", "time"):
            return self._phrases.question("where" if clause.asked == "place" else "when", "nominative")
        mention = clause.agent if clause.asked == "agent" else clause.patient
        assert mention is not None, "a question asks for what the clause has"
        case = self._agent_case(clause) if clause.asked == "agent" else self._patient_case()
        return self._phrases.question("who" if mention.is_person else "what", case)


def clause_order(typology: Typology) -> tuple[str, ...]:
    """The parts of a clause in order; absent ones are skipped."""
    order = {"S": "agent", "V": "verb", "O": "patient"}
    parts = [order[letter] for letter in typology["order"]]
    patient, verb = parts.index("patient"), parts.index("verb")
    if verb > patient:
        parts.insert(verb if typology["oblique"] == "inner" else patient, "oblique")
        parts.insert(parts.index("verb"), "manner")
    else:
        parts.insert(patient if typology["oblique"] == "inner" else patient + 1, "oblique")
        parts.insert(parts.index("verb") + 1, "manner")
    return ("time", *parts) if typology["time"] == "first" else (*parts, "time")


def attach(text: str) -> str:
    """Punctuation marks attached to the words before them."""
    return text.replace(" .", ".").replace(" ,", ",").replace(" ?", "?").replace(" :", ":")


def _mark(sign: str) -> Piece:
    return ("mark", Phrase(sign, (Form(sign, "PUNCT", sign),)))
