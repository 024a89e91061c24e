"""Options of training and the presets that set them together with the model's sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from polymod.config import Config, Tree
from polymod.errors import UserError
from polymod.model.config import PRESETS as MODEL_PRESETS
from polymod.model.config import Architecture

Nproc = Annotated[
    int, Field(ge=1, description="processes on this machine that train together, each on its part of a batch")
]
HangAfter = Annotated[
    float,
    Field(gt=0, description="seconds after which several processes end because one of them does not go on"),
]
Shard = Annotated[
    bool, Field(description="each of several processes keeps only its share of the trunk, by FSDP2")
]
ShardPacks = Annotated[
    bool,
    Field(
        description="each of several processes keeps the packs of its share of the languages only; "
        "not with balance and meta"
    ),
]
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


# Ways to make a step; torchjd's aggregators need the extra 'mtl'.
UpdateName = Literal[
    "joint",
    "pcgrad",
    "gradvac",
    "balance",
    "meta",
    "meta-fast",
    "jd:AlignedMTL",
    "jd:CAGrad",
    "jd:DualProj",
    "jd:IMTLG",
    "jd:MGDA",
    "jd:Mean",
    "jd:PCGrad",
    "jd:Random",
    "jd:Sum",
    "jd:UPGrad",
]


class TreatmentOptions(Config):
    """Options of the updates other than joint."""

    hold: int = Field(
        0,
        ge=0,
        description="pcgrad, gradvac, jd: trunk gradients kept at once; 0: one per language. "
        "With fewer, some are computed again",
    )
    beta: float = Field(0.01, gt=0, lt=1, description="gradvac: how fast the targets follow")
    balance_rate: float = Field(0.025, gt=0, description="balance: step size of the weights' logits")
    balance_decay: float = Field(0.001, ge=0, description="balance: pull of the logits towards 0")
    inner_rate: float = Field(
        0.0, ge=0, description="meta: size of the virtual step of the trunk; 0: the step's learning rate"
    )
    order: int = Field(2, ge=1, le=2, description="meta: 1 leaves out the path through the trunk")
    only_other_languages: bool = Field(False, description="meta: leave a language out of its own meta loss")
    head: bool = Field(False, description="meta: the masked-LM head is meta-learned too")
    trunk_only: bool = Field(True, description="meta: modules move by their meta gradient alone")
    draws: int = Field(1, gt=0, description="meta: languages drawn in a step whose modules then move")
    episode_tokens: int = Field(
        0,
        ge=0,
        description="meta: tokens of the virtual step and of each language's meta batch; "
        "0: a language's even share of a batch",
    )
    radius: float = Field(
        0.0, ge=0, description="meta-fast: relative size of the finite difference; 0: fits the precision"
    )


class MixtureOptions(Config):
    """How languages share the batches."""

    alpha: float = Field(
        0.7, ge=0, le=1, description="share ~ tokens ** alpha; 1 as in the data, 0 all equal"
    )
    max_tokens: int = Field(
        0, ge=0, description="training tokens of each language at most, the first ones; 0: all"
    )


class ResidencyOptions(Config):
    """Where languages are that the coming steps do not need."""

    mapped: bool = Field(
        False,
        description="keep packs and moments of idle languages out of memory: in a mapped file, or in host "
        "memory where training runs on CUDA; changes no result",
    )
    languages: int = Field(
        32, ge=0, description="languages that stay in memory, last used first, besides those of a step"
    )
    folder: Path | None = Field(
        None, description="where that file is, on a local disk; the run's folder if left out"
    )

    @model_validator(mode="after")
    def _mapped_if_any(self) -> Self:
        """What is said of idle languages has no effect as long as all are in memory."""
        fields = type(self).model_fields
        given = [name for name in ("languages", "folder") if getattr(self, name) != fields[name].default]
        if given and not self.mapped:
            named = " and ".join(f"--residency.{name}" for name in given)
            fix = f"give --residency.mapped true, or leave out {named}"
            raise UserError(f"all languages are in memory, so {named} would change nothing", fix=fix)
        return self


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
