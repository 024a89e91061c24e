"""The fast meta update: how far it is from the exact one, and that it resumes, skips and repeats dropout."""

import pytest
import torch
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from _asserts import assert_user_error
from _models import MODERN, gradients, tiny_batch, tiny_model
from polymod.batch import GlobalBatch
from polymod.data.random import key
from polymod.model.partition import TRUNK, owner
from polymod.train.config import TrainOptions, TreatmentOptions
from polymod.train.joint import joint
from polymod.train.loop import TrainState
from polymod.train.meta import Queries, gradient, leaves, masked_lm, meta_gradient
from polymod.train.meta_fast import (
    RADIUS,
    RADIUS_BF16,
    adam_slope,
    carried,
    difference,
    gradient_of_packs,
    meta_fast,
)
from polymod.train.optim import build_optimizer

OPTIONS = TrainOptions(steps=20, learning_rate=1e-2, clip=1e9)
CPU = torch.device("cpu")


def cosine(a: dict, b: dict) -> float:
    flat = [torch.cat([tensor.flatten() for tensor in each.values()]).double() for each in (a, b)]
    return float(torch.nn.functional.cosine_similarity(*flat, dim=0))


def distance(a: dict, b: dict) -> float:
    """Relative to ``b``."""
    flat = [torch.cat([tensor.flatten() for tensor in each.values()]) for each in (a, b)]
    return float((flat[0] - flat[1]).norm() / flat[1].norm())


def batch_at(step: int, tags=("en", "to", "sr-Latn")) -> GlobalBatch:
    micro = (tiny_batch(tags, (7, 5, 6), seed=2 * step), tiny_batch(tags[:2], (6, 6), seed=2 * step + 1))
    return GlobalBatch(micro, sum(len(each.targets_M) for each in micro), f"{step}")


def of_packs(model, batch, dtype=torch.float32):
    """The gradient of one language's pack as a function of theta and phi."""

    def at(theta, phi):
        by = leaves(phi, phi)
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            loss = functional_call(model, {**theta, **by}, (batch,), {"scale": 1.0 / len(batch.targets_M)})[0]
        return gradient(loss, by)

    return at


def at_one_point(model, given: list, inner_lr: float, radius: float, two_sided=False, dtype=torch.float32):
    """The meta gradient of the exact update by finite differences, where the exact one takes it."""
    support = tiny_batch(("en", "en"), (6, 5))
    theta = {n: p.detach().clone() for n, p in model.named_parameters() if owner(n) is TRUNK}
    phi = {n: p.detach() for n, p in model.named_parameters() if owner(n) == "en"}
    by = leaves({**theta, **phi}, [*theta, *phi])
    found = gradient(masked_lm(model, by, support, False), by)
    stepped = leaves({n: theta[n] - inner_lr * found[n] for n in theta}, theta)
    by = {**stepped, **leaves(phi, phi)}
    parts = [gradient(masked_lm(model, by, each, False), by) for each in given]
    mean = {name: sum(part[name] for part in parts) / len(parts) for name in by}
    base = None if two_sided else {name: found[name] for name in phi}
    direction = {name: mean[name] for name in theta}
    through = difference(of_packs(model, support, dtype), theta, phi, direction, base, radius)
    return {name: mean[name] - inner_lr * through[name] for name in phi}


@pytest.mark.parametrize("languages", [("en", "to", "sr-Latn"), ("to", "sr-Latn")], ids=["all", "others"])
@pytest.mark.parametrize("order", [{}, MODERN], ids=["xmod", "modern"])
def test_it_agrees_with_the_exact_gradient_in_float64(order, languages):
    model = tiny_model(dtype=torch.float64, **order)
    support = tiny_batch(("en", "en"), (6, 5))
    given = [tiny_batch((tag, tag), (5, 4), seed=seed) for seed, tag in enumerate(languages)]
    exact, _ = meta_gradient(model, masked_lm, support, Queries(given), inner_lr=0.5)
    assert cosine(at_one_point(model, given, 0.5, RADIUS), exact) >= 0.999
    assert cosine(at_one_point(model, given, 0.5, RADIUS, two_sided=True), exact) >= 0.99999
    errors = [distance(at_one_point(model, given, 0.5, radius), exact) for radius in (1e-3, 1e-4)]
    assert errors[1] == pytest.approx(errors[0] / 10, rel=0.2)  # of first order in the radius
    errors = [distance(at_one_point(model, given, 0.5, radius, True), exact) for radius in (1e-2, 1e-3)]
    assert errors[1] == pytest.approx(errors[0] / 100, rel=0.5)  # of second order


