"""Properties of the encoder that hold for every arm and layer order."""

import pytest
import torch

from _models import LARGE, MODERN, SUBLAYERS, VOCAB, XMOD, gradients, tiny_batch, tiny_model
from polymod.batch import Batch
from polymod.languages import LanguageError
from polymod.model.attention import Layout

ORDERS = {
    "base": XMOD,
    "large": LARGE,
    "modern": MODERN,
    "embedding": {**XMOD, "language_embedding": True},
    "sublayers": SUBLAYERS,
    "modern sublayers": {**MODERN, **SUBLAYERS},
}
ARMS = ("modular", "shared", "dense")
every_kind = pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
every_arm = pytest.mark.parametrize("arm", ARMS)


@every_kind
@every_arm
def test_a_mixed_batch_equals_its_sequences_one_by_one(order, arm):
    model = tiny_model(arm, dtype=torch.float64, **order)
    tags, lengths = ["en", "to", "sr-Latn", "en"], [6, 6, 3, 9]
    sequences = [torch.randint(4, VOCAB, (n,)) for n in lengths]
    together = model.encoder(Batch.pack(sequences, tags))
    alone = [model.encoder(Batch.pack([ids], [tag])) for ids, tag in zip(sequences, tags, strict=True)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-12, rtol=1e-12)


@every_kind
@every_arm
def test_a_loss_in_one_language_leaves_no_gradient_in_the_others(order, arm):
    model = tiny_model(arm, **order)
    loss, _ = model(tiny_batch(("to", "to"), (5, 8)))
    loss.backward()
    owned = {
        name: g for name, g in gradients(model).items() if "by_key.lang_" in name and "lang_mul" not in name
    }
    assert all((gradient is not None) == ("lang_to" in name) for name, gradient in owned.items())
    trunk = {name: g for name, g in gradients(model).items() if name not in owned}
    assert all(gradient is not None for gradient in trunk.values())


@every_kind
def test_every_parameter_matters(order):
    model = tiny_model(**order)
    loss, _ = model(tiny_batch(("en", "to", "sr-Latn"), (5, 8, 6)))
    loss.backward()
    silent = [name for name, gradient in gradients(model).items() if not gradient.abs().sum() > 0]
    assert silent == []


def test_routes_decide_the_module_and_nothing_else_does():
    model = tiny_model()
    batch = tiny_batch(("en",), (6,))
    as_english = model.encoder(batch)
    other = Batch.pack([batch.ids_N], ["to"])
    assert not torch.allclose(as_english, model.encoder(other))
    via = Batch(**{**vars(other), "route": other.route.via({"to": "en"})})
    assert torch.equal(as_english, model.encoder(via))


def test_no_module_is_a_route():
    model = tiny_model()
    batch = tiny_batch(("en",), (6,))
    none = Batch(**{**vars(batch), "route": batch.route.via({"en": None})})
    with torch.no_grad():
        without = model.encoder(none)
        for parameter in model.encoder.packs["en"].parameters():
            parameter.zero_()
    torch.testing.assert_close(model.encoder(batch), without)


def test_two_modules_a_layer_stand_where_the_paper_has_them():
    """Written out: x = LN1(x + a + AD1(a)), x = LN2(x + f + AD2(f)); modules in the order of the pack."""
    model = tiny_model(dtype=torch.float64, **SUBLAYERS).encoder
    batch = tiny_batch(("to",), (7,))
    modules = model.packs["to"].unbind()
    assert len(modules) == 4

    def adapted(out, number):
        w = modules[number]
        hidden = torch.nn.functional.gelu(out @ w.down_BD.T + w.down_bias_B)
        return out + hidden @ w.up_DB.T + w.up_bias_D

    states = model.hidden_states(batch)
    x, layout = states[0], Layout.of(batch)
    for number, layer in enumerate(model.layers):
        x = layer.attention_norm(x + adapted(layer.attention(x, layout, None), 2 * number))
        x = layer.feed_forward_norm(x + adapted(layer.feed_forward(x), 2 * number + 1))
        torch.testing.assert_close(states[number + 1], x, atol=1e-12, rtol=1e-12)


