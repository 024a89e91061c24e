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
RESAMPLES = 1000
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


def resample(statistics: Statistics, resamples: int = RESAMPLES, *, seed: int = 0) -> Statistics:
    """Sums over E examples drawn with replacement, (..., E, K) -> (B, ..., K).

    Which are drawn depends on E and the seed only and is the same for all leading axes: what several models
    did on the same examples is drawn alike, so that differences of their metrics are paired ones.

    Raises:
        ValueError: there is no example.
    """
    count, generator = statistics.shape[-2], np.random.default_rng([seed, 0])
    sums = []
    for part in _parts(resamples, count):
        drawn_BE = generator.integers(count, size=(part, count)) + count * np.arange(part)[:, None]
        times_BE = np.bincount(drawn_BE.ravel(), minlength=drawn_BE.size).reshape(part, count)
        sums.append(np.tensordot(times_BE.astype(np.float64), statistics, axes=(1, -2)))
    return np.concatenate(sums)


def interval(drawn_B: Statistics, level: float = LEVEL) -> tuple[float, float]:
    """The percentile interval of a metric: of what it is on resamples, the middle ``level``."""
    low, high = np.quantile(drawn_B, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def scored(of_EK: Statistics, metric: Metric, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """A metric on all examples, and its bootstrap interval.

    Raises:
        ValueError: there is no example.
    """
    low, high = interval(metric(resample(of_EK, resamples, seed=seed)))
    return Interval(float(metric(of_EK.sum(0))), low, high)


def compare(
    first_EK: Statistics, second_EK: Statistics, metric: Metric, *, resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """Two models on the same examples: a paired bootstrap interval, and a p-value of ``randomisation``.

    Raises:
        ValueError: there is no example, or not as many for both.
    """
    p = randomisation(first_EK, second_EK, metric, resamples=resamples, seed=seed)
    first_B, second_B = (metric(resample(each, resamples, seed=seed)) for each in (first_EK, second_EK))
    difference = float(metric(first_EK.sum(0)) - metric(second_EK.sum(0)))
    return Difference(difference, *interval(first_B - second_B), p)


def randomisation(
    first_EK: Statistics, second_EK: Statistics, metric: Metric, *, resamples: int = RESAMPLES, seed: int = 0
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
    for part in _parts(resamples, len(first_EK)):
        moved_BK = generator.integers(2, size=(part, len(first_EK))).astype(np.float64) @ apart_EK
        differences_B = metric(first_K + moved_BK) - metric(second_K - moved_BK)
        as_large += int((np.abs(differences_B) >= found - 1e-12).sum())
    return (as_large + 1) / (resamples + 1)


def spread(scores: Sequence[float]) -> Spread:
    """Mean and standard deviation of scores over seeds.

    Raises:
        ValueError: there is none.
    """
    if not scores:
        raise ValueError("no score")
    return Spread(fmean(scores), stdev(scores) if len(scores) > 1 else None)


def _parts(resamples: int, count: int) -> Iterator[int]:
    """How many resamples to make at once."""
    if not count:
        raise ValueError("no example")
    most = max(1, AT_ONCE // count)
    for done in range(0, resamples, most):
        yield min(most, resamples - done)
