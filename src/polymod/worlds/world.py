"""A world: its languages, their text, their task data, all decided by one seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import count as counted
from typing import Any, NamedTuple

from polymod.errors import UserError
from polymod.worlds import nli, qa, tagging
from polymod.worlds.chance import Chance
from polymod.worlds.denial import with_denials
from polymod.worlds.document import document
from polymod.worlds.grammar import Grammar
from polymod.worlds.language import Language, make_language
from polymod.worlds.lineage import Lineage, lineages
from polymod.worlds.names import name_book
from polymod.worlds.recall import with_recalls
from polymod.worlds.relatedness import Matrix, relatedness

SPLITS = ("train", "dev", "test")
PARALLEL = frozenset({"dev", "test"})  # splits that say the same in every language


class Task(NamedTuple):
    """How examples of a task are drawn (from chance and their number) and said in a language."""

    draw: Callable[[Chance, int], Any]
    say: Callable[[Grammar, Any], dict[str, Any]]


TASKS: dict[str, Task] = {
    "nli": Task(nli.draw, nli.say),
    "ner": Task(tagging.draw_named, tagging.say_entities),
    "pos": Task(tagging.draw_any, tagging.say_parts_of_speech),
    "qa": Task(qa.draw, qa.say),
    "retrieval": Task(tagging.draw_full, tagging.say_text),
}


class Shares(NamedTuple):
    """How much of the text is told in other ways than plainly; each is from 0 to 1.

    Attributes:
        code_switching: of documents, with words of another language of the world.
        parallel: of documents, told in two languages, sentence by sentence.
        denials: chance of a sentence of text to come after what did not happen.
        recalls: chance of a sentence of text to come before a recall of something told: again, or asked for.
    """

    code_switching: float = 0.0
    parallel: float = 0.0
    denials: float = 0.0
    recalls: float = 0.0


PLAIN = Shares()


class World:
    """Controlled languages by seed. A language depends on the seed, its place in the family tree and
    ``grammars`` only; its text also on which others there are, if documents switch between languages or are
    told in two.

    Attributes:
        seed: any integer.
        shares: of the text.
        grammars: that families take turns with, see ``typology``; None: each family has its own.
        tags: canonical tags of the languages; families take turns (``qaa qba qca qda qab ...``).
    """

    def __init__(
        self,
        seed: int = 0,
        num_languages: int = 12,
        num_families: int = 4,
        shares: Shares = PLAIN,
        grammars: int | None = None,
    ) -> None:
        if num_families < 1 or num_languages < num_families:
            what = f"{num_languages} languages cannot make {num_families} families"
            raise UserError(what, fix="give at least one family, and at least as many languages as families")
        if grammars and grammars > num_families:
            what = f"{num_families} families cannot take turns with {grammars} grammars"
            raise UserError(what, fix=f"give at most {num_families}, or leave it out: each has its own then")
        self.seed, self.shares, self.grammars = seed, shares, grammars
        self._languages: dict[str, Language] = {}  # those that were made
        self._lineages = {lineage.tag: lineage for lineage in lineages(num_languages, num_families)}

    @property
    def tags(self) -> tuple[str, ...]:
        """Canonical tags in the order of creation."""
        return tuple(self._lineages)

    def family(self, tag: str) -> str:
        """Name of the family of a language, the second letter of its tag (``a``)."""
        return self._lineage(tag).family_name

    def language(self, tag: str) -> Language:
        """Script, typology and words of a language."""
        if tag not in self._languages:
            self._languages[tag] = make_language(self.seed, self._lineage(tag), self.grammars)
        return self._languages[tag]

    def grammar(self, tag: str) -> Grammar:
        """The language as a function from meanings to words; it grows as it remembers phrases."""
        return Grammar(self.language(tag), self.names)

    @cached_property
    def names(self) -> dict[str, str]:
        """Phonemes of every proper name."""
        return name_book(self.seed)

    def relatedness(self, part: str = "all") -> Matrix:
        """(L, L) relatedness in the order of ``tags``: of words, spelling, grammar, or all of them."""
        parts = relatedness([self.language(tag) for tag in self.tags])
        if part not in parts:
            raise UserError(f"unknown part of relatedness {part!r}", fix=f"one of {', '.join(parts)}")
        return parts[part]

    def documents(self, tag: str, count: int | None = None) -> Iterator[str]:
        """Documents of a language, one string each; without a count they never end."""
        for text, _ in self.counted_documents(tag, count):
            yield text

    def counted_documents(self, tag: str, count: int | None = None) -> Iterator[tuple[str, int]]:
        """Documents of a language and their numbers of sentences; what is told twice counts twice."""
        grammars = {tag: self.grammar(tag)}
        for number in range(count) if count is not None else counted():
            sentences = document(Chance("document", self.seed, tag, number))
            if self.shares.denials:
                chance = Chance("denials", self.seed, tag, number)
                sentences = with_denials(sentences, self.shares.denials, chance)
            if self.shares.recalls:
                chance = Chance("recalls", self.seed, tag, number)
                sentences = with_recalls(sentences, self.shares.recalls, chance)
            own = self._switching(tag, number) or grammars[tag]
            if other := self._told_in_too(tag, number):
                if other not in grammars:
                    grammars[other] = self.grammar(other)
                both = own, grammars[other]
                told = [grammar.text([sentence]) for sentence in sentences for grammar in both]
                yield " ".join(told), len(told)
            else:
                yield own.text(sentences), len(sentences)

    def _told_in_too(self, tag: str, number: int) -> str:
        """The language that says each sentence of a document again: the first one, as most parallel text is
        with one language, and for that one any other. Empty for what is told once."""
        if not self.shares.parallel or len(self.tags) == 1:
            return ""
        chance = Chance("parallel", self.seed, tag, number)
        if chance.random() >= self.shares.parallel:
            return ""
        return self.tags[0] if tag != self.tags[0] else chance.pick(self.tags[1:])

    def _switching(self, tag: str, number: int) -> Grammar | None:
        """How a document is told whose teller also speaks another language; most do not."""
        if not self.shares.code_switching or len(self.tags) == 1:
            return None
        chance = Chance("switching", self.seed, tag, number)
        if chance.random() >= self.shares.code_switching:
            return None
        other = chance.pick([other for other in self.tags if other != tag])
        return Grammar(self.language(tag).switching(self.language(other), chance), self.names)

    def task(self, name: str, tag: str, split: str, count: int) -> list[dict[str, Any]]:
        """Examples with gold labels; those of dev and test mean the same in every language, none comes twice.

        ``nli``: premise, hypothesis, label. ``ner`` and ``pos``: tokens, tags. ``qa``: context, question,
        answers. ``retrieval``: text.

        Raises:
            UserError: unknown task, split or language.
        """
        if name not in TASKS or split not in SPLITS:
            what = f"no task {name!r} with split {split!r}"
            raise UserError(what, fix=f"tasks: {', '.join(TASKS)}; splits: {', '.join(SPLITS)}")
        grammar = self.grammar(tag)
        source = "everywhere" if split in PARALLEL else tag
        meanings: dict[Any, None] = {}
        for attempt in counted():
            if len(meanings) == count:
                break
            chance = Chance("task", self.seed, name, split, source, attempt)
            meanings.setdefault(TASKS[name].draw(chance, len(meanings)))
        return [TASKS[name].say(grammar, meaning) for meaning in meanings]

    def _lineage(self, tag: str) -> Lineage:
        if tag not in self._lineages:
            what = f"no language {tag!r} in this world"
            raise UserError(
                what, fix=f"it has {', '.join(self.tags[:20])}{'...' if len(self.tags) > 20 else ''}"
            )
        return self._lineages[tag]