def test_it_agrees_in_float32_and_under_bf16_autocast():
    support = tiny_batch(("en", "en"), (6, 5))
    given = [tiny_batch((tag, tag), (5, 4), seed=seed) for seed, tag in enumerate(("to", "sr-Latn"))]
    exact, _ = meta_gradient(
        tiny_model(dtype=torch.float64), masked_lm, support, Queries(given), inner_lr=0.5
    )
    single = at_one_point(tiny_model(), given, 0.5, RADIUS)
    assert cosine(single, exact) >= 0.999
    half = at_one_point(tiny_model(), given, 0.5, RADIUS_BF16, two_sided=True, dtype=torch.bfloat16)
    assert cosine(half, exact) >= 0.9


def test_the_slope_is_the_derivative_of_adams_step():
    drawn = torch.Generator().manual_seed(0)
    g, m, v = (torch.rand(50, generator=drawn, dtype=torch.float64) + 0.1 for _ in range(3))

    def step(g):
        new_m, new_v = 0.9 * m + 0.1 * g, 0.98 * v + 0.02 * g**2
        unbiased = new_m / (1 - 0.9**3), new_v / (1 - 0.98**3)
        return unbiased[0] / (unbiased[1].sqrt() + OPTIONS.epsilon), new_m, new_v

    expected = torch.autograd.functional.jacobian(lambda g: step(g)[0], g).diagonal()
    _, new_m, new_v = step(g)
    found = adam_slope(new_m, new_v, g, torch.tensor(3.0), OPTIONS)
    torch.testing.assert_close(found, expected)


def new_state(options: TrainOptions = OPTIONS, dtype=torch.float64, **more):
    treatment = {name: more.pop(name) for name in ("inner_rate", "radius") if name in more}
    model = tiny_model(dtype=dtype, **more)
    update = meta_fast(model, options, TreatmentOptions(**treatment), torch.float32, batch_at)
    return TrainState(model, build_optimizer(model, options)), update


def run(state: TrainState, update, until: int) -> list:
    metrics = []
    while state.step < until:
        torch.manual_seed(int(key(OPTIONS.seed, "dropout", state.step)) >> 1)  # as the loop does
        metrics.append(update(state, batch_at(state.step)))
        state.step += 1
    return metrics


def through_adam(state: TrainState, before: TrainState, batches: tuple) -> dict:
    """Exactly: the gradient of the second loss with respect to the packs of the first step."""
    first, second = batches
    named = dict(before.model.named_parameters())
    phi = leaves(named, [name for name in named if owner(name) is not TRUNK])
    theta = leaves(named, [name for name in named if owner(name) is TRUNK])
    scale = 1.0 / first.num_targets
    with sdpa_kernel(SDPBackend.MATH):
        losses = [
            functional_call(before.model, {**theta, **phi}, (micro,), {"scale": scale, "twice": True})[0]
            for micro in first.micro
        ]
        g = gradient(sum(losses), theta, create_graph=True)
    lr = state.optimizer.param_groups[0]["lr"]
    stepped = {}
    for name in theta:
        moments = before.optimizer.state[named[name]]
        step = float(moments["step"]) + 1
        m = 0.9 * moments["exp_avg"] + 0.1 * g[name]
        v = 0.98 * moments["exp_avg_sq"] + 0.02 * g[name] ** 2
        size = m / (1 - 0.9**step) / ((v / (1 - 0.98**step)).sqrt() + OPTIONS.epsilon)
        here = state.model.get_parameter(name).detach()
        stepped[name] = (
            here + (size.detach() - size) * lr
        )  # the value that it has, the derivative of the step
    now = {name: state.model.get_parameter(name).detach() for name in phi}
    losses = [
        functional_call(state.model, {**stepped, **now}, (micro,), {"scale": 1.0 / second.num_targets})[0]
        for micro in second.micro
    ]
    return gradient(sum(losses), phi)


def copy_of(state: TrainState) -> TrainState:
    model = tiny_model(dtype=torch.float64)
    model.load_state_dict(state.model.state_dict())
    optimizer = build_optimizer(model, OPTIONS)
    ours, theirs = dict(model.named_parameters()), dict(state.model.named_parameters())
    for name, parameter in theirs.items():
        moments = state.optimizer.state[parameter]
        optimizer.state[ours[name]] = {key: tensor.clone() for key, tensor in moments.items()}
    return TrainState(model, optimizer, state.step)


