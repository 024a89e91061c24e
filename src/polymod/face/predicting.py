"""What a fine-tuned model says of examples without gold labels, with its probability.

C classes, W windows of an example.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from polymod.errors import UserError
from polymod.face.texts import check
from polymod.model.tasks import TaskModel, TaskSpec
from polymod.tasks.encoded import Encoded
from polymod.tasks.nli import Pair
from polymod.tasks.predict import Logits, read_logits
from polymod.tasks.spans import best_answer
from polymod.tasks.squad import Question
from polymod.tasks.tagged import Tagged
from polymod.tasks.task import TASKS, Example
from polymod.tasks.words import OUTSIDE
from polymod.text.tokenizers import Tokenizers

Shares = NDArray[np.float64]
WANTED = {
    "sequence": "a pair of texts (premise, hypothesis)",
    "token": "a list of words",
    "span": "a pair of texts (question, context)",
}


class Label(NamedTuple):
    """A label and its probability."""

    label: str
    score: float


class Answer(NamedTuple):
    """Words of the context, and the probability of their start times that of their end."""

    text: str
    score: float


Prediction = Label | list[Label] | Answer


def examples_of(given: Any, spec: TaskSpec) -> tuple[list[Example], bool]:
    """Examples of what users hand over, and whether it was a single one.

    A single example is a tuple of two texts, or for words a list of strings.

    Raises:
        UserError: something is no example of the task.
    """
    single = _is_words(given) if spec.kind == "token" else isinstance(given, tuple)
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise _wrong("what is given", given, spec)
    listed = [given] if single else list(given)
    return [_example(each, f"example {index}", spec) for index, each in enumerate(listed)], single


def _is_words(given: Any) -> bool:
    return isinstance(given, list | tuple) and bool(given) and all(isinstance(word, str) for word in given)


def _example(given: Any, what: str, spec: TaskSpec) -> Example:
    texts = list(given) if isinstance(given, list | tuple) else []
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise _wrong(what, given, spec)
    for text in texts:
        check(text, what)
    if spec.kind == "token":
        return Tagged(what, tuple(texts), (spec.labels[0],) * len(texts))
    if len(texts) != 2:
        raise _wrong(what, given, spec)
    if spec.kind == "sequence":
        return Pair(what, texts[0], texts[1], spec.labels[0])
    return Question(what, context=texts[1], question=texts[0], answers=())


def _wrong(what: str, given: Any, spec: TaskSpec) -> UserError:
    shown = f"{str(given)[:40]!r} ({type(given).__name__})"
    fix = f"give {WANTED[spec.kind]} without blank ones, or a list of such"
    return UserError(f"{what} is {shown}, no example of the task {spec.task!r}", fix=fix)


def predict(
    model: TaskModel,
    examples: Sequence[Example],
    tags: Sequence[str],
    tokenizers: Tokenizers,
    *,
    longest: int,
    budget: int,
    told: Callable[[int], None] | None = None,
) -> list[Prediction]:
    """A prediction for every example, in order, in fp32; long ones are read in windows.

    Args:
        longest: tokens of a window.
    """
    task, labels = TASKS[model.spec.task], model.spec.labels
    encoded = [
        task.encode(example, tokenizers.of(tag), labels, longest)
        for example, tag in zip(examples, tags, strict=True)
    ]
    sequences = [window for windows in encoded for window in windows]
    of_sequences = [tag for tag, windows in zip(tags, encoded, strict=True) for _ in windows]
    logits = read_logits(model, sequences, of_sequences, budget=budget, told=told)
    found: list[Prediction] = []
    at = 0
    for example, windows in zip(examples, encoded, strict=True):
        found.append(_prediction(model.spec, example, windows, logits[at : at + len(windows)]))
        at += len(windows)
    return found


def _prediction(
    spec: TaskSpec, example: Example, windows: Sequence[Encoded], logits: Sequence[Logits]
) -> Prediction:
    if spec.kind == "sequence":
        return _label(_shares(logits[0][0]), spec.labels)
    if isinstance(example, Tagged):
        return _tags(example, windows, logits, spec.labels)
    assert isinstance(example, Question)
    text, best = best_answer(example, windows, logits)
    rows_N2 = np.concatenate(
        [part[window.context : -1] for window, part in zip(windows, logits, strict=True)]
    ).astype(np.float64)
    most_2 = rows_N2.max(0)
    log_sums_2 = most_2 + np.log(np.exp(rows_N2 - most_2).sum(0))
    return Answer(text, float(np.exp(best - log_sums_2.sum())))


def _tags(
    example: Tagged, windows: Sequence[Encoded], logits: Sequence[Logits], labels: Sequence[str]
) -> list[Label]:
    """A label for each word; one without tokens gets ``O`` where that is a label, else none."""
    found = [Label(OUTSIDE if OUTSIDE in labels else "", 0.0)] * len(example.words)
    for window, logits_MC in zip(windows, logits, strict=True):
        for word, shares_C in zip(window.words, _shares(logits_MC), strict=True):
            found[word] = _label(shares_C, labels)
    return found


def _label(shares_C: Shares, labels: Sequence[str]) -> Label:
    best = int(shares_C.argmax())
    return Label(labels[best], float(shares_C[best]))


def _shares(logits: Logits) -> Shares:
    """Softmax over the classes."""
    raised = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    shares: Shares = raised / raised.sum(-1, keepdims=True)
    return shares
