"""Ownership: disjoint, complete, by whole tag."""

import pytest

from _models import MODERN, tiny_model
from polymod.model.partition import TRUNK, decays, freeze, owner, partition


@pytest.mark.parametrize("arm", ["modular", "shared", "dense"])
def test_the_parts_are_disjoint_and_complete(arm):
    names = [name for name, _ in tiny_model(arm, language_embedding=True).named_parameters()]
    parts = partition(names)
    assert sorted(name for part in parts.values() for name in part) == sorted(names)
    assert set(parts) == {TRUNK, "en", "to", "sr-Latn"}


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("encoder.packs.by_key.lang_te.down_LBD", "te"),
        ("encoder.packs.by_key.lang_sr-Latn.up_bias_LD", "sr-Latn"),
        ("encoder.language_embeddings.by_key.lang_en", "en"),
        ("encoder.packs.by_key.lang_mul.down_LBD", TRUNK),  # the shared arm's one pack
        ("adapter.lang_te.weight", TRUNK),  # not a pack: a substring must not do
        ("encoder.layers.0.attention.qkv.weight", TRUNK),
    ],
)
def test_owner(name, tag):
    assert owner(name) == tag


def test_weight_decay_is_for_matrices_only():
    names = [name for name, _ in tiny_model(language_embedding=True, **MODERN).named_parameters()]
    without = {name for name in names if not decays(name)}
    assert all("norm" in name or "bias" in name or "language_embeddings" in name for name in without)
    assert "encoder.packs.by_key.lang_en.down_bias_LB" in without
    assert "encoder.packs.by_key.lang_en.down_LBD" not in without
    assert "encoder.embeddings.tokens.weight" not in without


def test_freeze():
    model = tiny_model()
    freeze(model, ["head.bias"])
    assert [name for name, p in model.named_parameters() if p.requires_grad] == ["head.bias"]
