"""The mixture: exact shares, no state, no repeats within an epoch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymod.data.mixture import Blocks, Mixture, shares
from polymod.data.random import key, permute

SIZES = {"en": 1_000_000, "de": 100_000, "yo": 1_000}


def test_shares_follow_the_exponent():
    assert shares(SIZES, 0.0) == pytest.approx(dict.fromkeys(SIZES, 1 / 3))
    proportional = shares(SIZES, 1.0)
    assert proportional["en"] / proportional["yo"] == pytest.approx(1000)
    smoothed = shares(SIZES, 0.7)
    assert smoothed["en"] / smoothed["yo"] == pytest.approx(1000**0.7)
    assert sum(smoothed.values()) == pytest.approx(1)


def test_every_cycle_has_the_exact_shares_and_every_prefix_nearly():
    mixture = Mixture(shares(SIZES, 0.7), seed=1)
    language, _ = mixture.at(np.arange(2 * mixture.cycle))
    exact = mixture.quota_L / mixture.cycle
    assert exact == pytest.approx([shares(SIZES, 0.7)[tag] for tag in mixture.tags], rel=0.02)
    for cycle in (0, 1):
        part = language[cycle * mixture.cycle : (cycle + 1) * mixture.cycle]
        assert (np.bincount(part) == mixture.quota_L).all()
    counts = np.cumsum(language[:, None] == np.arange(3), axis=0)
    assert np.abs(counts - exact * np.arange(1, len(language) + 1)[:, None]).max() < 2


def test_every_running_number_comes_once_and_any_slot_can_be_asked_alone():
    mixture = Mixture(shares(SIZES, 0.5), seed=1)
    slots = np.arange(3 * mixture.cycle)
    language, number = mixture.at(slots)
    for index in range(3):
        assert sorted(number[language == index]) == list(range(3 * mixture.quota_L[index]))
    some = np.random.default_rng(0).permutation(slots)[:50]
    alone = [mixture.at(np.array([slot])) for slot in some]
    assert [int(a[0]) for a, _ in alone] == language[some].tolist()
    assert [int(n[0]) for _, n in alone] == number[some].tolist()


def test_a_thousand_languages_and_a_far_step_are_cheap_and_complete():
    sizes = {f"qaa-x-{i:03}": 10**9 // (i + 1) for i in range(1000)}
    mixture = Mixture(shares(sizes, 0.7), seed=0)
    assert mixture.quota_L.min() >= 1
    language, number = mixture.at(np.arange(10**12, 10**12 + 256))
    assert language.max() < 1000
    assert number.min() >= 0


def test_the_order_of_languages_does_not_matter_but_the_seed_does():
    a = Mixture(shares(SIZES, 0.7), seed=1).at(np.arange(1000))[0]
    b = Mixture(shares(dict(reversed(SIZES.items())), 0.7), seed=1).at(np.arange(1000))[0]
    c = Mixture(shares(SIZES, 0.7), seed=2).at(np.arange(1000))[0]
    assert (a == b).all()
    assert (a != c).any()


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 3000), seed=st.integers(0, 2**32))
def test_permute_is_a_permutation(size, seed):
    image = permute(np.arange(size), np.full(size, size), np.full(size, key(seed)))
    assert sorted(image) == list(range(size))


def test_permutations_look_random():
    images = np.stack(
        [permute(np.arange(64), np.full(64, 64), np.full(64, key(seed))) for seed in range(2000)]
    )
    counts = np.stack([np.bincount(column, minlength=64) for column in images.T])
    expected = 2000 / 64
    assert ((counts - expected) ** 2 / expected).sum() == pytest.approx(64 * 63, rel=0.1)  # chi-squared
    assert np.corrcoef(images[:-1, 0], images[1:, 0])[0, 1] == pytest.approx(0, abs=0.08)


def test_an_epoch_visits_every_block_once_and_the_next_has_another_order():
    blocks = Blocks(num_tokens=1037, size=100, seed=0, tag="en")
    first, second = blocks.starts(np.arange(10)), blocks.starts(np.arange(10, 20))
    for epoch in (first, second):
        ordered = np.sort(epoch)
        assert (np.diff(ordered) == 100).all()
        assert ordered[0] >= 0
        assert ordered[-1] + 100 <= 1037
    assert (np.argsort(first) != np.argsort(second)).any()
    shifts = {int(blocks.starts(np.arange(10 * e, 10 * e + 10)).min()) for e in range(40)}
    assert len(shifts) > 10  # the left-over 37 tokens are not lost for ever
