"""Gradients language by language: nothing is lost, and products and combinations are those of the vectors."""

import pytest
import torch

from _models import LANGUAGES, gradients, tiny_batch, tiny_model
from polymod.batch import GlobalBatch
from polymod.metrics import StepMetrics
from polymod.model.partition import owner
from polymod.train.by_language import LanguageGradients, Trunk, pieces_of, split, visiting_orders
from polymod.train.config import TrainOptions
from polymod.train.joint import backward
from polymod.train.loop import TrainState
from polymod.train.optim import build_optimizer

OPTIONS = TrainOptions(steps=20, learning_rate=1e-2)


def new_state(**model) -> TrainState:
    made = tiny_model(dtype=torch.float64, **model)
    return TrainState(made, build_optimizer(made, OPTIONS))


def step_batch() -> GlobalBatch:
    """Three languages over two micro-batches, one of them in both."""
    micro = (tiny_batch(("en", "en", "sr-Latn"), (7, 5, 6)), tiny_batch(("sr-Latn", "to"), (7, 7), seed=1))
    return GlobalBatch(micro, sum(len(each.targets_M) for each in micro), "digest")


def joint_gradients(state: TrainState, batch: GlobalBatch) -> tuple[StepMetrics, dict]:
    state.optimizer.zero_grad(set_to_none=True)
    metrics = StepMetrics()
    for micro in batch.micro:
        backward(state.model, micro, 1.0 / batch.num_targets, torch.float32, metrics)
    return metrics, gradients(state.model)


def of_step(state: TrainState, hold: int = 0, whole: bool = True) -> LanguageGradients:
    trunk = Trunk(state.model, whole=whole)
    return LanguageGradients(state, step_batch(), trunk, 0, torch.float32, hold)


def vectors(state: TrainState, whole: bool = True) -> list[torch.Tensor]:
    """Each language's gradient in every group, by running that language alone: (K, size) for each group."""
    batch, rows = step_batch(), []
    trunk = Trunk(state.model, whole=whole)
    for pieces in pieces_of(batch).values():
        state.optimizer.zero_grad(set_to_none=True)
        for piece in pieces:
            backward(state.model, piece, 1.0 / batch.num_targets, torch.float32, StepMetrics())
        groups = [[] for _ in trunk.groups]
        for group, parameter, _ in trunk.places:
            groups[group].append(parameter.grad.flatten())
        rows.append([torch.cat(group) for group in groups])
    return [torch.stack(group) for group in zip(*rows, strict=True)]


def test_a_batch_is_cut_at_the_spans_of_its_route():
    batch = tiny_batch(("en", "en", "to", "sr-Latn"), (7, 5, 4, 6))
    pieces = list(split(batch))
    assert [piece.route.tags for piece in pieces] == [("en",), ("to",), ("sr-Latn",)]
    assert torch.equal(torch.cat([piece.ids_N for piece in pieces]), batch.ids_N)
    assert torch.equal(torch.cat([piece.targets_M for piece in pieces]), batch.targets_M)
    for piece, span in zip(pieces, batch.route.spans, strict=True):
        assert piece.starts_S1[0] == 0
        assert piece.starts_S1[-1] == piece.num_tokens == sum(piece.lengths) == piece.route.num_rows
        shifted = piece.target_rows_M + span.start
        assert torch.equal(shifted, batch.target_rows_M[torch.isin(batch.target_rows_M, shifted)])


@pytest.mark.parametrize("arm", ["modular", "shared"])
def test_the_languages_add_up_to_the_joint_gradient(arm):
    state = new_state(arm=arm)
    joint, expected = joint_gradients(state, step_batch())
    found = of_step(state)
    found.gram()
    found.combine(torch.ones(1, 3, dtype=torch.float64))
    for name, gradient in gradients(state.model).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-10, atol=1e-14)
    for tag, losses in joint.by_language.items():
        assert found.metrics.by_language[tag].count == losses.count
        assert found.metrics.by_language[tag].mean == pytest.approx(losses.mean)


@pytest.mark.parametrize("hold", [0, 1, 2])
@pytest.mark.parametrize("whole", [True, False])
def test_inner_products_and_combinations_are_those_of_the_vectors(hold, whole):
    state = new_state()
    rows = vectors(state, whole)
    found = of_step(state, hold, whole)
    gram_GKK = found.gram()
    for gram_KK, row_KP in zip(gram_GKK, rows, strict=True):
        torch.testing.assert_close(gram_KK, row_KP @ row_KP.T)
    c_GK = torch.randn(len(rows), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found.combine(c_GK)
    expected = torch.cat([c_K @ row_KP for c_K, row_KP in zip(c_GK, rows, strict=True)])
    combined = torch.cat([parameter.grad.flatten() for _, parameter, _ in found.trunk.places])
    torch.testing.assert_close(combined, expected)


@pytest.mark.parametrize("hold", [0, 1])
def test_packs_keep_their_ordinary_gradients(hold):
    state = new_state()
    _, expected = joint_gradients(state, step_batch())
    found = of_step(state, hold)
    found.gram()
    found.combine(torch.tensor([[0.3, -2.0, 5.0]], dtype=torch.float64))
    for name, gradient in gradients(state.model).items():
        if owner(name) is not None:
            torch.testing.assert_close(gradient, expected[name], rtol=1e-10, atol=1e-14)
    assert all(parameter.requires_grad for parameter in state.model.parameters())


def test_what_is_computed_again_has_the_same_dropout():
    grams = [of_step(new_state(dropout=0.3), hold).gram() for hold in (0, 1)]
    torch.testing.assert_close(*grams)


def test_losses_without_a_step_are_those_of_the_step():
    found = of_step(new_state(dropout=0.3))
    found.gram()
    expected = [found.metrics.by_language[tag].mean for tag in found.tags]
    assert found.mean_losses().tolist() == pytest.approx(expected)


def test_groups_are_disjoint_and_complete():
    state = new_state(language_embedding=True)
    trunk = Trunk(state.model, whole=False)
    names = {parameter: name for name, parameter in state.model.named_parameters()}
    found = [names[parameter] for _, parameter, _ in trunk.places]
    assert sorted(found) == sorted(name for name in names.values() if owner(name) is None)
    assert {(place.layer, place.group) for place in trunk.groups} >= {
        (None, "embeddings"),
        (0, "attention"),
        (1, "feed_forward"),
        (1, "norms"),
        (None, "head"),
    }


def test_visiting_orders_are_permutations_that_depend_on_the_step():
    order_KR = visiting_orders(len(LANGUAGES) + 3, 0, "test", 7)
    for index, row in enumerate(order_KR.tolist()):
        assert sorted([*row, index]) == list(range(6))
    assert torch.equal(order_KR, visiting_orders(6, 0, "test", 7))
    assert not torch.equal(order_KR, visiting_orders(6, 0, "test", 8))
    assert visiting_orders(1, 0).shape == (1, 0)
