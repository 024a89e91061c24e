"""Parts of a batch: together they are the batch, in order, whatever it is made of."""

from __future__ import annotations

import pytest
import torch

from _models import tiny_batch
from polymod.batch import Batch, GlobalBatch
from polymod.data.parts import cut, part

TENSORS = ("ids_N", "positions_N", "targets_M")


def step() -> GlobalBatch:
    first = tiny_batch(("en", "en", "fr", "to"), (7, 3, 9, 4))
    second = tiny_batch(("to", "to"), (5, 8), seed=1)
    return GlobalBatch((first, second), len(first.targets_M) + len(second.targets_M), "d")


def tokens(batches: list[Batch]) -> dict[str, torch.Tensor]:
    """All of a kind in one tensor, and what each target row holds."""
    found = {name: torch.cat([getattr(batch, name) for batch in batches]) for name in TENSORS}
    rows = [batch.ids_N[batch.target_rows_M] for batch in batches]
    return {**found, "rows": torch.cat(rows)}


@pytest.mark.parametrize("size", [1, 2, 3, 4, 6, 9])
def test_parts_are_the_batch(size):
    whole = step()
    parts = [part(whole, rank, size) for rank in range(size)]
    pieces = [micro for each in parts for micro in each.micro]
    expected = tokens(list(whole.micro))
    assert all(torch.equal(values, expected[name]) for name, values in tokens(pieces).items())
    assert [length for micro in pieces for length in micro.lengths] == [7, 3, 9, 4, 5, 8]
    for each in parts:
        assert (each.num_tokens, each.num_targets, each.digest) == (36, whole.num_targets, "d")
        assert each.targets_of == whole.targets_of
        for micro in each.micro:
            assert sum(micro.target_counts) == len(micro.targets_M)
            assert micro.route.num_rows == micro.num_tokens == int(micro.starts_S1[-1])


def test_shares_are_about_even():
    counts = [sum(micro.num_tokens for micro in part(step(), rank, 2).micro) for rank in range(2)]
    assert counts == [19, 17]


def test_a_cut_keeps_languages_and_targets_together():
    whole = tiny_batch(("en", "fr", "fr", "to"), (7, 3, 9, 4))
    piece = cut(whole, 1, 4)
    assert piece.route.tags == ("fr", "to")
    assert [(span.start, span.stop) for span in piece.route.spans] == [(0, 12), (12, 16)]
    assert piece.target_counts == whole.target_counts[1:]
    assert piece.starts_S1.tolist() == [0, 3, 12, 16]


def test_one_process_has_the_batch_itself():
    whole = step()
    assert part(whole, 0, 1) is whole


@pytest.mark.parametrize("size", [2, 3, 4, 9])
def test_even_parts_are_as_many_micro_batches_and_the_rest_is_nothing(size):
    plain = [part(step(), rank, size) for rank in range(size)]
    even = [part(step(), rank, size, evenly=True) for rank in range(size)]
    most = max(len(each.micro) for each in plain)
    assert {len(each.micro) for each in even} == {most}
    for before, after in zip(plain, even, strict=True):
        kept, added = after.micro[: len(before.micro)], after.micro[len(before.micro) :]
        assert [micro.lengths for micro in kept] == [micro.lengths for micro in before.micro]
        assert all(
            (micro.num_tokens, len(micro.targets_M), micro.route.tags) == (1, 0, ("en",)) for micro in added
        )
        assert after.targets_of == before.targets_of
        assert after.num_tokens == 36
