"""Masking: 15 % predicted, 80/10/10, specials never, a function of the block's key alone."""

import numpy as np
import pytest

from polymod.data.masking import Masking
from polymod.data.random import mix

SPECIAL = (0, 1, 2, 3, 999)


def blocks(count: int, length: int = 128) -> np.ndarray:
    ids = np.random.default_rng(0).integers(4, 999, (count, length))
    ids[:, 0] = 0
    ids[:, 17::20] = 2
    return ids


def keys(count: int) -> np.ndarray:
    return mix(np.arange(count, dtype=np.uint64))


def test_shares_are_those_of_bert():
    ids = blocks(4000)
    masked, predicted = Masking(999, SPECIAL, 1000)(ids, keys(4000))
    ordinary = ~np.isin(ids, SPECIAL)
    assert predicted[ordinary].mean() == pytest.approx(0.15, abs=0.002)
    assert not predicted[~ordinary].any()
    assert (masked == ids)[~predicted].all()
    outcome = masked[predicted]
    assert (outcome == 999).mean() == pytest.approx(0.8, abs=0.005)
    kept = (outcome == ids[predicted]).mean()
    assert kept == pytest.approx(0.1, abs=0.005)
    random = outcome[(outcome != 999) & (outcome != ids[predicted])]
    assert len(random) / len(outcome) == pytest.approx(0.1, abs=0.005)
    assert not np.isin(random, SPECIAL).any()
    counts = np.bincount(random, minlength=999)[4:]
    assert counts.std() / counts.mean() < 2 / np.sqrt(counts.mean())  # uniform over the ordinary tokens


def test_a_block_is_masked_alike_in_any_batch_and_differently_under_another_key():
    masking, ids = Masking(999, SPECIAL, 1000), blocks(5)
    together, _ = masking(ids, keys(5))
    alone, _ = masking(ids[3:4], keys(5)[3:4])
    other, _ = masking(ids[3:4], keys(6)[5:6])
    assert (together[3] == alone[0]).all()
    assert (other != alone).any()


def test_places_are_independent():
    _, predicted = Masking(999, (), 1000, probability=0.5)(np.full((20000, 8), 5), keys(20000))
    correlations = np.corrcoef(predicted.T) - np.eye(8)
    assert np.abs(correlations).max() < 0.04


def test_the_input_is_not_changed():
    ids = blocks(3)
    before = ids.copy()
    Masking(999, SPECIAL, 1000)(ids, keys(3))
    assert (ids == before).all()
