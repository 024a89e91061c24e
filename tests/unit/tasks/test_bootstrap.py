"""Intervals hold what they should, tests find what there is and nothing else; signatures."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from polymod.tasks.bootstrap import AT_ONCE, compare, drawn, interval, quantiles, randomisation, spread
from polymod.tasks.nli import Pair
from polymod.tasks.signature import data_hash, line, signature
from polymod.tasks.task import TASKS
from polymod.tasks.totals import Statistics


def accuracy(totals: Statistics) -> Statistics:
    return totals[..., 1] / totals[..., 0]


def f1(totals: Statistics) -> Statistics:
    return TASKS["ner"].metrics(totals)["f1"]


def answers(right: np.ndarray) -> Statistics:
    return np.stack([np.ones(len(right)), right], 1).astype(np.float64)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    held = 0
    for seed in range(300):
        found = interval(answers(generator.random(150) < 0.7), accuracy, seed=seed, samples=200)
        assert found.low <= found.score <= found.high
        held += found.low <= 0.7 <= found.high
    assert 0.90 < held / 300 < 0.985


def test_an_interval_is_as_wide_as_theory_says() -> None:
    right = np.arange(1000) < 800
    found = interval(answers(right), accuracy, seed=0, samples=2000)
    error = np.sqrt(0.8 * 0.2 / 1000)
    assert found.score == 0.8
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert interval(answers(right), accuracy, seed=0, samples=2000) == found
    assert interval(answers(right), accuracy, seed=1, samples=2000) != found


def test_resampling_is_that_of_an_obvious_loop_and_does_not_depend_on_memory(monkeypatch) -> None:
    of_EK = np.random.default_rng(0).random((7, 6))
    generator = np.random.default_rng([3, 0])
    slow = [f1(of_EK[generator.integers(7, size=7)].sum(0)) for _ in range(50)]
    np.testing.assert_allclose(drawn(of_EK, f1, seed=3, samples=50), slow)
    assert AT_ONCE >= 50 * 7
    monkeypatch.setattr("polymod.tasks.bootstrap.AT_ONCE", 40)
    np.testing.assert_allclose(drawn(of_EK, f1, seed=3, samples=50), slow)
    assert quantiles(np.arange(101.0), level=0.9) == pytest.approx((5, 95))


def entities(generator: np.random.Generator, count: int, rate: float) -> Statistics:
    """Statistics of NER: entities of a sentence, of which a model finds some."""
    gold = generator.integers(1, 4, count)
    right = generator.binomial(gold, rate)
    told = right + generator.binomial(1, 0.3, count)
    return np.stack([right, told, gold, right, told, gold], 1).astype(np.float64)


def test_p_values_are_uniform_where_there_is_no_difference() -> None:
    generator = np.random.default_rng(0)
    values = [
        randomisation(*(entities(generator, 80, 0.7) for _ in range(2)), f1, seed=seed, samples=99)
        for seed in range(300)
    ]
    assert np.mean(values) == pytest.approx(0.5, abs=0.06)
    assert np.mean(np.array(values) <= 0.05) < 0.09
    assert np.abs(np.sort(values) - np.linspace(0, 1, 300)).max() < 0.1  # Kolmogorov's distance, p > 0.005


def test_a_difference_is_found_and_is_paired() -> None:
    generator = np.random.default_rng(0)
    hard = generator.random(400)
    first, second = answers(hard < 0.74), answers(hard < 0.70)
    found = compare(first, second, accuracy, seed=0, samples=1000)
    alone = [interval(each, accuracy, seed=0) for each in (first, second)]
    assert found.difference == pytest.approx(alone[0].score - alone[1].score)
    assert 0 < found.low < found.difference < found.high
    assert found.p < 0.01
    assert found.high - found.low < 0.6 * (alone[0].high - alone[0].low)
    back = compare(second, first, accuracy, seed=0, samples=1000)
    assert back.difference == -found.difference
    assert back.p == found.p
    same = compare(first, first, accuracy, seed=0, samples=100)
    assert (same.difference, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_randomisation_counts_every_exchange() -> None:
    """Three examples: of eight exchanges two are as large as what was found."""
    first, second = answers(np.array([1, 1, 1])), answers(np.array([0, 0, 0]))
    p = randomisation(first, second, accuracy, seed=0, samples=4000)
    assert p == pytest.approx(0.25, abs=0.02)


def test_no_examples_and_other_examples_are_refused() -> None:
    with pytest.raises(ValueError, match="no example"):
        interval(np.zeros((0, 2)), accuracy, seed=0)
    with pytest.raises(ValueError, match="not the same examples"):
        compare(np.zeros((3, 2)), np.zeros((4, 2)), accuracy, seed=0)


def test_spread_over_seeds() -> None:
    assert spread([0.5, 0.7, 0.6]) == pytest.approx((0.6, 0.1))
    assert spread([0.5]) == (0.5, None)
    with pytest.raises(ValueError, match="no score"):
        spread([])


PAIRS = [Pair("a:1", "it is", "is it", "neutral"), Pair("a:2", "no", "yes", "contradiction")]


def test_the_hash_of_data_is_of_the_examples_only() -> None:
    moved = [dataclasses.replace(pair, where=f"b:{number}") for number, pair in enumerate(PAIRS)]
    assert data_hash(moved) == data_hash(PAIRS)
    others = [
        PAIRS[::-1],
        PAIRS[:1],
        [],
        [*PAIRS, PAIRS[0]],
        [dataclasses.replace(PAIRS[0], label="x"), PAIRS[1]],
    ]
    assert len({data_hash(each) for each in [PAIRS, *others]}) == 6
    assert data_hash([Pair("", "ab", "c", "x")]) != data_hash([Pair("", "a", "bc", "x")])


def test_a_signature_is_one_line_that_divides_into_its_fields() -> None:
    document = signature(
        TASKS["nli"],
        PAIRS,
        split="test",
        seed=3,
        tokenizer="f" * 64,
        protocol={"module": "target", "source": ["en", "de"], "note": "a|b\nc"},
    )
    assert len(document["data"]) == 64
    fields = dict(part.split(":", 1) for part in line(document).split("|"))
    assert fields["task"] == "nli"
    assert fields["metric"] == "accuracy"
    assert fields["data"] == document["data"][:12]
    assert fields["tokenizer"] == "f" * 12
    assert (fields["examples"], fields["split"], fields["seed"]) == ("2", "test", "3")
    assert (fields["module"], fields["source"], fields["note"]) == ("target", "en+de", "a/b c")
    assert fields["polymod"][0].isdigit()
    assert "\n" not in line(document)
