"""Entities and their F1, compared with seqeval; tags as they are read."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import numpy as np
import pytest
from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support
from seqeval.metrics.v1 import precision_recall_fscore_support as strict_scores
from seqeval.scheme import IOB2, Entities

from _asserts import assert_user_error
from polymod.tasks.ner import entities, ner_labels, ner_metrics, ner_report, ner_statistics, read_entities
from polymod.tasks.tagged import Tagged

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG")


def sentences(count: int, seed: int) -> list[list[str]]:
    """Tags in any order, ``I-`` that continue nothing among them."""
    chance = random.Random(seed)
    return [chance.choices(TAGS, weights=[3, 1, 2, 1, 2, 1, 1], k=chance.randint(1, 9)) for _ in range(count)]


def tagged(tags: list[str]) -> Tagged:
    return Tagged("file:1", ("word",) * len(tags), tuple(tags))


def test_entities_are_those_of_seqeval_in_ten_thousand_sentences() -> None:
    for tags in sentences(10_000, seed=0):
        assert entities(tags) == [(kind, start, end + 1) for kind, start, end in get_entities(tags)]


def test_strict_entities_are_those_of_seqeval_in_ten_thousand_sentences() -> None:
    every = sentences(10_000, seed=1)
    for tags, theirs in zip(every, Entities(every, IOB2).entities, strict=True):
        assert entities(tags, strict=True) == [(each.tag, each.start, each.end) for each in theirs]


@pytest.mark.parametrize("strict", [False, True])
def test_scores_are_those_of_seqeval(strict: bool) -> None:
    gold, told = sentences(3166, seed=2), sentences(3166, seed=3)
    told = [(a + b)[: len(b)] for a, b in zip(told, gold, strict=True)]
    prefix = "strict_" if strict else ""
    of_EK = ner_statistics([tagged(tags) for tags in gold], told, "en")
    start = 0
    for size in (1, 2, 3, 10, 50, 100, 1000, 2000):
        part = slice(start, start + size)
        ours, start = ner_metrics(of_EK[part].sum(0)), start + size
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parts without any entity
            theirs = (
                strict_scores(gold[part], told[part], average="micro", scheme=IOB2)
                if strict
                else precision_recall_fscore_support(gold[part], told[part], average="micro")
            )
        names = [f"{prefix}{name}" for name in ("precision", "recall", "f1")]
        np.testing.assert_allclose([ours[name] for name in names], theirs[:3], atol=1e-12)


def test_without_entities_the_scores_are_zero_also_along_axes() -> None:
    metrics = ner_metrics(np.zeros((2, 3, 6)))
    assert metrics["f1"].shape == (2, 3)
    assert not metrics["f1"].any()
    assert ner_statistics([], [], "en").shape == (0, 6)


def test_labels_are_both_marks_of_every_type_by_name() -> None:
    examples = [tagged(["B-PER", "O"]), tagged(["I-DATE"])]
    assert ner_labels(examples) == ("O", "B-DATE", "I-DATE", "B-PER", "I-PER")
    assert ner_labels([]) == ("O",)


def test_a_tag_that_continues_nothing_is_read_and_reported(tmp_path: Path) -> None:
    path = tmp_path / "train.en.conll"
    path.write_text(
        "a\tI-PER\nb\tI-PER\nc\tB-LOC\nd\tI-PER\n\n\n# \tO\ne\tB-LOC\nf\tI-LOC\n", encoding="utf-8"
    )
    examples = read_entities(path)
    assert [example.words for example in examples] == [("a", "b", "c", "d"), ("# ", "e", "f")]
    assert examples[1].where == f"{path}:7"
    assert ner_report(examples) == {"examples": 2, "words": 7, "loose": 2}


@pytest.mark.parametrize("tag", ["PER", "B", "B-", "E-PER", "S-LOC", "o", "", "b-PER", "OB-"])
def test_tags_of_another_kind_are_refused(tmp_path: Path, tag: str) -> None:
    path = tmp_path / "train.en.conll"
    path.write_text(f"a\tO\n\nb\t{tag}\n", encoding="utf-8")
    assert_user_error(lambda: read_entities(path), f"{path}:3", f"tag {tag!r}", "B-TYPE")
