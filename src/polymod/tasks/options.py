"""Options of fine-tuning. No torch here, so that ``--help`` stays fast."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from polymod.config import Config, Names
from polymod.train.config import TrainOptions

RATE = 16.0  # over width squared: 1e-3 at 128, the best that was tried there; 3e-5 at 768, as X-MOD has it
LONGEST = 256  # tokens of a sequence unless more are asked for
# Parts of the encoder that stay as they are unless they are named (X-MOD, section 4.3; LN_ffn always trains).
FROZEN = ("embeddings", "language_embeddings", "packs", "module_norms")


class FinetuneOptions(Config):
    """Optimisation, and what of the encoder takes part in it."""

    epochs: int = Field(3, gt=0, description="times that every example is seen")
    batch_size: int = Field(32, gt=0, description="sequences of a step, over all micro-batches")
    micro_tokens: int = Field(
        2**13, gt=0, description="tokens of a micro-batch: what memory must hold at once"
    )
    max_length: int = Field(
        0, ge=0, description=f"longest sequence in tokens; 0: the model's, at most {LONGEST}"
    )
    seed: int = Field(0, ge=0, description="decides the head's weights, the order and dropout")
    learning_rate: float | None = Field(
        None,
        gt=0,
        description=f"at the end of warm-up; {RATE:g} / width ** 2 of the model if left out",
    )
    warmup: float = Field(0.06, ge=0, le=1, description="share of the steps in which the rate rises from 0")
    weight_decay: float = Field(0.01, ge=0, description="of matrices; biases and norms have none")
    clip: float = Field(1.0, gt=0, description="largest gradient norm")
    dropout: float | None = Field(None, ge=0, lt=1, description="of all parts; the model's own if left out")
    unfreeze: Names = Field((), description=f"parts to train besides: {', '.join(FROZEN)}")
    freeze_layers: int = Field(
        0, ge=0, description="lowest layers that stay as they are, so that languages meet there as before"
    )
    select: Literal["best", "last"] = Field(
        "best", description="the model that is best on dev, or the last one"
    )
    evaluations: int = Field(1, gt=0, description="evaluations on dev in each epoch")
    patience: int = Field(0, ge=0, description="evaluations without a better one to stop after; 0: never")
    save_every: int = Field(500, gt=0, description="steps between checkpoints; evaluations save too")
    log_every: int = Field(20, gt=0, description="steps between lines of metrics.jsonl")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where to compute")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="auto: bf16 on CUDA, fp32 elsewhere"
    )

    @field_validator("unfreeze")
    @classmethod
    def _known_parts(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        names = tuple(name.replace("-", "_") for name in names)
        if unknown := [name for name in names if name not in FROZEN]:
            raise ValueError(f"{unknown[0]!r} is no part that is frozen; those are {', '.join(FROZEN)}")
        return names

    @model_validator(mode="after")
    def _patience_needs_evaluations(self) -> Self:
        if self.patience and self.select == "last":
            raise ValueError("patience needs evaluations on dev, which select 'last' does without")
        return self

    def train(self, steps: int, width: int) -> TrainOptions:
        """The same for the update, the optimiser and the log, which pre-training and fine-tuning share."""
        same = ("seed", "warmup", "weight_decay", "clip", "log_every", "device", "precision")
        rate = self.learning_rate or RATE / width**2
        return TrainOptions(steps=steps, learning_rate=rate, **{name: getattr(self, name) for name in same})
