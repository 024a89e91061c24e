"""Agreement of gradients from inner products: against the definition; ceiling, errors, correction."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch

from polymod.diagnose.agreement import agreement, listed

LABELS = ["a"] * 4 + ["b"] * 4 + ["c"] * 4


def gradients(seed: int, size: int = 50, noise: float = 1.0) -> np.ndarray:
    """Four noisy gradients around a mean of each of three languages."""
    chance = np.random.default_rng(seed)
    means = chance.normal(size=(3, size))
    return np.repeat(means, 4, axis=0) + noise * chance.normal(size=(12, size))


def naive(rows: np.ndarray, labels: list[str], a: str, b: str) -> tuple[list[float], list[float]]:
    """Cosines and inner products of all pairs of different batches."""
    pairs = [
        (x, y)
        for (i, x), (j, y) in product(enumerate(rows), enumerate(rows))
        if labels[i] == a and labels[j] == b and i != j
    ]
    norm = np.linalg.norm
    return [float(x @ y / (norm(x) * norm(y))) for x, y in pairs], [float(x @ y) for x, y in pairs]


def test_it_is_the_mean_over_pairs_of_batches():
    rows = gradients(0)
    found = agreement(rows @ rows.T, LABELS)
    tags = ["a", "b", "c"]
    squares = {tag: np.mean(naive(rows, LABELS, tag, tag)[1]) for tag in tags}
    for (i, a), (j, b) in product(enumerate(tags), enumerate(tags)):
        cosines, products = naive(rows, LABELS, a, b)
        assert found.cosine[i, j] == pytest.approx(np.mean(cosines))
        assert found.conflict[i, j] == pytest.approx(np.mean([x < 0 for x in cosines]))
        assert found.corrected[i, j] == pytest.approx(np.mean(products) / math.sqrt(squares[a] * squares[b]))
    assert np.diag(found.corrected) == pytest.approx(1.0)


def test_languages_may_have_different_numbers_of_batches():
    rows = gradients(1)[[0, 1, 2, 4, 8, 9]]
    labels = ["a", "a", "a", "b", "c", "c"]
    found = agreement(rows @ rows.T, labels)
    assert found.cosine[0, 2] == pytest.approx(np.mean(naive(rows, labels, "a", "c")[0]))
    assert np.isnan(found.cosine[1, 1])  # one batch has no ceiling
    assert np.isnan(found.corrected[0, 1])
    assert np.isfinite(found.cosine[0, 1])
    assert listed(found.cosine)[1][1] is None


def test_the_correction_undoes_the_noise():
    chance = np.random.default_rng(0)
    common, own = chance.normal(size=(2, 4000))
    means = np.stack([common, 0.6 * common + 0.8 * own])  # cosine 0.6
    rows = np.repeat(means, 8, axis=0) + 3 * chance.normal(size=(16, 4000))
    found = agreement(rows @ rows.T, ["a"] * 8 + ["b"] * 8)
    truth = float(means[0] @ means[1] / np.linalg.norm(means[0]) / np.linalg.norm(means[1]))
    assert found.cosine[0, 1] < 0.2  # buried
    assert found.corrected[0, 1] == pytest.approx(truth, abs=0.1)


def test_errors_have_the_size_of_what_varies():
    estimates, errors = [], []
    for seed in range(120):
        chance = np.random.default_rng(seed)
        means = np.repeat(np.stack([np.ones(30), np.r_[np.ones(15), -np.ones(15)]]), 6, axis=0)
        rows = means + 0.5 * chance.normal(size=(12, 30))
        found = agreement(rows @ rows.T, ["a"] * 6 + ["b"] * 6)
        estimates.append([found.cosine[0, 1], found.cosine[0, 0], found.corrected[0, 1]])
        errors.append([found.cosine_se[0, 1], found.cosine_se[0, 0], found.corrected_se[0, 1]])
    assert np.mean(errors, axis=0) == pytest.approx(np.std(estimates, axis=0), rel=0.3)


def test_what_is_not_defined_is_left_out():
    rows = gradients(2)
    rows[:4] = 0  # a language without any gradient
    found = agreement(rows @ rows.T, LABELS)
    assert np.isnan(found.cosine[0]).all()
    assert np.isnan(found.corrected[0]).all()
    assert np.isfinite(found.summary()["mean_cosine"])
    opposed = np.array([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.2], [1.0, 0.1]])
    assert np.isnan(agreement(opposed @ opposed.T, ["a", "a", "b", "b"]).corrected[0]).all()


def test_the_summary_keeps_languages_and_ceilings_apart():
    rows = np.array([[1.0, 0.1], [1.0, -0.1], [-1.0, 0.2], [-1.0, 0.1]])
    summary = agreement(rows @ rows.T, ["a", "a", "b", "b"]).summary()
    assert summary["conflict_rate"] == 1
    assert summary["ceiling_conflict_rate"] == 0
    assert summary["mean_cosine"] < -0.9 < 0.9 < summary["mean_ceiling"]


def test_listed_rounds():
    assert listed(torch.tensor([[1 / 3, math.nan]]).double().numpy()) == [[0.33333, None]]
