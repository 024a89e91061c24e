"""Counting of memory: what is in it, and that it follows the batch and not the languages installed."""

import pytest

from _models import SUBLAYERS, tiny_model
from polymod.model.config import PRESETS, Architecture, ModelConfig
from polymod.model.flops import parameters
from polymod.train.config import ResidencyOptions, TrainOptions, preset_values
from polymod.train.memory import activations_per_token, checkpoint_bytes, memory, shortage

OPTIONS = TrainOptions(**preset_values("base")["train"])


def base(num_languages: int) -> ModelConfig:
    tags = tuple(f"qaa-x-{i:05d}" for i in range(num_languages))
    sizes = Architecture(**PRESETS["base"]["model"])
    return ModelConfig(architecture=sizes, languages=tags, vocab_size=250_002, mask_id=250_001)


def test_the_total_is_the_sum_of_its_parts():
    parts = memory(base(75), OPTIONS)
    total = parts.pop("total")
    assert total == sum(parts.values())


def test_a_language_costs_weights_and_moments_and_nothing_else():
    few, many = memory(base(5000), OPTIONS), memory(base(5001), OPTIONS)
    pack = parameters(base(1))["pack"]
    assert many["weights"] - few["weights"] == 4 * pack
    assert many["optimizer"] - few["optimizer"] == 8 * pack
    assert many["activations"] == few["activations"]
    assert many["gradients"] == few["gradients"]  # more languages than blocks of a batch


def test_a_checkpoint_is_weights_and_two_moments():
    model = tiny_model()
    assert checkpoint_bytes(model.config) == 12 * sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    "order", [{}, SUBLAYERS, {"pre_norm": True, "positions": "rotary", "gated": True, "module_norm": "own"}]
)
@pytest.mark.parametrize("arm", ["modular", "dense"])
def test_activations_are_what_autograd_keeps(arm, order):
    """Counted with hooks on a real forward pass, attention's own buffers and dropout aside."""
    import torch

    from _models import tiny_batch

    model = tiny_model(arm, **order)
    batch = tiny_batch(("en",), (24,))
    kept: dict[int, int] = {}
    parameters_ = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters_ and tensor.is_floating_point():
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    states = []
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        states.append(model.encoder(batch))
    measured = sum(kept.values()) / 4 / 24
    assert activations_per_token(model.config) == pytest.approx(measured, rel=0.25)


def test_a_machine_that_is_too_small_is_told(monkeypatch):
    needed = memory(base(75), OPTIONS)["total"]
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": needed // 4096}.__getitem__)
    assert "--train.micro-tokens" in shortage(base(75), OPTIONS)
    monkeypatch.setattr("os.sysconf", {"SC_PAGE_SIZE": 8192, "SC_PHYS_PAGES": needed // 4096}.__getitem__)
    assert shortage(base(75), OPTIONS) == ""


def test_of_packs_that_are_shared_out_a_process_has_its_share_and_those_of_the_step():
    pack, in_step = parameters(base(1))["pack"], 100
    options = OPTIONS.model_copy(update={"batch_tokens": in_step * OPTIONS.block_tokens})
    whole, shared = (memory(base(5000), options, pack_shares=shares) for shares in (1, 4))
    assert whole["weights"] - shared["weights"] == 4 * pack * (5000 - 1250 - in_step)
    assert whole["optimizer"] - shared["optimizer"] == 8 * pack * (5000 - 1250)
    mapped = ResidencyOptions(mapped=True, languages=10)
    least = memory(base(5000), options, residency=mapped, pack_shares=4)
    assert shared["optimizer"] - least["optimizer"] == 8 * pack * (1250 - in_step - 10)
    assert memory(base(5000), options, residency=mapped)["optimizer"] == least["optimizer"]
