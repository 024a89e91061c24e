"""How certain a score is, and a difference of two: from resampled or exchanged statistics of the examples.

E examples, K statistics of each, B resamples.
Efron and Tibshirani 1993, chapter 13 (percentile intervals); Noreen 1989, chapter 2 (approximate
randomisation), which Yeh 2000 (arXiv cs/0008005) recommends for F1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

import numpy as np

from polymod.tasks.totals import Statistics

Metric = Callable[[Statistics], Statistics]  # summed statistics (..., K) -> (...)
SAMPLES = 1000
LEVEL = 0.95
AT_ONCE = 2**22  # draws held in memory


class Interval(NamedTuple):
    """A score and where it may lie."""

    score: float
    low: float
    high: float


class Difference(NamedTuple):
    """First score minus second one, where it may lie, and how often chance alone makes one as large."""

    difference: float
    low: float
    high: float
    p: float


class Spread(NamedTuple):
    """Mean and standard deviation (of a sample) of scores over seeds; one score has none."""

    mean: float
    sd: float | None


def drawn(of_EK: Statistics, metric: Metric, *, seed: int, samples: int = SAMPLES) -> Statistics:
    """The metric on E examples drawn with replacement, again and again, (B,).

    Which are drawn depends on E and the seed only: two models on the same examples are drawn alike, so that
    the difference of two such arrays is a paired one.

    Raises:
        ValueError: there is no example.
    """
    count, generator = len(of_EK), np.random.default_rng([seed, 0])
    sums = []
    for part in _parts(samples, count):
        drawn_BE = generator.integers(count, size=(part, count)) + count * np.arange(part)[:, None]
        times_BE = np.bincount(drawn_BE.ravel(), minlength=drawn_BE.size).reshape(part, count)
        sums.append(times_BE.astype(np.float64) @ of_EK)
    return metric(np.concatenate(sums))


def quantiles(drawn_B: Statistics, level: float = LEVEL) -> tuple[float, float]:
    """The percentile interval of a metric: of what it is on resamples, the middle ``level``."""
    low, high = np.quantile(drawn_B, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def interval(of_EK: Statistics, metric: Metric, *, seed: int, samples: int = SAMPLES) -> Interval:
    """The metric on all examples, and its bootstrap interval.

    Raises:
        ValueError: there is no example.
    """
    low, high = quantiles(drawn(of_EK, metric, seed=seed, samples=samples))
    return Interval(float(metric(of_EK.sum(0))), low, high)


def compare(
    first_EK: Statistics, second_EK: Statistics, metric: Metric, *, seed: int, samples: int = SAMPLES
) -> Difference:
    """Two models on the same examples: a paired bootstrap interval, and a p-value of ``randomisation``.

    Raises:
        ValueError: there is no example, or not as many for both.
    """
    p = randomisation(first_EK, second_EK, metric, seed=seed, samples=samples)
    first_B, second_B = (drawn(of_EK, metric, seed=seed, samples=samples) for of_EK in (first_EK, second_EK))
    difference = float(metric(first_EK.sum(0)) - metric(second_EK.sum(0)))
    return Difference(difference, *quantiles(first_B - second_B), p)


def randomisation(
    first_EK: Statistics, second_EK: Statistics, metric: Metric, *, seed: int, samples: int = SAMPLES
) -> float:
    """Two-sided p-value of a difference between two models on the same examples.

    If the models are alike, it does not matter whose result is whose: how often is the difference as large
    when the two results of every example are exchanged by a coin? What was found counts as one of the throws.

    Raises:
        ValueError: there is no example, or not as many for both.
    """
    if first_EK.shape != second_EK.shape:
        raise ValueError(f"not the same examples: {first_EK.shape} and {second_EK.shape}")
    generator = np.random.default_rng([seed, 1])
    first_K, second_K, apart_EK = first_EK.sum(0), second_EK.sum(0), second_EK - first_EK
    found, as_large = abs(metric(first_K) - metric(second_K)), 0
    for part in _parts(samples, len(first_EK)):
        moved_BK = generator.integers(2, size=(part, len(first_EK))).astype(np.float64) @ apart_EK
        differences_B = metric(first_K + moved_BK) - metric(second_K - moved_BK)
        as_large += int((np.abs(differences_B) >= found - 1e-12).sum())
    return (as_large + 1) / (samples + 1)


def spread(scores: Sequence[float]) -> Spread:
    """Mean and standard deviation of scores over seeds.

    Raises:
        ValueError: there is none.
    """
    if not scores:
        raise ValueError("no score")
    return Spread(fmean(scores), stdev(scores) if len(scores) > 1 else None)


def _parts(samples: int, count: int) -> Iterator[int]:
    """How many resamples to make at once."""
    if not count:
        raise ValueError("no example")
    most = max(1, AT_ONCE // count)
    for done in range(0, samples, most):
        yield min(most, samples - done)
