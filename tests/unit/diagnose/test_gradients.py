"""Trunk gradients by language: groups that partition the trunk, the same as backward, batches, halves."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from _asserts import assert_user_error
from _models import MODERN, SUBLAYERS, VOCAB, gradients, tiny_batch, tiny_model
from _tokens import MemoryTokens
from polymod.batch import GlobalBatch
from polymod.data.masking import Masking
from polymod.diagnose.gradients import Collection, gradient, trunk_of
from polymod.diagnose.groups import cells, sizes, vectors
from polymod.diagnose.halves import halves
from polymod.diagnose.samples import SamplePlan, samples
from polymod.diagnose.sketch import Rows
from polymod.model.partition import GROUPS, TRUNK, partition

ARMS = [
    ("modular", {}),
    ("shared", {}),
    ("dense", {}),
    ("shared", MODERN),
    ("modular", MODERN),
    ("shared", SUBLAYERS),
]
MASKING = Masking(VOCAB - 1, (0, 1, 2, 3, VOCAB - 1), VOCAB)


@pytest.mark.parametrize(("arm", "changes"), ARMS)
def test_cells_are_a_partition_of_the_trunk(arm, changes):
    model = tiny_model(arm, **changes)
    trunk = partition(name for name, _ in model.named_parameters())[TRUNK]
    numbered, stop = {}, 0
    for name in trunk:
        shape = model.get_parameter(name).shape
        numbered[name] = torch.arange(stop, stop + shape.numel()).view(shape)
        stop += shape.numel()
    parts = dict(vectors(numbered, cells(model)))
    entries = torch.cat(list(parts.values())).long()
    assert torch.equal(entries.sort().values, torch.arange(stop))  # each once
    assert {where: len(vector) for where, vector in parts.items()} == sizes(model, cells(model))
    groups = Counter(where.group for where in parts)
    assert set(groups) == set(GROUPS) - (set() if arm == "shared" else {"modules"})
    assert groups["attention"] == groups["feed_forward"] == 2
    assert groups["modules"] == (2 if arm == "shared" else 0)
    assert {where.layer for where in parts} == {None, 0, 1}


def test_a_trunk_gradient_is_that_of_backward_and_leaves_no_trace():
    model, batch = tiny_model("shared"), tiny_batch(("en",) * 3, (7, 7, 5))
    found = gradient(model, trunk_of(model), [batch], torch.float32)
    assert all(parameter.grad is None for parameter in model.parameters())
    loss, _ = model(batch, scale=1 / len(batch.targets_M))
    loss.backward()
    expected = gradients(model)
    assert list(found) == partition(expected)[TRUNK]
    for name, each in found.items():
        there = expected[name] if expected[name] is not None else torch.zeros_like(each)
        assert torch.allclose(each, there, atol=1e-7), name


def test_micro_batches_add_up():
    model = tiny_model()
    whole = GlobalBatch((tiny_batch(("en",) * 4, (6, 6, 9, 3)),), 0, "")
    whole = replace(whole, num_targets=len(whole.micro[0].targets_M))
    parts = [piece for half in halves(whole)["en"] for piece in half]
    assert len(parts) == 2
    one = gradient(model, trunk_of(model), whole.micro, torch.float32)
    two = gradient(model, trunk_of(model), parts, torch.float32)
    assert all(torch.allclose(one[name], two[name], atol=1e-6) for name in one)


def test_the_document_agrees_with_whole_gradients_written_out():
    model = tiny_model("shared")
    texts = {tag: [tiny_batch((tag,) * 2, (7, 6), seed) for seed in seeds] for tag, seeds in SEEDS.items()}
    collection = Collection(model, Rows(20, 0))
    flat: dict[str, list[torch.Tensor]] = {}
    for tag, batches in texts.items():
        for batch in batches:
            collection.add(tag, [batch])
            found = gradient(model, trunk_of(model), [batch], torch.float32)
            flat.setdefault(tag, []).append(torch.cat([each.flatten() for each in found.values()]))
    document = collection.document(("cosine", "cosine_se", "corrected"), ("cosine",))
    pairs = [torch.cosine_similarity(a, b, dim=0).item() for a in flat["en"] for b in flat["to"]]
    assert document["languages"] == ["en", "to"]
    assert document["trunk"]["cosine"][0][1] == pytest.approx(np.mean(pairs), abs=1e-5)
    assert document["trunk"]["mean_ceiling"] is not None
    assert document["trunk"]["parameters"] == sum(part["parameters"] for part in document["cells"])
    assert document["trunk"]["parameters"] == sum(g["parameters"] for g in document["groups"].values())
    assert len(document["layers"]) == 2
    sketched = Collection(model, Rows(20, 2048))
    for tag, batches in texts.items():
        for batch in batches:
            sketched.add(tag, [batch])
    near = sketched.document(("cosine",), ())["trunk"]["cosine"]
    assert np.array(near) == pytest.approx(np.array(document["trunk"]["cosine"]), abs=0.1)


SEEDS = {"en": (1, 2, 3), "to": (4, 5, 6)}


def test_two_tags_of_one_language_agree_as_far_as_the_ceiling_allows():
    """Two texts of one language under two tags, without modules of their own, and a third language."""
    streams = MemoryTokens({"en": 4000, "to": 4000, "sr-Latn": 4000})
    chance = np.random.default_rng(0)
    for tag, stream in streams.streams.items():
        frequent_first = 4 + chance.geometric(0.1, len(stream)) % 54
        stream[:] = 61 - frequent_first if tag == "sr-Latn" else frequent_first
    model = tiny_model("shared")
    plan = SamplePlan(block=16, batches=5, batch_tokens=320, split="valid")
    collection = Collection(model, Rows(20, 0))
    for tag in streams.streams:
        for micro in samples(streams, tag, MASKING, plan, bos_id=0):
            collection.add(tag, micro)
    trunk = collection.document(("cosine", "corrected"), ())["trunk"]
    cosine, corrected = np.array(trunk["cosine"]), np.array(trunk["corrected"])
    assert cosine[0, 1] == pytest.approx((cosine[0, 0] + cosine[1, 1]) / 2, rel=0.1)
    assert corrected[0, 1] == pytest.approx(1, abs=0.1)
    assert corrected[0, 2] < 0.8


def test_samples_are_spread_disjoint_and_masked_as_in_scoring():
    streams = MemoryTokens({"en": 1000})
    streams.streams["en"] = np.arange(1000).astype(np.uint16) % 50 + 4
    plan = SamplePlan(block=11, batches=4, batch_tokens=60, split="valid")
    batches = samples(streams, "en", MASKING, plan, bos_id=0)
    assert [sum(b.num_tokens for b in micro) for micro in batches] == [55] * 4
    again = samples(streams, "en", MASKING, plan, bos_id=0)
    assert torch.equal(batches[2][0].ids_N, again[2][0].ids_N)
    from polymod.data.loader import BatchPlan, valid_batches

    scored = next(valid_batches(streams, "en", MASKING, BatchPlan(11, 55, 55, 1.0, 0), bos_id=0, limit=1000))
    assert torch.equal(batches[0][0].ids_N, scored.ids_N)
    assert torch.equal(batches[0][0].target_rows_M, scored.target_rows_M)


def test_a_split_that_is_too_short_is_told():
    streams = MemoryTokens({"en": 100})
    plan = SamplePlan(block=11, batches=4, batch_tokens=60, split="valid")
    assert_user_error(lambda: samples(streams, "en", MASKING, plan, bos_id=0), "10 blocks", "20")
    small = replace(plan, batch_tokens=10)
    assert_user_error(lambda: samples(streams, "en", MASKING, small, bos_id=0), "holds no block")


@pytest.mark.parametrize(
    ("batches", "batch_tokens", "train", "said"),
    [
        (4, 60, 100, "give --gradients.batch-tokens 22, or leave"),  # 2 batches would do, and are refused
        (5, 33, 100, "give --gradients.batches 3 or --gradients.batch-tokens 22, or leave"),
        (4, 60, 200, "give --gradients.split train or --gradients.batch-tokens 22, or leave"),
        (11, 60, 100, "fix: leave the language out with --languages"),
    ],
)
def test_what_would_do_for_a_short_split_is_told(batches, batch_tokens, train, said):
    class Split(MemoryTokens):
        def num_tokens(self, tag, split):
            return train if split == "train" else super().num_tokens(tag, split)

    plan = SamplePlan(block=11, batches=batches, batch_tokens=batch_tokens, split="valid")
    assert_user_error(lambda: samples(Split({"en": 100}), "en", MASKING, plan, bos_id=0), said)


def test_halves_have_every_sequence_once():
    micro = (tiny_batch(("en", "en", "to"), (7, 4, 5), 1), tiny_batch(("to", "to", "sr-Latn"), (3, 6, 5), 2))
    found = halves(GlobalBatch(micro, 0, ""))
    assert {tag: len(parts) for tag, parts in found.items()} == {"en": 2, "to": 2, "sr-Latn": 1}
    assert [[batch.lengths for batch in half] for half in found["to"]] == [[(5,), (3,)], [(6,)]]
    second = found["to"][1][0]
    assert second.route.tags == ("to",)
    assert torch.equal(second.ids_N, micro[1].ids_N[3:9])
    assert torch.equal(second.positions_N, torch.arange(6))
    assert second.starts_S1.tolist() == [0, 6]
    pieces = [batch for parts in found.values() for half in parts for batch in half]
    for batch in pieces:
        assert batch.target_counts == (len(batch.targets_M),)
        assert batch.target_rows_M.min() >= 0
        assert batch.target_rows_M.max() < batch.num_tokens
    assert sum(batch.num_tokens for batch in pieces) == sum(batch.num_tokens for batch in micro)
    targets = torch.cat([batch.targets_M for batch in pieces]).sort().values
    assert torch.equal(targets, torch.cat([batch.targets_M for batch in micro]).sort().values)
