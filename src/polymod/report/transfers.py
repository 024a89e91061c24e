"""Tasks learnt in one language and read in others, with controls, as a results document tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from polymod.report.document import Document
from polymod.report.figures import fixed, mean
from polymod.report.part import Part

TARGET, SOURCE, NONE = CONTROLS = ("target", "source", "none")
_LABELS = {"nli": "NLI", "ner": "NER", "pos": "POS", "qa": "QA"}
_METRICS = {"f1": "F1", "accuracy": "accuracy", "em": "exact match"}


@dataclass(frozen=True)
class Value:
    """A score or a difference of scores, with its 95 % interval, in per cent; absent where not finite."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, if they are known."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval is above or below 0, otherwise 0."""
        if self.low is None or self.high is None:
            return 0
        return (self.low > 0) - (self.high < 0)


@dataclass(frozen=True)
class Transfer:
    """A task in every language.

    Attributes:
        scores: by control, then by tag.
        macro: by control, the mean over the languages that the task was not learnt in.
        gains: by control, how far the own module is above it, in each of those languages.
        gain: the same on average.
        label: what tells it from other trainings for the same task; empty if it is the only one.
        guessing: the score of guessing labels evenly, where the metric is a share of right labels.
    """

    task: str
    label: str
    metric: str
    sources: tuple[str, ...]
    scores: Mapping[str, Mapping[str, Value]]
    macro: Mapping[str, Value]
    gains: Mapping[str, Mapping[str, Value]]
    gain: Mapping[str, Value]
    guessing: float | None

    @property
    def name(self) -> str:
        """What sentences call the task."""
        name = _LABELS.get(self.task, self.task)
        return f"{name} ({self.label})" if self.label else name

    @property
    def metric_name(self) -> str:
        """What sentences call the metric."""
        return _METRICS.get(self.metric, self.metric)

    @property
    def own(self) -> Mapping[str, Value]:
        """Scores through each language's own module."""
        return self.scores.get(TARGET, {})

    @property
    def home(self) -> float | None:
        """Mean score in the languages that the task was learnt in."""
        found = [self.own[tag].value for tag in self.sources if tag in self.own]
        return mean([value for value in found if value is not None])

    @property
    def mean(self) -> Value:
        """Mean score in the other languages, through their own modules."""
        return self.macro.get(TARGET, Value(None))

    @property
    def gap(self) -> float | None:
        """How far the others are below the languages that the task was learnt in."""
        return None if self.home is None or self.mean.value is None else self.home - self.mean.value

    @property
    def harder(self) -> tuple[str, float] | None:
        """The control that the own module is least above on average, and by how much."""
        known = {control: gain.value for control, gain in self.gain.items() if gain.value is not None}
        control = min(known, key=lambda control: known[control], default=None)
        return None if control is None else (control, known[control])

    @property
    def worst(self) -> tuple[str, float] | None:
        """Tag and score of the worst of the other languages."""
        others = {tag: own.value for tag, own in self.own.items() if tag not in self.sources}
        known = {tag: value for tag, value in others.items() if value is not None}
        tag = min(known, key=lambda tag: known[tag], default=None)
        return None if tag is None else (tag, known[tag])


def transfers(document: Document) -> list[Transfer]:
    """Every task that has a score in some language through its own module."""
    found = (_transfer(part, task) for task, part in document.part.part("transfer").parts().items())
    return [each for each in found if any(own.value is not None for own in each.own.values())]


def points(value: float | None) -> str:
    """``64.2``."""
    return fixed(value, 1)


def _transfer(part: Part, task: str) -> Transfer:
    modules = part.part("modules").parts() or {TARGET: part}
    differences = {control: part.part("differences", f"{TARGET}-{control}") for control in CONTROLS[1:]}
    labels, metric = part.sequence("labels"), part.text("metric")
    return Transfer(
        task=part.text("task") or task,
        label=part.text("label"),
        metric=metric,
        sources=tuple(filter(None, part.text("source").split(","))),
        scores={control: _values(table, "score") for control, table in modules.items()},
        macro={control: _value(table.part("macro_interval"), "score") for control, table in modules.items()},
        gains={control: _values(each, "difference") for control, each in differences.items() if each},
        gain={
            control: _value(each.part("macro"), "difference")
            for control, each in differences.items()
            if each.part("macro")
        },
        guessing=100 / len(labels) if labels and metric == "accuracy" else None,
    )


def _values(table: Part, key: str) -> dict[str, Value]:
    return {tag: _value(part, key) for tag, part in table.part("languages").parts().items()}


def _value(part: Part, key: str) -> Value:
    parts = (part.number(each) for each in (key, "low", "high"))
    return Value(*(None if each is None else 100 * each for each in parts))
