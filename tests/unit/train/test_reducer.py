"""Sums of gradients over processes: what is sent when, the same everywhere, and only what is in the step."""

from __future__ import annotations

import torch
from torch import nn

from _models import LANGUAGES, tiny_batch, tiny_model
from polymod.batch import Batch, GlobalBatch
from polymod.metrics import LossSum, StepMetrics
from polymod.model.partition import TRUNK, owner
from polymod.train.joint import backward_all
from polymod.train.parallel import Ranks
from polymod.train.reducer import Reducer


class Twins(Ranks):
    """Two processes of which the other one always has what this one has; notes what is sent."""

    def __init__(self) -> None:
        super().__init__(0, 2)
        self.events: list[tuple[str, int]] = []

    def begin_sum(self, flat, kind):
        self.events.append((kind, flat.numel()))
        flat *= 2

    def finish(self, works):
        pass

    def most(self, numbers):
        return list(numbers)


def step(*micro: Batch) -> GlobalBatch:
    return GlobalBatch(micro, sum(len(batch.targets_M) for batch in micro), "")


def summed(model: nn.Module, ranks: Ranks, batch: GlobalBatch, bucket_bytes: int = 8000) -> StepMetrics:
    metrics = StepMetrics()
    with Reducer(model, ranks, bucket_bytes).summing(batch, metrics):
        backward_all(model, batch, torch.float32, metrics)
        ranks.events.append(("backward is over", 0))
    return metrics


def test_gradients_and_losses_are_sums():
    batch = step(tiny_batch(("en", "to"), (7, 5)), tiny_batch(("to", "to"), (6, 4), seed=1))
    model, other = tiny_model(), tiny_model()
    metrics, plain = summed(model, Twins(), batch), StepMetrics()
    backward_all(other, batch, torch.float32, plain)
    for (name, ours), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None), name
        if ours.grad is not None:
            assert torch.allclose(ours.grad, 2 * theirs.grad, rtol=1e-6), name
    for tag, losses in plain.by_language.items():
        assert metrics.by_language[tag].count == losses.count  # known of all processes, not summed
        assert float(metrics.by_language[tag].total) == 2 * float(losses.total)


def test_the_trunk_leaves_while_backward_runs_and_languages_after_it():
    ranks = Twins()
    summed(tiny_model(), ranks, step(tiny_batch(), tiny_batch(seed=1)))
    kinds = [kind for kind, _ in ranks.events]
    over = kinds.index("backward is over")
    assert kinds[:over] == ["trunk"] * over
    assert over > 3
    assert kinds[over + 1 :] == ["packs"] * (len(kinds) - over - 2) + ["losses"]


def test_nothing_leaves_before_the_last_micro_batch():
    """Gradients that are not complete would be sums of parts."""
    ranks, model = Twins(), tiny_model()
    batch, metrics = step(tiny_batch(), tiny_batch(seed=1)), StepMetrics()
    with Reducer(model, ranks).summing(batch, metrics):
        backward_all(model, step(batch.micro[0]), torch.float32, metrics)
        assert ranks.events == []
        backward_all(model, step(batch.micro[1]), torch.float32, metrics)
        assert ranks.events != []


def test_a_process_without_rows_takes_part_in_the_same_exchanges():
    ranks, idle = Twins(), Twins()
    batch = step(tiny_batch(("en", "to"), (7, 5)))
    summed(tiny_model(), ranks, batch)
    model = tiny_model()
    summed(model, idle, GlobalBatch((), batch.num_targets, "", whole=batch))
    assert [event for event in idle.events if event[1]] == [event for event in ranks.events if event[1]]


def test_languages_that_are_absent_cost_nothing_and_have_no_gradient():
    ranks, model = Twins(), tiny_model()
    summed(model, ranks, step(tiny_batch(("to", "to"), (7, 5))))
    sizes = {tag: sum(p.numel() for n, p in model.named_parameters() if owner(n) == tag) for tag in LANGUAGES}
    assert sum(size for kind, size in ranks.events if kind == "packs") == sizes["to"]
    trunk = sum(p.numel() for n, p in model.named_parameters() if owner(n) is TRUNK)
    assert sum(size for kind, size in ranks.events if kind == "trunk") == trunk
    assert all((p.grad is None) == (owner(n) in ("en", "sr-Latn")) for n, p in model.named_parameters())


def test_what_is_frozen_is_not_sent():
    ranks, model = Twins(), tiny_model()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(owner(name) == "to")
    summed(model, ranks, step(tiny_batch(("to", "to"), (7, 5))))
    assert {kind for kind, size in ranks.events if size} == {"packs", "losses"}


def test_losses_of_a_process_without_the_language_count_as_nothing():
    losses: dict[str, LossSum] = {"to": LossSum(3.0, 2)}
    Twins().sum_losses(losses, {"en": 5, "to": 4})
    assert [(tag, float(each.total), each.count) for tag, each in losses.items()] == [
        ("en", 0.0, 5),
        ("to", 6.0, 4),
    ]
