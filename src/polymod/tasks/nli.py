"""Natural language inference: does one sentence follow from another? Reading, encoding, scoring.

E examples, C classes, K statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from polymod.tasks.encoded import Encoded, around, class_of, compact, room, tokenise
from polymod.tasks.lines import field, json_value, lines, refuse
from polymod.tasks.totals import Statistics, precision_recall_f1, ratio

LABELS = ("entailment", "neutral", "contradiction")
COLUMNS = ("premise", "hypothesis", "label")


@dataclass(frozen=True, slots=True)
class Pair:
    """A premise, a hypothesis, and what the one says about the other; ``where`` is ``file:line``."""

    where: str
    premise: str
    hypothesis: str
    label: str


def read_pairs(path: Path) -> list[Pair]:
    """Pairs of a file: JSON lines, or columns (tsv) below a header, with ``premise hypothesis label``.

    Raises:
        UserError: a line is malformed, a field is missing or blank, or a label is unknown.
    """
    pairs = []
    for where, record in _columns(path) if ".tsv" in path.suffixes[-2:] else _objects(path):
        premise, hypothesis, label = (field(record, name, where) for name in COLUMNS)
        if label not in LABELS:
            fix = f"labels are {', '.join(LABELS)}; leave out pairs without one"
            refuse(f"label {label!r} is unknown", where, fix)
        pairs.append(Pair(where, premise, hypothesis, label))
    return pairs


def _objects(path: Path) -> Iterator[tuple[str, Any]]:
    return ((where, json_value(text, where)) for where, text in lines(path) if text.strip())


def _columns(path: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    names: list[str] = []
    for where, text in lines(path):
        values = text.split("\t")
        if not names:
            names = values
            if missing := [name for name in COLUMNS if name not in names]:
                fix = f"the first line names the columns, {', '.join(COLUMNS)} among them"
                refuse(f"no column {missing[0]!r}", where, fix)
        elif len(values) != len(names):
            refuse(f"{len(values)} columns; the first line names {len(names)}", where)
        else:
            yield where, dict(zip(names, values, strict=True))


def nli_labels(_: Sequence[Pair]) -> tuple[str, ...]:
    """The three classes, whichever occur."""
    return LABELS


def encode_pair(
    example: Pair, tokenizer: Tokenizer, labels: tuple[str, ...], max_length: int
) -> list[Encoded]:
    """``<s> premise </s></s> hypothesis </s>``; the longer text loses tokens at its end until both fit.

    Raises:
        UserError: the model does not know the label, or ``max_length`` is too short.
    """
    bos, eos = around(tokenizer)
    texts = [tokenise(tokenizer, text).ids for text in (example.premise, example.hypothesis)]
    first, second = cut(len(texts[0]), len(texts[1]), room(max_length, special=4))
    ids = compact([bos, *texts[0][:first], eos, eos, *texts[1][:second], eos])
    return [Encoded(ids, (0,), (class_of(example.label, labels, example.where),), labels)]


def cut(first: int, second: int, most: int) -> tuple[int, int]:
    """How many tokens of two texts to keep, ``most`` in all, if the longer one (of equal ones the second)
    loses one after the other.
    """
    half = most // 2
    if first + second <= most:
        return first, second
    if second <= half:
        return most - second, second
    return (first, most - first) if first <= most - half else (most - half, half)


def decode_pair(_: Pair, encoded: Sequence[Encoded], logits: Sequence[NDArray[np.floating[Any]]]) -> str:
    """The label with the largest of the logits, (1, C)."""
    return encoded[0].labels[int(logits[0].argmax())]


def nli_statistics(examples: Sequence[Pair], predictions: Sequence[str], _: str) -> Statistics:
    """Of each example 1, whether it is right, and of every label whether it is right, told, gold; (E, 11)."""
    rows = []
    for example, told in zip(examples, predictions, strict=True):
        gold = example.label
        of_labels = [(told == label == gold, told == label, gold == label) for label in LABELS]
        rows.append([True, told == gold, *(flag for flags in of_labels for flag in flags)])
    return np.array(rows, np.float64).reshape(-1, 2 + 3 * len(LABELS))


def nli_metrics(totals_K: Statistics) -> dict[str, Statistics]:
    """Accuracy, and the mean F1 over the labels that are gold or told."""
    by_label = totals_K[..., 2:].reshape(*totals_K.shape[:-1], len(LABELS), 3)
    right, told, gold = np.moveaxis(by_label, -1, 0)
    f1 = precision_recall_f1(right, told, gold)[2]
    occurs = ((told + gold) > 0).sum(-1, dtype=np.float64)
    return {
        "accuracy": ratio(totals_K[..., 1], totals_K[..., 0]),
        "macro_f1": ratio(f1.sum(-1), occurs),
    }
