"""Learning of masks: sparsity held, what is needed is found, overlap, the score of a mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from _models import tiny_batch, tiny_model
from polymod.diagnose.masks import Gates, Learning, learn
from polymod.diagnose.overlap import by_chance, jaccard, overlap, sign_disagreement
from polymod.diagnose.sites import sites

HOW = Learning(sparsity=(0.25, 0.5), steps=60, rate=0.1, seed=3)


def small_gates(units=("heads", "neurons")) -> Gates:
    model = tiny_model().requires_grad_(False)
    return Gates(model, sites(model.config, units, 3))


def batch_at(step: int):
    return tiny_batch(("en",) * 4, (7, 9, 6, 8), step)


def test_the_sparsity_wanted_is_held_in_every_unit():
    gates, done = small_gates(), []
    found = learn(gates, batch_at, HOW, done.append)
    assert done == list(range(1, 121))
    for log_a, share in zip(found, HOW.sparsity, strict=True):
        for unit, closed in gates.closed(log_a).items():
            assert float(closed) == pytest.approx(share, abs=0.12), unit
        z = gates.binary(log_a, share)
        for unit in gates.units:
            part = z[gates.of_unit(unit)]
            assert int(part.sum()) == round((1 - share) * len(part))
    assert not torch.equal(found[0], found[1])


def test_the_same_seed_gives_the_same_mask():
    short = Learning((0.5,), 5, 0.1, 3)
    one, two = (learn(small_gates(), batch_at, short, lambda _: None)[0] for _ in range(2))
    other = learn(small_gates(), batch_at, Learning((0.5,), 5, 0.1, 4), lambda _: None)[0]
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_neurons_that_do_nothing_are_closed_first():
    gates = small_gates(("neurons",))
    name = "encoder.layers.0.feed_forward.down.weight"
    gates.parameters[name] = gates.parameters[name].clone()
    gates.parameters[name][:, :24] = 0  # the first eight of the sixteen gates of layer 0
    with torch.no_grad():
        gates.parameters[name][:, 24:] *= 20
    (log_a,) = learn(gates, batch_at, Learning((0.25,), 40, 0.2, 0), lambda _: None)
    kept = gates.binary(log_a, 0.25)
    assert kept[:8].sum() < kept[8:16].sum()


def test_a_mask_of_ones_scores_what_the_model_scores():
    gates, batches = small_gates(), [batch_at(0), batch_at(1)]
    losses = torch.cat([gates.model(batch)[1] for batch in batches])
    assert gates.score(torch.ones(len(gates.unit_A)), batches) == pytest.approx(float(losses.mean()))


def test_random_masks_are_as_sparse():
    gates = small_gates()
    z = gates.random(0.5, 0)
    for unit in gates.units:
        part = z[gates.of_unit(unit)]
        assert int(part.sum()) == round(0.5 * len(part))
    assert torch.equal(z, gates.random(0.5, 0))
    assert not torch.equal(z, gates.random(0.5, 1))


def test_overlap_measures():
    a, b = np.array([1, 1, 0, 0], dtype=bool), np.array([1, 0, 1, 0], dtype=bool)
    assert jaccard(a, b) == pytest.approx(1 / 3)
    assert np.isnan(jaccard(a & ~a, b & ~b))
    assert sign_disagreement(np.array([0.9, -0.9, 0.5]), np.array([-0.1, -0.5, 0.5])) == pytest.approx(1 / 3)
    chance = np.random.default_rng(0)
    masks = [chance.permutation(np.arange(2000) < 600) for _ in range(20)]
    pairs = [jaccard(x, y) for i, x in enumerate(masks) for y in masks[:i]]
    assert by_chance(masks) == pytest.approx(np.mean(pairs), rel=0.03)


def test_overlap_by_layer_has_the_same_language_on_the_diagonal():
    kept = {
        "en": [np.array([1, 1, 0, 0], bool), np.array([1, 1, 0, 1], bool)],
        "to": [np.array([0, 1, 1, 0], bool)],
    }
    sure = {tag: [mask * 2.0 - 1 for mask in masks] for tag, masks in kept.items()}
    found = overlap(kept, sure, [0, 0, 1, 1])
    assert found["languages"] == ["en", "to"]
    assert found["all"]["jaccard"][0][0] == pytest.approx(2 / 3, abs=1e-4)
    assert found["all"]["jaccard"][1][1] is None  # one mask of it
    assert found["all"]["jaccard"][0][1] == pytest.approx((1 / 3 + 1 / 4) / 2, abs=1e-4)
    assert [layer["gates"] for layer in found["layers"]] == [2, 2]
    assert found["layers"][0]["sign_disagreement"][0][1] == pytest.approx(0.5)
