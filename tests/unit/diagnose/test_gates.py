"""Hard-concrete gates and where they act: the published formulas, gates at one, branches that are closed."""

from __future__ import annotations

import math

import pytest
import torch
from torch.func import functional_call

from _models import LANGUAGES, MODERN, tiny_batch, tiny_model
from polymod.diagnose.gates import confidence, keep_most, open_probability, sample
from polymod.diagnose.sites import entries, gated, sites

UNITS = ("heads", "neurons", "layers", "norms")
MODELS = [("modular", {}), ("shared", {}), ("shared", MODERN), ("dense", MODERN)]


def test_a_gate_is_the_published_formula():
    for log_a, u in [(-2.0, 0.1), (0.0, 0.5), (1.5, 0.9), (3.0, 0.3)]:
        s = 1 / (1 + math.exp(-(math.log(u) - math.log(1 - u) + log_a) / (2 / 3)))
        expected = min(1.0, max(0.0, s * 1.2 - 0.1))
        assert float(sample(torch.tensor([log_a]), torch.tensor([u]))) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("log_a", [-3.0, -0.5, 0.0, 1.0, 2.0])
def test_the_expected_l0_norm_is_the_share_of_gates_that_are_open(log_a):
    uniform = torch.rand(200_000, generator=torch.Generator().manual_seed(0))
    z = sample(torch.full_like(uniform, log_a), uniform)
    assert z.min() >= 0
    assert z.max() <= 1
    expected = float(open_probability(torch.tensor(log_a)))
    assert float((z > 0).float().mean()) == pytest.approx(expected, abs=0.005)
    assert float(confidence(torch.tensor(log_a))) == pytest.approx(2 * expected - 1)


def test_gates_let_gradients_through():
    log_a = torch.zeros(3, requires_grad=True)
    sample(log_a, torch.tensor([0.5, 0.4, 0.6])).sum().backward()
    assert (log_a.grad > 0).all()
    ends = torch.zeros(2, requires_grad=True)
    assert sample(ends, torch.tensor([0.0, 1.0])).tolist() == [0.0, 1.0]  # no NaN at the ends


def test_the_most_surely_open_are_kept():
    assert keep_most(torch.tensor([0.1, 3.0, -1.0, 2.0]), 0.5).tolist() == [0, 1, 0, 1]
    assert keep_most(torch.zeros(4), 0.5).tolist() == [1, 1, 0, 0]
    assert keep_most(torch.zeros(3), 1.0).tolist() == [1, 1, 1]


def output(model, at, gates):
    parameters = {name: each.detach() for name, each in model.named_parameters()}
    weights = {**parameters, **gated(parameters, at, gates)}
    return functional_call(model, weights, (tiny_batch(LANGUAGES, (7, 7, 5)),))[1]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(("arm", "changes"), MODELS)
def test_gates_at_one_change_nothing(unit, arm, changes):
    model = tiny_model(arm, **changes)
    at = sites(model.config, [unit], 5)
    ones = [torch.ones(len(site.layer_G)) for site in at]
    _, expected = model(tiny_batch(LANGUAGES, (7, 7, 5)))
    if unit == "norms":
        torch.testing.assert_close(output(model, at, ones), expected)
    else:
        assert torch.equal(output(model, at, ones), expected)
    zeros = [torch.zeros(len(site.layer_G)) for site in at]
    assert not torch.allclose(output(model, at, zeros), expected, atol=1e-3)


@pytest.mark.parametrize(("arm", "changes"), MODELS)
def test_a_closed_head_gives_nothing_to_the_output(arm, changes):
    """The twin cuts the head out of the attention itself."""
    model = tiny_model(arm, **changes)
    at = sites(model.config, ["heads"], 5)
    gates = [torch.ones(2) for _ in at]
    gates[1] = torch.tensor([0.25, 0.0])
    found = output(model, at, gates)
    attention = model.encoder.layers[1].attention

    def weighted(_, inputs):
        (x_ND,) = inputs
        return (torch.cat([x_ND[:, :16] * 0.25, x_ND[:, 16:] * 0.0], dim=1),)

    attention.out.register_forward_pre_hook(weighted)
    torch.testing.assert_close(found, model(tiny_batch(LANGUAGES, (7, 7, 5)))[1])


@pytest.mark.parametrize(("arm", "changes"), MODELS)
def test_closed_neurons_are_cut_out(arm, changes):
    model = tiny_model(arm, **changes)
    at = sites(model.config, ["neurons"], 5)
    assert [len(site.layer_G) for site in at] == [10, 10]  # 48 neurons by five, the last group of three
    gates = [torch.ones(10), torch.ones(10)]
    gates[0][9] = 0.0
    found = output(model, at, gates)
    with torch.no_grad():
        model.encoder.layers[0].feed_forward.down.weight[:, 45:] = 0
    torch.testing.assert_close(found, model(tiny_batch(LANGUAGES, (7, 7, 5)))[1])


@pytest.mark.parametrize(("arm", "changes"), MODELS)
def test_closed_layers_leave_the_residual_stream_alone(arm, changes):
    """All sub-layers closed: each is the same as one whose output is nothing."""
    model = tiny_model(arm, **changes)
    at = sites(model.config, ["layers"], 5)
    found = output(model, at, [torch.zeros(len(site.layer_G)) for site in at])

    def nothing(_, __, out):
        return torch.zeros_like(out)

    for layer in model.encoder.layers:
        layer.attention.register_forward_hook(nothing)
        layer.feed_forward.register_forward_hook(nothing)
    if arm == "shared":
        with torch.no_grad():
            model.encoder.packs["mul"].up_LDB.zero_()
            model.encoder.packs["mul"].up_bias_LD.zero_()
    torch.testing.assert_close(found, model(tiny_batch(LANGUAGES, (7, 7, 5)))[1])


def test_closed_norms_have_learnt_nothing():
    model = tiny_model(**MODERN)
    at = sites(model.config, ["norms"], 5)
    assert len(at) == 6  # three in each of two layers
    found = output(model, at, [torch.zeros(1) for _ in at])
    with torch.no_grad():
        for layer in model.encoder.layers:
            for norm in (layer.attention_norm, layer.feed_forward_norm, layer.module_norm):
                norm.reset_parameters()
    torch.testing.assert_close(found, model(tiny_batch(LANGUAGES, (7, 7, 5)))[1])


def test_gates_on_the_same_weights_multiply_and_the_model_stays():
    model = tiny_model()
    before = {name: each.detach().clone() for name, each in model.named_parameters()}
    at = sites(model.config, ["heads", "layers"], 5)
    name = "encoder.layers.0.attention.out.weight"
    gates = [torch.full((len(site.layer_G),), 0.5) for site in at]
    assert torch.equal(gated(before, at, gates)[name], before[name] * 0.25)
    output(model, at, gates)
    assert all(torch.equal(each, before[key]) for key, each in model.named_parameters())
    assert entries(before, at) == 2 * (32 * 32 + 32 + 32 * 48 + 32)
