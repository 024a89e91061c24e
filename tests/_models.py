"""Tiny models and batches with known sizes, for tests of model, data and training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from polymod.batch import Batch
from polymod.model.config import Architecture, ModelConfig
from polymod.model.heads import MaskedLM, initialise

LANGUAGES = ("en", "to", "sr-Latn")  # "to" is a key that nn.ModuleDict refuses without a prefix
VOCAB = 60
XMOD: dict[str, Any] = {}
LARGE = {"pre_norm": True, "module_norm": "own", "norm_before_residual": False}
MODERN = {**LARGE, "positions": "rotary", "gated": True}
SUBLAYERS = {"module_place": "sublayers", "module_norm": "none"}


def tiny_config(arm: str = "modular", languages: Sequence[str] = LANGUAGES, **changes: Any) -> ModelConfig:
    """Two layers, width 32, no dropout."""
    embedding = changes.pop("language_embedding", False)
    sizes = {"hidden_size": 32, "num_layers": 2, "num_heads": 2, "ffn_size": 48, "bottleneck_size": 8}
    rest = {"max_length": 24, "dropout": 0.0, "attention_dropout": 0.0}
    architecture = Architecture(**{**sizes, **rest, **changes})
    return ModelConfig(
        architecture=architecture,
        arm=arm,
        languages=tuple(languages),
        vocab_size=VOCAB,
        mask_id=VOCAB - 1,
        language_embedding=embedding,
    )


def tiny_model(
    arm: str = "modular", seed: int = 0, dtype: torch.dtype = torch.float32, **changes: Any
) -> MaskedLM:
    """A tiny model whose biases and norms are random too, so that none of them can be forgotten unnoticed."""
    model = MaskedLM(tiny_config(arm, **changes))
    initialise(model, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model.to(dtype)


def tiny_batch(
    tags: Sequence[str | None] = ("en", "en", "to"), lengths: Sequence[int] = (7, 7, 5), seed: int = 0
) -> Batch:
    """Random sequences with about a third of the positions predicted, at least one per sequence."""
    generator = np.random.default_rng(seed)
    sequences = [torch.from_numpy(generator.integers(4, VOCAB - 1, length)) for length in lengths]
    batch = Batch.pack(sequences, tags)
    starts = batch.starts_S1.tolist()
    rows = sorted({start + 1 for start in starts[:-1]} | set(range(2, batch.num_tokens, 3)))
    targets = torch.from_numpy(generator.integers(4, VOCAB - 1, len(rows)))
    counts = tuple(sum(span.start <= row < span.stop for row in rows) for span in batch.route.spans)
    return replace(batch, target_rows_M=torch.tensor(rows), targets_M=targets, target_counts=counts)


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor | None]:
    """Copies of all gradients by name."""
    return {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}
