"""A results document as the sections read it: languages by family, arms with their scores and curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from polymod.errors import UserError
from polymod.languages import name as english_name
from polymod.report.figures import mean
from polymod.report.part import Part, finite

SCHEMA = 1


@dataclass(frozen=True)
class Language:
    """A language of the document; ``family`` is empty where it is not known."""

    tag: str
    family: str

    @property
    def name(self) -> str:
        """English name, empty where there is none in the table of ``languages``."""
        return english_name(self.tag) or ""

    @property
    def label(self) -> str:
        """What sentences call it."""
        if not self.name:
            return self.tag
        return f"{self.name} ({self.tag})" if "-" in self.tag else self.name


@dataclass(frozen=True)
class Score:
    """Loss and unigram entropy in nats on the valid split; absent where they are not finite."""

    loss: float | None
    perplexity: float | None
    tokens: float | None
    entropy: float | None

    @property
    def gain(self) -> float | None:
        """Nats below the unigram entropy."""
        return None if self.loss is None or self.entropy is None else self.entropy - self.loss


NO_SCORE = Score(None, None, None, None)


@dataclass(frozen=True)
class Point:
    """A point of a learning curve; ``tokens`` seen so far, losses in nats."""

    step: float
    tokens: float
    loss: float | None
    languages: Mapping[str, float | None]


@dataclass(frozen=True)
class Arm:
    """One way of setting up modules, trained and scored.

    Attributes:
        number: place among the arms; decides colour and marker.
        scores: of all its languages.
        scored: of those that every arm has a finite loss for, so that means can be compared; of its own
            languages where the arms share none.
        part: its part of the document, for costs and options.
    """

    name: str
    number: int
    part: Part
    scores: Mapping[str, Score]
    scored: Mapping[str, Score]
    train_curve: tuple[Point, ...]
    valid_curve: tuple[Point, ...]

    @property
    def curve(self) -> tuple[Point, ...]:
        """The valid curve, or the training curve where the valid split was scored less than twice."""
        return self.valid_curve if len(self.valid_curve) > 1 else self.train_curve

    @property
    def loss(self) -> float | None:
        """Mean over the scored languages."""
        return mean([score.loss for score in self.scored.values() if score.loss is not None])

    @property
    def gain(self) -> float | None:
        """Mean nats below the unigram entropy over the scored languages, if it is known of all of them."""
        gains = [score.gain for score in self.scored.values() if score.gain is not None]
        return mean(gains) if len(gains) == len(self.scored) else None


@dataclass(frozen=True)
class Document:
    """What a page is made of.

    Attributes:
        languages: of all parts, a family's next to each other, otherwise in the order of the document.
        part: the whole document, for sections that read a part of their own.
    """

    title: str
    kind: str
    languages: tuple[Language, ...]
    arms: tuple[Arm, ...]
    part: Part

    @property
    def noun(self) -> str:
        """What an arm is called: in a demo they differ in how modules are set up, elsewhere in anything."""
        return "arm" if self.kind == "demo" else "run"

    @property
    def article(self) -> str:
        """The same with its article."""
        return "an arm" if self.noun == "arm" else "a run"

    @property
    def families(self) -> dict[str, tuple[Language, ...]]:
        """Languages by family."""
        return {
            family: tuple(language for language in self.languages if language.family == family)
            for family in dict.fromkeys(language.family for language in self.languages)
        }

    def label(self, tag: str) -> str:
        """What sentences call a language."""
        return next((language.label for language in self.languages if language.tag == tag), tag)

    def entropy(self, tag: str) -> float | None:
        """Unigram entropy of a language in nats, from the first arm that has it."""
        found = (arm.scores[tag].entropy for arm in self.arms if tag in arm.scores)
        return next((entropy for entropy in found if entropy is not None), None)


def read(document: Mapping[str, Any]) -> Document:
    """Check a results document.

    Raises:
        UserError: another schema, no title or kind, or a value of the wrong kind (the message says where).
    """
    part = Part(document)
    if document.get("schema") != SCHEMA:
        what = f"a results document of schema {document.get('schema')!r}, this program reads {SCHEMA}"
        raise UserError(what, fix="write it again with this version of polymod")
    for key in ("kind", "title"):
        if not part.text(key):
            raise UserError(f"the results document has no {key}", fix="give a document that polymod wrote")
    arms = _arms(part.part("arms"))
    return Document(part.text("title"), part.text("kind"), _languages(part, arms), arms, part)


def _languages(part: Part, arms: Iterable[Arm]) -> tuple[Language, ...]:
    """Every language of any part, ordered by family."""
    facts = part.part("world", "languages").parts()
    found = [*facts, *part.part("data", "languages").tree, *(tag for arm in arms for tag in arm.scores)]
    found += part.part("world", "relatedness").sequence("tags")
    found += part.part("added", "languages").tree
    found += [tag for task in part.part("transfer").parts().values() for tag in task.part("languages").tree]
    found += _diagnosed(part)
    family = {str(tag): "" for tag in found} | {
        tag: "" if (value := fact.tree.get("family")) is None else str(value) for tag, fact in facts.items()
    }
    order = list(dict.fromkeys(family.values()))
    return tuple(
        Language(tag, family[tag]) for tag in sorted(family, key=lambda tag: order.index(family[tag]))
    )


def _diagnosed(part: Part) -> Iterable[str]:
    """Languages of the diagnoses."""
    for row in part.rows("gradients"):
        yield from map(str, row.sequence("languages"))
    for key in ("masks", "controls", "gaps"):
        for row in part.rows(key):
            yield from row.part("languages").parts()


def _arms(part: Part) -> tuple[Arm, ...]:
    scores = {name: _scores(arm.part("valid", "languages")) for name, arm in part.parts().items()}
    known = {name: {tag for tag in own if own[tag].loss is not None} for name, own in scores.items()}
    of_all = set.intersection(*filter(None, known.values())) if any(known.values()) else set()
    arms = []
    for number, (name, arm) in enumerate(part.parts().items()):
        means_over = known[name] & of_all or known[name]
        scored = {tag: score for tag, score in scores[name].items() if tag in means_over}
        curves = (_curve(arm.rows("train_curve"), "loss"), _curve(arm.rows("valid_curve"), "mean_loss"))
        arms.append(Arm(name, number, arm, scores[name], scored, *curves))
    return tuple(arms)


def _scores(part: Part) -> dict[str, Score]:
    keys = ("loss", "perplexity", "tokens", "unigram_entropy")
    return {tag: Score(*map(score.number, keys)) for tag, score in part.parts().items()}


def _curve(rows: Iterable[Part], loss: str) -> tuple[Point, ...]:
    """Points that have a place on the axis, in its order."""
    points = []
    for row in rows:
        step, tokens, languages = row.number("step"), row.number("tokens"), row.part("languages")
        if step is not None and tokens is not None:
            by_tag = {str(tag): finite(value, languages, str(tag)) for tag, value in languages.tree.items()}
            points.append(Point(step, tokens, row.number(loss), by_tag))
    return tuple(sorted(points, key=lambda point: point.tokens))
