"""Parts of speech: the seventeen of Universal Dependencies, and accuracy over words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from polymod.tasks.tagged import Tagged, read_tagged
from polymod.tasks.totals import Statistics, ratio

UPOS = (
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM"),
    *("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"),
)


def read_parts_of_speech(path: Path) -> list[Tagged]:
    """Sentences of words and their UPOS.

    Raises:
        UserError: a line is malformed or a tag is no UPOS.
    """
    return read_tagged(path, _refusal)


def _refusal(tag: str) -> str:
    return "" if tag in UPOS else f"is no UPOS; those are {', '.join(UPOS)}"


def pos_labels(_: Sequence[Tagged]) -> tuple[str, ...]:
    """All seventeen, whichever occur."""
    return UPOS


def pos_report(examples: Sequence[Tagged]) -> dict[str, int]:
    """Sentences and words."""
    return {"examples": len(examples), "words": sum(len(each.words) for each in examples)}


def pos_statistics(examples: Sequence[Tagged], predictions: Sequence[Sequence[str]], _: str) -> Statistics:
    """Words of each example, and how many of them are right; (E, 2)."""
    rows = []
    for example, told in zip(examples, predictions, strict=True):
        right = sum(one == other for one, other in zip(example.tags, told, strict=True))
        rows.append([len(example.tags), right])
    return np.array(rows, np.float64).reshape(-1, 2)


def pos_metrics(totals_K: Statistics) -> dict[str, Statistics]:
    """Accuracy over all words."""
    return {"accuracy": ratio(totals_K[..., 1], totals_K[..., 0])}
