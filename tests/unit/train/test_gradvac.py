"""GradVac: the paper's algorithm on vectors, torchjd's over several steps, and the update's targets."""

import pytest
import torch

from _models import LANGUAGES, tiny_batch, tiny_model
from polymod.batch import GlobalBatch
from polymod.train.by_language import visiting_orders
from polymod.train.config import TrainOptions, TreatmentOptions
from polymod.train.gradvac import TARGETS, gradvac, vaccine
from polymod.train.loop import TrainState
from polymod.train.optim import build_optimizer
from polymod.train.surgery import pcgrad

OPTIONS = TrainOptions(steps=20, learning_rate=1e-2)


def naive(g_KP, targets_KK, order_KR, beta):
    """Algorithm 1 on the vectors themselves."""
    total, new = torch.zeros_like(g_KP[0]), targets_KK.clone()
    for i, others in enumerate(order_KR.tolist()):
        g = g_KP[i].clone()
        for j in others:
            phi, target = g @ g_KP[j] / (g.norm() * g_KP[j].norm()), targets_KK[i, j]
            if phi < target:
                above = target * (1 - phi**2).sqrt() - phi * (1 - target**2).sqrt()
                g = g + g_KP[j] * g.norm() * above / (g_KP[j].norm() * (1 - target**2).sqrt())
            new[i, j] = (1 - beta) * target + beta * phi
        total += g
    return total, new


def random_gradients(count: int, size: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def of(g_KP, targets_KK, order_KR, beta=0.01):
    weights_GK, new_GKK = gradvac((g_KP @ g_KP.T)[None], targets_KK[None], order_KR, beta)
    return weights_GK[0], new_GKK[0]


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_it_is_the_algorithm_of_the_paper(count):
    for seed in range(5):
        g_KP, order_KR = random_gradients(count, seed=seed), visiting_orders(count, seed)
        targets_KK = torch.rand(count, count, dtype=torch.float64) - 0.3
        weights_K, new_KK = of(g_KP, targets_KK, order_KR)
        expected, expected_new = naive(g_KP, targets_KK, order_KR, 0.01)
        torch.testing.assert_close(weights_K @ g_KP, expected)
        torch.testing.assert_close(new_KK, expected_new)


def test_an_altered_gradient_is_as_similar_as_its_target():
    g_2P = torch.tensor([[1.0, 0.0], [-0.5, 1.0]], dtype=torch.float64)
    targets = torch.tensor([[0.0, 0.6], [-1.0, 0.0]], dtype=torch.float64)  # the second one is content
    weights_K, _ = of(g_2P, targets, torch.tensor([[1], [0]]))
    first = weights_K @ g_2P - g_2P[1]
    assert float(first @ g_2P[1] / (first.norm() * g_2P[1].norm())) == pytest.approx(0.6)


def test_with_targets_of_zero_it_is_pcgrad():
    g_KP, order_KR = random_gradients(6), visiting_orders(6, 0)
    weights_K, _ = of(g_KP, torch.zeros(6, 6, dtype=torch.float64), order_KR)
    torch.testing.assert_close(weights_K, pcgrad((g_KP @ g_KP.T)[None], order_KR)[0])


def test_above_their_targets_nothing_changes():
    g_KP = random_gradients(5)
    weights_K, _ = of(g_KP, torch.full((5, 5), -0.9999, dtype=torch.float64), visiting_orders(5, 0))
    assert weights_K.tolist() == [1.0] * 5


def test_equal_gradients_with_a_target_of_one_stay_finite():
    g_KP = random_gradients(2)
    weights_K, new_KK = of(g_KP, torch.ones(2, 2, dtype=torch.float64), visiting_orders(2, 0))
    assert weights_K.isfinite().all()
    assert new_KK.isfinite().all()


def test_it_agrees_with_torchjd_over_several_steps():
    aggregation = pytest.importorskip("torchjd.aggregation", reason="needs the extra mtl")
    theirs = aggregation.GradVacWeighting(beta=0.3, eps=0.0)
    targets_KK = torch.zeros(4, 4, dtype=torch.float64)
    for step in range(6):
        g_KP = random_gradients(4, seed=step)
        torch.manual_seed(step)
        expected = theirs(g_KP @ g_KP.T)
        torch.manual_seed(step)
        # torchjd shuffles the list of the others; a permutation of their places says in which order
        rows = [[j for j in range(4) if j != i] for i in range(4)]
        order_KR = torch.tensor([[row[place] for place in torch.randperm(3).tolist()] for row in rows])
        weights_K, targets_KK = of(g_KP, targets_KK, order_KR, beta=0.3)
        torch.testing.assert_close(weights_K, expected)


def step(state: TrainState, update, *tags: str):
    batch = tiny_batch(tags, (7,) * len(tags), seed=state.step)
    metrics = update(state, GlobalBatch((batch,), len(batch.targets_M), ""))
    state.step += 1
    return metrics


def treated(**model):
    made = tiny_model(**model)
    state = TrainState(made, build_optimizer(made, OPTIONS))
    return state, vaccine(made, OPTIONS, TreatmentOptions(), torch.float32)


def test_targets_are_kept_for_pairs_that_met():
    state, update = treated()
    step(state, update, "en", "to")
    targets_GLL = state.extra[TARGETS]
    en, to, other = (LANGUAGES.index(tag) for tag in ("en", "to", "sr-Latn"))
    assert (targets_GLL[:, en, to] != 0).all()
    assert (targets_GLL[:, to, en] != 0).all()
    assert (targets_GLL[:, other] == 0).all()
    assert (targets_GLL[:, :, other] == 0).all()
    assert len(targets_GLL) > 8  # by layer and group
    before = targets_GLL.clone()
    step(state, update, "en", "sr-Latn")
    assert torch.equal(state.extra[TARGETS][:, en, to], before[:, en, to])


def test_a_step_that_is_not_finite_keeps_the_targets():
    state, update = treated()
    step(state, update, "en", "to")
    before = state.extra[TARGETS].clone()
    state.model.encoder.packs["to"].up_bias_LD.data[0, 0] = float("nan")
    assert step(state, update, "en", "to").skipped
    assert torch.equal(state.extra[TARGETS], before)
