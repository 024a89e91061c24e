"""The loader: batches are pure functions of the step, full, sorted, without repeats within an epoch."""

import threading
import time

import numpy as np
import pytest

from _tokens import MemoryTokens
from polymod.data.loader import BatchPlan, TrainLoader, prefetch, valid_batches
from polymod.data.masking import Masking
from polymod.errors import UserError

SIZES = {"en": 2000, "de": 1000, "yo": 300}
MASKING = Masking(59, (0, 1, 2, 3, 59), 60)


def loader(block: int = 16, batch: int = 128, micro: int = 64, seed: int = 0, sizes=SIZES) -> TrainLoader:
    return TrainLoader(
        MemoryTokens(sizes), list(sizes), MASKING, BatchPlan(block, batch, micro, 0.7, seed), bos_id=0
    )


def test_the_same_step_gives_the_same_batch_from_a_fresh_loader():
    first, second = loader().at(123), loader().at(123)
    assert first.digest == second.digest
    for a, b in zip(first.micro, second.micro, strict=True):
        assert a.ids_N.equal(b.ids_N)
        assert a.targets_M.equal(b.targets_M)
        assert a.route == b.route
    assert loader().at(124).digest != first.digest
    assert loader(seed=1).at(123).digest != first.digest


def test_batches_are_full_and_sorted_by_language():
    batch = loader().at(0)
    assert [micro.num_tokens for micro in batch.micro] == [64, 64]
    tags = [tag for micro in batch.micro for tag in micro.route.tags]
    assert tags == sorted(tags)
    for micro in batch.micro:
        assert micro.route.num_rows == 64
        assert micro.lengths == (16,) * 4
        assert micro.starts_S1.tolist() == [0, 16, 32, 48, 64]
        assert micro.positions_N.tolist() == list(range(16)) * 4
        assert micro.ids_N[::16].eq(0).all()  # every block begins with <s>


def test_targets_are_the_tokens_that_stood_there():
    source, batch = MemoryTokens(SIZES), loader().at(7)
    assert batch.num_targets == sum(len(micro.targets_M) for micro in batch.micro)
    for micro in batch.micro:
        assert sum(micro.target_counts) == len(micro.targets_M) == len(micro.target_rows_M)
        original = micro.ids_N.clone()
        original[micro.target_rows_M] = micro.targets_M
        for start, tag in zip(
            range(0, 64, 16), [t for t, a, b in micro.route.spans for _ in range((b - a) // 16)], strict=True
        ):
            stretch = original[start + 1 : start + 16].numpy()
            windows = np.lib.stride_tricks.sliding_window_view(source.streams[tag], 15)
            assert (windows == stretch).all(1).any()


def test_no_block_comes_twice_within_an_epoch():
    sizes = {"en": 16 * 15, "de": 16 * 15}
    plan = loader(sizes=sizes, batch=16 * 8)
    seen = [
        tuple(row)
        for step in range(4)
        for micro in plan.at(step).micro
        for row in unmasked(micro).reshape(-1, 16).tolist()
    ]
    assert len(seen) == len(set(seen)) == 32


def unmasked(micro) -> np.ndarray:
    ids = micro.ids_N.clone()
    ids[micro.target_rows_M] = micro.targets_M
    return ids.numpy()


def test_epochs_say_how_often_text_is_seen():
    plan = loader(sizes={"en": 16 * 15, "de": 16 * 15}, batch=16 * 8)
    assert plan.epochs(4) == pytest.approx({"en": 1.0, "de": 1.0})


def test_too_little_text_is_an_error_that_names_the_language():
    with pytest.raises(UserError, match="'yo' has 10 training tokens"):
        loader(sizes={"en": 1000, "yo": 10})
    with pytest.raises(UserError, match="holds no block"):
        loader(batch=8)


def test_valid_batches_cover_the_split_once_with_masks_that_never_change():
    tokens = MemoryTokens({"en": 107})
    plan = BatchPlan(16, 128, 64, 0.7, seed=5)

    def batches(plan, limit=10**9):
        return list(valid_batches(tokens, "en", MASKING, plan, bos_id=0, limit=limit))

    covered = np.concatenate(
        [unmasked(b).reshape(-1, b.lengths[0])[:, 1:].reshape(-1) for b in batches(plan)]
    )
    assert (covered == tokens.streams["en"][: len(covered)]).all()
    assert len(covered) == 105  # the last two tokens are too few for a block
    other_seed = BatchPlan(16, 128, 32, 0.3, seed=6)
    ours, theirs = (np.concatenate([b.ids_N.numpy() for b in batches(p)]) for p in (plan, other_seed))
    assert (ours == theirs).all()
    assert sum(b.num_tokens for b in batches(plan, limit=30)) == 32


def test_prefetch_keeps_order_and_hands_errors_over():
    with prefetch(lambda step: step * 10, 3, 8) as items:
        assert list(items) == [30, 40, 50, 60, 70]

    def broken(step: int) -> int:
        if step == 2:
            raise UserError("broken shard")
        return step

    with prefetch(broken, 0, 5) as items, pytest.raises(UserError, match="broken shard"):
        list(items)


def test_prefetch_ends_its_thread_when_left_early():
    before = threading.active_count()
    with prefetch(lambda step: step, 0, 10**9) as items:
        assert next(items) == 0
    deadline = time.monotonic() + 2
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_tokens_seen_are_those_of_the_batches():
    some, seen = loader(), dict.fromkeys(SIZES, 0)
    steps = 2 * some.mixture.cycle // some.blocks_per_batch
    language_B, _ = some.mixture.at(np.arange(steps * some.blocks_per_batch))
    for index, tag in enumerate(some.mixture.tags):
        seen[tag] = 16 * int((language_B == index).sum())
    assert some.tokens_seen(steps) == pytest.approx(seen)
    assert sum(seen.values()) == steps * some.tokens_per_batch


def test_a_cap_cuts_large_languages_to_their_first_tokens():
    plan = BatchPlan(16, 128, 64, 1.0, 0, most=500)
    capped = TrainLoader(MemoryTokens(SIZES), list(SIZES), MASKING, plan, bos_id=0)
    share = dict(zip(capped.mixture.tags, capped.mixture.quota_L / capped.mixture.cycle, strict=True))
    assert share == pytest.approx({"de": 500 / 1300, "en": 500 / 1300, "yo": 300 / 1300}, rel=1e-2)
    starts = capped.blocks["en"].starts(np.arange(200))
    assert starts.max() + 15 <= 500
    assert capped.blocks["yo"].per_epoch == loader().blocks["yo"].per_epoch
