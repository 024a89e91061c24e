"""Count sketches: error of inner products, the same hash on any cut, whole rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from polymod.diagnose import sketch as module
from polymod.diagnose.sketch import BUCKETS, WHOLE_BYTES, Rows, buckets_for, sketch
from polymod.model.partition import Place

HERE, THERE = Place(0, "attention"), Place(None, "head")


def pair(size: int, cosine: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, size, generator=chance)
    return a, cosine * a + (1 - cosine**2) ** 0.5 * b


@pytest.mark.parametrize("cosine", [0.0, 0.5, -0.9])
def test_the_error_of_an_inner_product_is_as_small_as_promised(cosine):
    a, b = pair(2000, cosine, 0)
    truth, scale = float(a @ b), float(a.norm() * b.norm())
    errors = np.array(
        [(float(sketch(a, 256, start) @ sketch(b, 256, start)) - truth) / scale for start in range(200)]
    )
    promised = (2 / 256) ** 0.5
    assert abs(errors.mean()) < 4 * promised / 200**0.5  # no bias
    assert 0.3 * promised < errors.std() < 1.1 * promised


def test_neighbouring_entries_do_not_collide_more_often():
    """Vectors of few large entries are the hard case."""
    few = torch.zeros(4096)
    few[:64] = 1
    norms = [float(sketch(few, 512, start * 4096).square().sum()) for start in range(200)]
    assert np.mean(norms) == pytest.approx(64, rel=0.05)


def test_a_long_vector_is_hashed_in_blocks(monkeypatch):
    a, _ = pair(1000, 0.0, 1)
    whole = sketch(a, 64, 7)
    monkeypatch.setattr(module, "_BLOCK", 64)
    assert torch.allclose(sketch(a, 64, 7), whole, atol=1e-5)
    assert not torch.allclose(sketch(a, 64, 8), whole, atol=0.1)


def test_whole_rows_give_the_inner_products():
    a, b = pair(300, 0.3, 2)
    rows = Rows(20, 0)
    for vector in (a, b):
        rows.add([(HERE, vector[:200]), (THERE, vector[200:])])
    both = torch.stack([a, b])
    assert rows.gram(HERE) + rows.gram(THERE) == pytest.approx((both @ both.T).numpy(), rel=1e-4)
    assert rows.places == [HERE, THERE]


def test_rows_keep_no_more_than_they_need():
    rows = Rows(1, 64)
    vector = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    rows.add([(HERE, vector), (THERE, vector[:50])])
    assert [len(kept[0]) for kept in rows._rows.values()] == [64, 50]
    assert rows.gram(THERE)[0, 0] == pytest.approx(float(vector[:50] @ vector[:50]))


def test_the_seed_decides():
    vector = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    grams = []
    for seed in (0, 0, 1):
        rows = Rows(2, 64, seed)
        rows.add([(HERE, vector)])
        grams.append(float(rows.gram(HERE)[0, 0]))
    assert grams[0] == grams[1] != grams[2]


def test_large_models_are_sketched():
    assert buckets_for(10**6, 100) == 0
    assert buckets_for(WHOLE_BYTES, 1) == BUCKETS
