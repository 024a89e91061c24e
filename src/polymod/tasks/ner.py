"""Named entities in words tagged by IOB2: labels, entities, and F1 over entities."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from polymod.tasks.tagged import Tagged, read_tagged
from polymod.tasks.totals import Statistics, precision_recall_f1
from polymod.tasks.words import OUTSIDE


class Entity(NamedTuple):
    """Words ``start`` to ``stop`` name something of a type."""

    kind: str
    start: int
    stop: int


def read_entities(path: Path) -> list[Tagged]:
    """Sentences whose tags are ``O``, ``B-TYPE``, ``I-TYPE``. An ``I-`` that continues nothing is let in.

    Raises:
        UserError: a line is malformed or a tag is of another kind.
    """
    return read_tagged(path, _refusal)


def _refusal(tag: str) -> str:
    is_tag = tag == OUTSIDE or (tag[:2] in ("B-", "I-") and tag[2:].strip())
    return "" if is_tag else "is not O, B-TYPE or I-TYPE (IOB2)"


def ner_labels(examples: Sequence[Tagged]) -> tuple[str, ...]:
    """``O``, then ``B-`` and ``I-`` of each type that occurs, by name."""
    kinds = sorted({tag[2:] for example in examples for tag in set(example.tags) if tag != OUTSIDE})
    return (OUTSIDE, *(f"{mark}-{kind}" for kind in kinds for mark in "BI"))


def ner_report(examples: Sequence[Tagged]) -> dict[str, int]:
    """Sentences, words, and ``I-`` tags that continue nothing."""
    loose = sum(
        tag[0] == "I" and before[2:] != tag[2:]
        for example in examples
        for before, tag in pairwise((OUTSIDE, *example.tags))
    )
    return {"examples": len(examples), "words": sum(len(each.words) for each in examples), "loose": loose}


def entities(tags: Sequence[str], *, strict: bool = False) -> list[Entity]:
    """The entities of a sentence, in order.

    An ``I-`` that continues nothing begins an entity, as in CoNLL-2000's script and by default in seqeval;
    if ``strict``, it is outside, and only ``B-`` begins one.
    """
    found: list[Entity] = []
    kind, start = "", 0
    for index, tag in enumerate((*tags, OUTSIDE)):
        continues = kind and tag == f"I-{kind}"
        if kind and not continues:
            found.append(Entity(kind, start, index))
            kind = ""
        if tag != OUTSIDE and not continues and (tag[0] == "B" or not strict):
            kind, start = tag[2:], index
    return found


def ner_statistics(examples: Sequence[Tagged], predictions: Sequence[Sequence[str]], _: str) -> Statistics:
    """Entities that are right, told, gold in each example, then the same three if read strictly; (E, 6)."""
    rows = []
    for example, told_tags in zip(examples, predictions, strict=True):
        row: list[int] = []
        for strict in (False, True):
            gold, told = (set(entities(tags, strict=strict)) for tags in (example.tags, told_tags))
            row += [len(gold & told), len(told), len(gold)]
        rows.append(row)
    return np.array(rows, np.float64).reshape(-1, 6)


def ner_metrics(totals_K: Statistics) -> dict[str, Statistics]:
    """Precision, recall and F1 over all entities, both ways of reading; ``f1`` is XTREME's."""
    names = ("precision", "recall", "f1")
    lenient = precision_recall_f1(*np.moveaxis(totals_K[..., :3], -1, 0))
    strict = precision_recall_f1(*np.moveaxis(totals_K[..., 3:], -1, 0))
    strict_names = [f"strict_{name}" for name in names]
    return dict(zip((*names, *strict_names), (*lenient, *strict), strict=True))
