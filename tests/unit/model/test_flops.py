"""Counts without a model equal counts of a model, and the figures of X-MOD."""

import json

import pytest

from _models import LARGE, MODERN, SUBLAYERS, XMOD, tiny_model
from polymod.model.config import PRESETS, Architecture, ModelConfig
from polymod.model.flops import flops_per_token, parameters
from polymod.train.log import training_speed


@pytest.mark.parametrize("arm", ["modular", "shared", "dense"])
@pytest.mark.parametrize(
    "order", [XMOD, LARGE, MODERN, SUBLAYERS, {"module_norm": "none"}, {"language_embedding": True}]
)
def test_parameters(arm, order):
    model = tiny_model(arm, **order)
    counts = parameters(model.config)
    assert counts["total"] == sum(p.numel() for p in model.parameters())
    assert counts["total"] == sum(counts[part] for part in ("embeddings", "body", "head", "packs"))


def base(num_languages: int = 81) -> ModelConfig:
    languages = [f"q{a}{b}" for a in "abcdefghij" for b in "abcdefghij"][:num_languages]
    sizes = Architecture(**PRESETS["base"]["model"])
    return ModelConfig(architecture=sizes, languages=tuple(languages), vocab_size=250_002, mask_id=250_001)


def test_xmod_base_has_the_published_size():
    counts = parameters(base())
    assert counts["pack"] == 7_091_712
    assert counts["packs"] == 81 * 7_091_712
    assert counts["total"] == pytest.approx(852.7e6, rel=1e-3)


def test_flops_of_xmod_base():
    flops = flops_per_token(base(), length=512, predicted=0.15)
    assert flops["encoder"] == pytest.approx(552e6, rel=2e-3)
    assert flops["attention"] == pytest.approx(57e6, rel=1e-2)
    assert flops["head"] == pytest.approx(173e6, rel=5e-3)
    assert flops["total"] == pytest.approx(782e6, rel=2e-3)
    assert flops_per_token(base(1), 512, 0.15) == flops  # whatever is installed


def test_the_share_of_the_peak_is_flops_over_time_and_peak(tmp_path):
    lines = [
        {"kind": "train", "step": 10, "tokens": 3_000, "tokens_per_second": 1_000.0},
        {"kind": "valid", "step": 10},
        {"kind": "train", "step": 20, "tokens": 3_000, "tokens_per_second": 3_000.0},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    speed = training_speed(tmp_path, 1e9, "NVIDIA H200")
    assert speed["tokens_per_second"] == 1_500.0
    assert speed["flops_per_second"] == 1.5e12
    assert speed["mfu"] == 1.5e12 / 989e12
    assert training_speed(tmp_path, 1e9, "")["mfu"] is None
