"""FAMO: its equations, and that the trunk steps with the weighted gradients while packs do not notice."""

import torch

from _models import LANGUAGES, gradients, tiny_batch, tiny_model
from polymod.batch import GlobalBatch
from polymod.metrics import StepMetrics
from polymod.model.partition import owner
from polymod.train.balance import LOGITS, balance, new_logits
from polymod.train.by_language import pieces_of
from polymod.train.config import TrainOptions, TreatmentOptions
from polymod.train.joint import backward, joint
from polymod.train.loop import TrainState
from polymod.train.optim import build_optimizer

OPTIONS = TrainOptions(steps=20, learning_rate=1e-2, clip=1e9)


def batch_of(*tags: str, seed: int = 0) -> GlobalBatch:
    micro = tiny_batch(tags, tuple(range(7, 7 + len(tags))), seed=seed)
    return GlobalBatch((micro,), len(micro.targets_M), "")


def treated(**options) -> tuple[TrainState, object]:
    model = tiny_model(dtype=torch.float64)
    update = balance(model, OPTIONS, TreatmentOptions(**options), torch.float32)
    return TrainState(model, build_optimizer(model, OPTIONS)), update


def test_logits_follow_the_gradient_of_the_weighted_fall():
    logits, before, after = (torch.rand(4, dtype=torch.float64) + 0.5 for _ in range(3))
    leaf = logits.clone().requires_grad_()
    (leaf.softmax(0) * (before.log() - after.log())).sum().backward()
    expected = logits - 0.1 * (leaf.grad + 0.01 * logits)
    torch.testing.assert_close(new_logits(logits, before, after, 0.1, 0.01), expected)


def test_a_language_whose_loss_falls_less_gains_weight():
    logits = new_logits(torch.zeros(2), torch.tensor([2.0, 2.0]), torch.tensor([1.0, 1.9]), 0.1, 0.0)
    assert logits[1] > 0 > logits[0]


def test_equal_falls_change_nothing():
    logits = torch.tensor([0.3, -0.2, 0.1])
    unchanged = new_logits(logits, torch.tensor([2.0, 4.0, 6.0]), torch.tensor([1.0, 2.0, 3.0]), 0.1, 0.0)
    torch.testing.assert_close(unchanged, logits)


def test_the_trunk_gets_the_weighted_and_packs_the_plain_gradient():
    state, update = treated()
    batch = batch_of("en", "to", "sr-Latn")
    logits_L = torch.tensor([0.5, -0.4, 0.2], dtype=torch.float64)
    state.extra[LOGITS] = logits_L.clone()
    rows, losses = [], []
    for tag, (piece,) in pieces_of(batch).items():
        state.optimizer.zero_grad(set_to_none=True)
        metrics = StepMetrics()
        backward(state.model, piece, 1.0 / len(piece.targets_M), torch.float32, metrics)
        rows.append(gradients(state.model))
        losses.append(metrics.by_language[tag].mean)
    raw = logits_L[[LANGUAGES.index(tag) for tag in pieces_of(batch)]].softmax(0) / torch.tensor(losses)
    weights = (raw / raw.sum()).tolist()
    plain = TrainState(tiny_model(dtype=torch.float64), state.optimizer)
    joint(OPTIONS, torch.device("cpu"), torch.float32)(plain, batch)
    packs = gradients(plain.model)
    update(state, batch)
    for name, gradient in gradients(state.model).items():
        expected = packs[name]
        if owner(name) is None:
            expected = sum(weight * row[name] for weight, row in zip(weights, rows, strict=True))
        torch.testing.assert_close(gradient, expected)


def test_absent_languages_keep_their_logits():
    state, update = treated(balance_decay=0.1)
    state.extra[LOGITS] = torch.ones(3, dtype=torch.float64)
    update(state, batch_of("en", "to"))
    logits_L = state.extra[LOGITS]
    assert logits_L[LANGUAGES.index("sr-Latn")] == 1
    assert (logits_L != 1).sum() == 2


def test_a_step_that_is_not_finite_changes_nothing():
    state, update = treated()
    state.model.encoder.packs["to"].up_bias_LD.data[0, 0] = float("nan")
    assert update(state, batch_of("en", "to")).skipped
    assert not state.optimizer.state
    assert not state.extra


def test_it_learns():
    state, update = treated()
    batch = batch_of("en", "to")
    losses = []
    for _ in range(12):
        losses.append(update(state, batch).loss)
        state.step += 1
    assert losses[-1] < 0.7 * losses[0]
