"""PCGrad: the paper's algorithm on vectors, torchjd's, and what the update does with it."""

import pytest
import torch

from _models import gradients, tiny_batch, tiny_model
from polymod.batch import GlobalBatch
from polymod.train.by_language import visiting_orders
from polymod.train.config import TrainOptions, TreatmentOptions
from polymod.train.joint import joint
from polymod.train.loop import TrainState
from polymod.train.optim import build_optimizer
from polymod.train.surgery import pcgrad, surgery

OPTIONS = TrainOptions(steps=20, learning_rate=1e-2)


def naive(g_KP: torch.Tensor, order_KR: torch.Tensor) -> torch.Tensor:
    """Algorithm 1 on the vectors themselves."""
    total = torch.zeros_like(g_KP[0])
    for i, others in enumerate(order_KR.tolist()):
        g = g_KP[i].clone()
        for j in others:
            if g @ g_KP[j] < 0:
                g -= (g @ g_KP[j]) / (g_KP[j] @ g_KP[j]) * g_KP[j]
        total += g
    return total


def random_gradients(count: int, size: int = 5, seed: int = 0) -> torch.Tensor:
    """Few dimensions, so that many pairs conflict."""
    return torch.randn(count, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def of(g_KP: torch.Tensor, order_KR: torch.Tensor) -> torch.Tensor:
    return pcgrad((g_KP @ g_KP.T)[None], order_KR)[0]


def test_two_vectors_by_hand():
    """(1, 0) and (-1, 1) become (1/2, 1/2) and (0, 1)."""
    g_2P = torch.tensor([[1.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
    assert (of(g_2P, torch.tensor([[1], [0]])) @ g_2P).tolist() == [0.5, 1.5]


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_it_is_the_algorithm_of_the_paper(count):
    for seed in range(5):
        g_KP, order_KR = random_gradients(count, seed=seed), visiting_orders(count, seed)
        torch.testing.assert_close(of(g_KP, order_KR) @ g_KP, naive(g_KP, order_KR))


def test_it_agrees_with_torchjd():
    aggregation = pytest.importorskip("torchjd.aggregation", reason="needs the extra mtl")
    for seed in range(5):
        g_KP = random_gradients(6, seed=seed)
        torch.manual_seed(seed)
        rows = [torch.randperm(6).tolist() for _ in range(6)]
        order_KR = torch.tensor([[j for j in row if j != i] for i, row in enumerate(rows)])
        torch.manual_seed(seed)
        torch.testing.assert_close(of(g_KP, order_KR), aggregation.PCGradWeighting()(g_KP @ g_KP.T))


def test_each_group_is_treated_by_itself():
    a, b = random_gradients(4, seed=1), random_gradients(4, seed=2)
    order_KR = visiting_orders(4, 0)
    both = pcgrad(torch.stack([a @ a.T, b @ b.T]), order_KR)
    torch.testing.assert_close(both, torch.stack([of(a, order_KR), of(b, order_KR)]))


def test_without_conflict_nothing_changes():
    g_KP = random_gradients(5).abs()
    assert of(g_KP, visiting_orders(5, 0)).tolist() == [1.0] * 5


def test_a_language_without_gradient_changes_nothing():
    g_KP = random_gradients(4)
    g_KP[2] = 0
    rest, order_KR = [0, 1, 3], visiting_orders(4, 0)
    weights_K = of(g_KP, order_KR)
    assert weights_K.isfinite().all()
    fewer = torch.tensor([[rest.index(j) for j in row if j != 2] for row in order_KR[rest].tolist()])
    torch.testing.assert_close(weights_K @ g_KP, of(g_KP[rest], fewer) @ g_KP[rest])


def test_the_size_of_another_gradient_does_not_matter_to_a_projection():
    g_2P = torch.tensor([[1.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
    order = torch.tensor([[1], [0]])
    scaled = g_2P * torch.tensor([[1.0], [7.0]])
    first = of(g_2P, order) @ g_2P - torch.tensor([0.0, 1.0])  # less the second one's projection
    assert torch.allclose(of(scaled, order) @ scaled - torch.tensor([0.0, 7.0]), first)


def new_state(model: torch.nn.Module) -> TrainState:
    return TrainState(model, build_optimizer(model, OPTIONS))


def whole(*micro) -> GlobalBatch:
    return GlobalBatch(micro, sum(len(each.targets_M) for each in micro), "")


def update_of(model, **treatment):
    return surgery(model, OPTIONS, TreatmentOptions(**treatment), torch.float32)


def test_languages_that_agree_step_as_in_the_joint_update():
    """Two languages with the same modules and the same text have the same gradients."""
    states = []
    for treated in (False, True):
        model = tiny_model(dtype=torch.float64)
        en, to = (model.encoder.packs[tag] for tag in ("en", "to"))
        to.load_state_dict(en.state_dict())
        state = new_state(model)
        batch = whole(tiny_batch(("en", "en"), (7, 5)), tiny_batch(("to", "to"), (7, 5)))
        cpu = torch.device("cpu")
        update = update_of(model) if treated else joint(OPTIONS, cpu, torch.float32)
        states.append((update(state, batch), gradients(model)))
    (plain, expected), (metrics, found) = states
    assert metrics.gradient_norm == pytest.approx(plain.gradient_norm)
    assert metrics.loss == pytest.approx(plain.loss)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-9, atol=1e-13)


def conflicting() -> GlobalBatch:
    """Two languages that are to predict different tokens in the same places."""
    return whole(tiny_batch(("en", "to"), (7, 7)), tiny_batch(("to", "sr-Latn"), (7, 5), seed=3))


def test_languages_that_conflict_step_otherwise():
    model = tiny_model(dtype=torch.float64)
    update_of(model)(new_state(model), conflicting())
    found = gradients(model)
    other = tiny_model(dtype=torch.float64)
    joint(OPTIONS, torch.device("cpu"), torch.float32)(new_state(other), conflicting())
    name = "encoder.layers.0.attention.qkv.weight"
    assert not torch.allclose(found[name], gradients(other)[name], rtol=1e-3)


@pytest.mark.parametrize("hold", [1, 2])
def test_less_memory_gives_the_same_step(hold):
    steps = []
    for held in (0, hold):
        model = tiny_model(dtype=torch.float64)
        update_of(model, hold=held)(new_state(model), conflicting())
        steps.append(gradients(model))
    for name, gradient in steps[0].items():
        torch.testing.assert_close(steps[1][name], gradient, rtol=1e-9, atol=1e-13)


def test_a_step_that_is_not_finite_changes_nothing():
    model = tiny_model()
    model.encoder.packs["to"].up_bias_LD.data[0, 0] = float("nan")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = new_state(model)
    assert update_of(model)(state, conflicting()).skipped
    assert all(torch.equal(before[n].nan_to_num(), t.nan_to_num()) for n, t in model.state_dict().items())
    assert not state.optimizer.state
