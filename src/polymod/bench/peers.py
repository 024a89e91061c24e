"""The same weights and the same batch here and in ``transformers``' X-MOD, each as one training step.

``transformers`` gets every fair aid: SDPA, fused AdamW, dropout off, no gradient for what is not trained.

S sequences, T tokens of the longest, N real tokens, M predicted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymod.batch import Batch
from polymod.data.loader import pack
from polymod.data.masking import Masking
from polymod.data.random import mix
from polymod.model.config import Architecture, ModelConfig
from polymod.model.heads import MaskedLM, initialise
from polymod.model.hf_names import from_hub, hub_config, hub_name, to_hub

ADAMW = {"lr": 1e-4, "fused": True}


# Four layers, width 256: small enough for a CPU, shaped like X-MOD base.
SMALL: dict[str, Any] = {
    "hidden_size": 256,
    "num_layers": 4,
    "num_heads": 4,
    "ffn_size": 1024,
    "bottleneck_size": 128,
    "max_length": 128,
}
NO_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0}


def bench_config(
    arm: str, *, num_languages: int, vocab_size: int, sizes: Mapping[str, Any] = SMALL
) -> ModelConfig:
    """A model of some sizes, without dropout."""
    tags = [f"qaa-x-{index:04d}" for index in range(num_languages)]
    architecture = Architecture(**{**sizes, **NO_DROPOUT})
    return ModelConfig(
        architecture=architecture, arm=arm, languages=tags, vocab_size=vocab_size, mask_id=vocab_size - 1
    )


def ragged_batch(
    config: ModelConfig,
    *,
    sequences: int = 32,
    active: int = 8,
    seed: int = 0,
    shortest: int = 40,
    longest: int = 128,
) -> Batch:
    """A masked batch; of 40 to 128 tokens a sequence a third of its padded twin is padding."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(shortest, longest + 1, sequences).tolist()
    tags = sorted(config.languages[index % active] for index in range(sequences))
    ids_N = generator.integers(4, config.vocab_size - 1, sum(lengths))
    masking = Masking(config.mask_id, (0, 1, 2, 3, config.mask_id), config.vocab_size)
    masked_1N, predicted_1N = masking(ids_N[None], mix(np.array([seed], dtype=np.uint64)))
    return pack(tags, lengths, masked_1N[0], ids_N, predicted_1N[0])


@dataclass
class Ours:
    """A training step of this engine."""

    model: MaskedLM
    batch: Batch
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW(self.model.parameters(), **ADAMW)  # type: ignore[arg-type]

    def backward(self) -> Tensor:
        """Loss, on its device; gradients are left in place."""
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.batch.ids_N.device, self.dtype):
            loss: Tensor = self.model(self.batch, scale=1 / len(self.batch.targets_M))[0]
        loss.backward()
        return loss.detach()

    def gradient(self) -> float:
        """Loss; gradients are left in place."""
        return float(self.backward())

    def step(self) -> None:
        """One optimiser step."""
        self.gradient()
        self.optimizer.step()


@dataclass
class Theirs:
    """The same step in ``transformers``: padded, with labels of -100 where nothing is predicted."""

    model: Any
    inputs: dict[str, Tensor]
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW(self.model.parameters(), **ADAMW)  # type: ignore[arg-type]

    def gradient(self) -> float:
        """Loss; gradients are left in place."""
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.inputs["input_ids"].device, self.dtype):
            loss = self.model(**self.inputs).loss
        loss.backward()
        return float(loss.detach())

    def step(self) -> None:
        """One optimiser step."""
        self.gradient()
        self.optimizer.step()


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Autocast to ``dtype``; fp32: none."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def twins(
    config: ModelConfig, batch: Batch, *, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[Ours, Theirs]:
    """Both sides with equal weights."""
    from transformers import XmodConfig, XmodForMaskedLM

    model = MaskedLM(config)
    initialise(model, seed=0)
    document = hub_config(config)
    del document["architectures"], document["model_type"]
    reference = XmodForMaskedLM._from_config(XmodConfig(**document), attn_implementation="sdpa")
    reference.load_state_dict(to_hub(model.state_dict(), config), strict=False)
    inputs = {name: tensor.to(device) for name, tensor in _padded(config, batch).items()}
    ours = Ours(model.to(device).train(), batch.to(torch.device(device)), dtype)
    return ours, Theirs(reference.to(device).train(), inputs, dtype)


def differences(ours: Ours, theirs: Theirs) -> tuple[float, float]:
    """Absolute difference of the loss, and the largest relative difference of a parameter's gradient.

    Compared under our names: the gradient of a key bias is zero but for rounding, so it is taken together
    with those of query and value.
    """
    loss_difference = abs(ours.gradient() - theirs.gradient())
    gradients = {name: p.grad for name, p in ours.model.named_parameters() if p.grad is not None}
    hub = {name: p.grad for name, p in theirs.model.named_parameters() if "token_type" not in name}
    wanted = from_hub(hub, gradients, ours.model.config, where="transformers")
    relative = [(gradients[name] - g).norm() / g.norm().clamp_min(1e-12) for name, g in wanted.items()]
    return loss_difference, float(torch.stack(relative).max())


def _padded(config: ModelConfig, batch: Batch) -> dict[str, Tensor]:
    ids = batch.ids_N.split(list(batch.lengths))
    labels_N = torch.full_like(batch.ids_N, -100)
    labels_N[batch.target_rows_M] = batch.targets_M
    pad: Callable[..., Tensor] = torch.nn.utils.rnn.pad_sequence
    ids_ST = pad(ids, batch_first=True, padding_value=config.pad_id)
    names = [hub_name(config, tag) for tag in config.packs]
    row_tags = [
        span.tag for span in batch.route.spans for _ in range(_sequences_in(batch, span.start, span.stop))
    ]
    return {
        "input_ids": ids_ST,
        "attention_mask": (ids_ST != config.pad_id).long(),
        "labels": pad(labels_N.split(list(batch.lengths)), batch_first=True, padding_value=-100),
        "lang_ids": torch.tensor([names.index(hub_name(config, tag or "")) for tag in row_tags]),
    }


def _sequences_in(batch: Batch, start: int, stop: int) -> int:
    return int(((batch.starts_S1[:-1] >= start) & (batch.starts_S1[:-1] < stop)).sum())