def test_the_update_sees_through_the_step_that_was_taken():
    state, update = new_state(radius=1e-6)
    run(state, update, 4)
    before = copy_of(state)
    run(state, update, 5)
    exact = through_adam(state, before, (batch_at(4), batch_at(5)))
    plain = copy_of(state)
    joint(OPTIONS, CPU, torch.float32)(plain, batch_at(5))
    run(state, update, 6)
    found, direct = gradients(state.model), gradients(plain.model)
    for name, gradient_ in found.items():
        if owner(name) is TRUNK:
            assert torch.equal(gradient_, direct[name])
    through = {name: found[name] - direct[name] for name in exact}
    assert cosine(through, exact) >= 0.999
    assert distance(through, exact) < 1e-3


def test_a_tiny_inner_rate_is_the_joint_update():
    (state, update), (other, _) = new_state(inner_rate=1e-12), new_state()
    plain = joint(OPTIONS, CPU, torch.float32)
    run(state, update, 4)
    run(other, plain, 4)
    for ours, theirs in zip(state.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9)


def test_it_goes_on_from_what_the_state_carries():
    (straight, update), (stopped, _) = new_state(dropout=0.3), new_state(dropout=0.3)
    run(straight, update, 5)
    run(stopped, meta_fast(stopped.model, OPTIONS, TreatmentOptions(), torch.float32, batch_at), 3)
    run(stopped, meta_fast(stopped.model, OPTIONS, TreatmentOptions(), torch.float32, batch_at), 5)
    for a, b in zip(straight.model.parameters(), stopped.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_without_what_the_state_carries_a_step_is_the_joint_one():
    state, update = new_state()
    run(state, update, 3)
    other = copy_of(state)
    state.extra.clear()
    run(state, update, 4)
    run(other, joint(OPTIONS, CPU, torch.float32), 4)
    for a, b in zip(state.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_both_passes_over_a_batch_have_the_same_dropout():
    state, update = new_state(dropout=0.3)
    run(state, update, 1)
    theta, plain, phi = (carried(state.extra, f"meta.{kind}/", CPU) for kind in ("theta", "plain", "phi"))
    seed = (OPTIONS.seed, "dropout", 0)
    again = gradient_of_packs(state.model, batch_at(0), torch.float32, seed, theta, phi)
    assert plain.keys() == again.keys() != set()
    for name, tensor in again.items():
        torch.testing.assert_close(tensor, plain[name])


def test_two_trunks_are_carried_and_the_packs_of_the_batch():
    state, update = new_state()
    run(state, update, 2)
    sizes = {"meta.theta/": 0, "meta.slope/": 0, "meta.phi/": 0, "meta.plain/": 0}
    for name, tensor in state.extra.items():
        sizes[name[: name.index("/") + 1]] += tensor.numel()
    trunk = sum(p.numel() for n, p in state.model.named_parameters() if owner(n) is TRUNK)
    packs = sum(p.numel() for n, p in state.model.named_parameters() if owner(n) is not TRUNK)
    assert list(sizes.values()) == [trunk, trunk, packs, packs]


def test_buffers_are_used_again():
    state, update = new_state()
    run(state, update, 2)
    name = "meta.theta/encoder.embeddings.tokens.weight"
    place = state.extra[name].data_ptr()
    run(state, update, 4)
    assert state.extra[name].data_ptr() == place


def test_a_step_that_is_not_finite_changes_nothing_and_is_forgotten():
    state, update = new_state()
    run(state, update, 2)
    value = state.model.encoder.packs["to"].up_bias_LD
    kept = value.detach().clone()
    value.data[0, 0] = float("nan")
    before = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
    (metrics,) = run(state, update, 3)
    assert metrics.skipped
    assert not state.extra
    after = state.model.state_dict()
    assert all(torch.equal(before[name].nan_to_num(), after[name].nan_to_num()) for name in before)
    value.data.copy_(kept)
    assert not any(each.skipped for each in run(state, update, 5))


@pytest.mark.parametrize("option", [{"only_other_languages": True}, {"head": True}, {"order": 1}])
def test_options_of_the_exact_update_are_refused(option):
    call = lambda: meta_fast(tiny_model(), OPTIONS, TreatmentOptions(**option), torch.float32, batch_at)  # noqa: E731
    assert_user_error(call, "--update meta")
