"""Options of training and the presets that set them together with the model's sizes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from polymod.config import Config, Tree
from polymod.model.config import PRESETS as MODEL_PRESETS
from polymod.model.config import Architecture

Preset = Literal["tiny", "small", "base", "large", "modern-tiny", "modern-small", "modern-base"]


class ModelOptions(Architecture):
    """Sizes, by preset or one by one."""

    preset: Preset = Field("modern-tiny", description="sizes and training defaults to start from")
    language_embedding: bool = Field(False, description="add a vector per language at the input, in any arm")


class TrainOptions(Config):
    """Optimisation."""

    steps: int = Field(125_000, gt=0, description="optimiser steps")
    batch_tokens: int = Field(2**20, gt=0, description="tokens of a step, over all micro-batches")
    micro_tokens: int = Field(
        2**15, gt=0, description="tokens of a micro-batch: what memory must hold at once"
    )
    block_tokens: int = Field(512, gt=1, description="tokens of a training sequence")
    seed: int = Field(0, ge=0, description="decides weights, data order, masks and dropout")
    learning_rate: float = Field(7e-4, gt=0, description="at the end of warm-up")
    warmup: float = Field(0.06, ge=0, le=1, description="share of the steps in which the rate rises from 0")
    beta1: float = Field(0.9, ge=0, lt=1, description="AdamW's decay of the mean gradient")
    beta2: float = Field(0.98, ge=0, lt=1, description="AdamW's decay of the mean squared gradient")
    epsilon: float = Field(1e-6, gt=0, description="AdamW's epsilon")
    weight_decay: float = Field(
        0.01, ge=0, description="of matrices; biases, norms, language embeddings have none"
    )
    clip: float = Field(1.0, gt=0, description="largest gradient norm")
    mask_probability: float = Field(0.15, gt=0, lt=1, description="share of the tokens that is predicted")
    unigram_bias: bool = Field(True, description="start the output bias at the tokens' log frequencies")
    save_every: int = Field(1000, gt=0, description="steps between checkpoints")
    keep: int = Field(2, gt=0, description="newest checkpoints to keep")
    log_every: int = Field(20, gt=0, description="steps between lines of metrics.jsonl")
    score_every: int = Field(1000, gt=0, description="steps between scorings of the valid split")
    score_tokens: int = Field(8192, gt=0, description="tokens of each language in such a scoring")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where to compute")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 on CUDA, fp32 elsewhere"
    )
    tensorboard: bool = Field(False, description="also write TensorBoard events (needs the extra 'tb')")


class MixtureOptions(Config):
    """How languages share the batches."""

    alpha: float = Field(
        0.7, ge=0, le=1, description="share ~ tokens ** alpha; 1 as in the data, 0 all equal"
    )


_TINY = {
    "batch_tokens": 2048,
    "micro_tokens": 2048,
    "block_tokens": 128,
    "steps": 3000,
    "learning_rate": 2e-3,
}
_SMALL = {
    "batch_tokens": 2**16,
    "micro_tokens": 2**14,
    "block_tokens": 256,
    "steps": 50_000,
    "learning_rate": 1e-3,
}
_TRAIN: dict[str, Tree] = {
    "tiny": _TINY,
    "small": _SMALL,
    "base": {},
    "large": {"learning_rate": 4e-4, "steps": 500_000},
    "modern-tiny": _TINY,
    "modern-small": _SMALL,
    "modern-base": {},
}


def preset_values(name: str) -> Tree:
    """The tree of options that a preset sets; nothing if there is none of that name."""
    return {**MODEL_PRESETS[name], "train": _TRAIN[name]} if name in _TRAIN else {}
