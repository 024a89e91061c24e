"""Options of the diagnoses. No torch here, so that ``--help`` stays fast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from polymod.config import Config, split

FEWEST_BATCHES = 3  # of a language: two say nothing of an error
Unit = Literal["heads", "neurons", "layers", "norms"]


class GradientOptions(Config):
    """Gradients."""

    checkpoints: Literal["newest", "all"] = Field("newest", description="of each run; all that it has kept")
    split: Literal["valid", "train"] = Field("valid", description="where the batches come from")
    batches: int = Field(8, ge=FEWEST_BATCHES, description="independent batches of each language")
    batch_tokens: int = Field(2048, gt=0, description="tokens of each, over all its sequences")
    sketch: int = Field(
        -1, ge=-1, description="entries kept of each group's gradient; 0: all; -1: all if they fit into 1 GiB"
    )
    seed: int = Field(0, ge=0, description="of the sketches")
    relatedness: Path | None = Field(
        None, description="world.json, or a JSON file with relatedness.tags and .rows: is agreement along it?"
    )


class MaskOptions(Config):
    """Masks."""

    units: Annotated[tuple[Unit, ...], BeforeValidator(split)] = Field(
        ("heads", "neurons"), min_length=1, description="what gates act on: heads, neurons, layers, norms"
    )
    neurons_per_gate: int = Field(0, ge=0, description="feed-forward neurons that share a gate; 0: a 32nd")
    sparsity: Annotated[tuple[float, ...], BeforeValidator(split)] = Field(
        (0.25, 0.5, 0.75), min_length=1, description="shares of closed gates, rising"
    )
    steps: int = Field(200, gt=0, description="for each sparsity")
    batch_tokens: int = Field(2048, gt=0, description="training tokens of a step")
    learning_rate: float = Field(0.1, gt=0, description="Adam's, of the gates")
    repeats: int = Field(2, ge=1, description="masks of each language; two show how far chance goes")
    max_tokens: int = Field(2**13, gt=0, description="valid tokens of each language to score masks on")
    seed: int = Field(0, ge=0, description="decides batches and gates drawn")
    relatedness: Path | None = Field(None, description="as for gradients: is overlap along it?")

    @field_validator("sparsity")
    @classmethod
    def _rising(cls, sparsity: tuple[float, ...]) -> tuple[float, ...]:
        if not all(0 < share < 1 for share in sparsity) or list(sparsity) != sorted(set(sparsity)):
            raise ValueError("shares between 0 and 1, each larger than the one before")
        return sparsity


class GapOptions(Config):
    """Gaps."""

    condition: Literal["same-updates", "same-examples"] = Field(
        "same-updates",
        description="what a language has alone and among others: as many steps, or as many of its tokens",
    )
    reference: str = Field(
        "", description="setting of the monolingual runs; the first one that fits the condition if left out"
    )
    max_tokens: int = Field(2**17, gt=0, description="valid tokens of each language at most")


class ControlOptions(Config):
    """Controls."""

    source: str = Field("", description="language whose pack is the source; en, or else the first")
    max_tokens: int = Field(2**14, gt=0, description="valid tokens of each language")
    seed: int = Field(0, ge=0, description="decides which pack is whose in the shuffled control")


class MonitorOptions(Config):
    """What a run measures while it trains."""

    gradients: int = Field(
        0, ge=0, description="steps between two measurements of how languages' gradients agree; 0: never"
    )