def test_modules_inside_sublayers_refuse_a_norm():
    with pytest.raises(ValueError, match="module_norm none, not reuse"):
        tiny_model(module_place="sublayers")


@every_arm
def test_a_language_that_is_not_installed_is_an_error_in_every_arm(arm):
    with pytest.raises(LanguageError, match="'de'"):
        tiny_model(arm).encoder(tiny_batch(("de",), (6,)))


def test_the_shared_arm_gives_every_language_the_same_module():
    model = tiny_model("shared")
    ids = torch.randint(4, VOCAB, (7,))
    a, b = (model.encoder(Batch.pack([ids], [tag])) for tag in ("en", "sr-Latn"))
    assert torch.equal(a, b)
    assert model.encoder.packs.tags == ("mul",)


def test_arms_of_one_seed_begin_with_the_same_trunk():
    trunks = [
        {n: p for n, p in tiny_model_without_noise(arm).named_parameters() if "by_key" not in n}
        for arm in ARMS
    ]
    assert all(torch.equal(trunks[0][name], other[name]) for other in trunks[1:] for name in other)


def test_a_pack_begins_the_same_whatever_else_is_installed():
    few, many = (tiny_model_without_noise(languages=tags) for tags in (("to",), ("en", "de", "to")))
    assert torch.equal(few.encoder.packs["to"].up_LDB, many.encoder.packs["to"].up_LDB)


def tiny_model_without_noise(arm: str = "modular", **changes):
    from _models import tiny_config
    from polymod.model.heads import MaskedLM, initialise

    model = MaskedLM(tiny_config(arm, **changes))
    initialise(model, seed=3)
    return model


def test_initial_values_are_those_of_xmod():
    model = tiny_model_without_noise(num_layers=6, hidden_size=64, bottleneck_size=32)
    parameters = dict(model.named_parameters())
    for name, parameter in parameters.items():
        if name.endswith("bias") or "bias_" in name:
            assert parameter.abs().max() == 0, name
        elif "norm" in name:
            assert (parameter == 1).all(), name
        else:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.2), name
    assert model.encoder.embeddings.tokens.weight[1].abs().max() == 0


def test_the_output_bias_can_begin_at_the_log_frequencies():
    from _models import tiny_config
    from polymod.model.heads import MaskedLM, initialise

    model = MaskedLM(tiny_config())
    counts = torch.arange(VOCAB)
    initialise(model, 0, counts)
    expected = (counts + 1).double() / (counts + 1).sum()
    torch.testing.assert_close(model.head.bias.exp().double(), expected, rtol=1e-5, atol=1e-8)


def test_a_sequence_longer_than_the_positions_is_an_error():
    with pytest.raises(ValueError, match="at most 24"):
        tiny_model().encoder(tiny_batch(("en",), (25,)))


def test_logits_agree_with_the_loss():
    model = tiny_model(dtype=torch.float64)
    batch = tiny_batch()
    loss, losses = model(batch, scale=0.5)
    expected = torch.nn.functional.cross_entropy(
        model.logits(batch, batch.target_rows_M), batch.targets_M, reduction="none"
    )
    torch.testing.assert_close(losses, expected)
    torch.testing.assert_close(loss, 0.5 * expected.sum())
    torch.testing.assert_close(
        model.logits(batch)[batch.target_rows_M], model.logits(batch, batch.target_rows_M)
    )


@every_kind
def test_second_derivatives_exist_on_the_naive_path(order):
    from torch.nn.attention import SDPBackend, sdpa_kernel

    model = tiny_model(dtype=torch.float64, **order)
    with sdpa_kernel(SDPBackend.MATH):
        loss, _ = model(tiny_batch(), twice=True)
        weight = model.encoder.layers[0].feed_forward.up.weight
        (gradient,) = torch.autograd.grad(loss, weight, create_graph=True)
        (second,) = torch.autograd.grad(gradient.square().sum(), weight)
    assert second.abs().sum() > 0
