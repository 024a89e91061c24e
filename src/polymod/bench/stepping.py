"""Training steps on made-up data, to be timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from polymod.batch import GlobalBatch
from polymod.data.loader import BatchPlan
from polymod.data.masking import Masking
from polymod.model.config import ModelConfig
from polymod.model.heads import MaskedLM, initialise
from polymod.train.config import TrainOptions, TreatmentOptions, UpdateName
from polymod.train.episodes import Episodes
from polymod.train.loop import TrainState
from polymod.train.optim import build_optimizer
from polymod.train.updates import Plan, build


@dataclass(frozen=True)
class Work:
    """What a step is made of."""

    config: ModelConfig
    options: TrainOptions
    update: UpdateName = "joint"
    treatment: TreatmentOptions = field(default_factory=TreatmentOptions)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float32


def stepping(work: Work) -> Callable[[GlobalBatch], None]:
    """A function that makes one step with a batch; the model and its optimiser are built now."""
    config, options = work.config, work.options
    model = MaskedLM(config)
    initialise(model, seed=0)
    model.to(work.device)

    def episodes(num_tokens: int) -> Episodes:
        plan = BatchPlan(min(options.block_tokens, num_tokens), num_tokens, num_tokens, 0.7, 0)
        return Episodes(
            Noise(config.vocab_size),
            config.languages,
            masking(config, options),
            plan,
            bos_id=config.bos_id,
            num_tokens=num_tokens,
        )

    state = TrainState(model, build_optimizer(model, options))
    plan = Plan(model, options, work.treatment, work.dtype, _not_asked_for, episodes)
    update = build(work.update, plan)

    def step(batch: GlobalBatch) -> None:
        update(state, batch)
        state.step += 1

    return step


def masking(config: ModelConfig, options: TrainOptions) -> Masking:
    """Masks of a model that has X-MOD's special tokens."""
    special = (config.bos_id, config.pad_id, config.eos_id, 3, config.mask_id)
    return Masking(config.mask_id, special, config.vocab_size, options.mask_probability)


def _not_asked_for(step: int) -> GlobalBatch:
    raise AssertionError(f"the batch of step {step} is asked for after a restart only")


@dataclass(frozen=True)
class Noise:
    """Random tokens: what they are does not matter to the time that they take."""

    vocab_size: int

    def num_tokens(self, tag: str, split: str) -> int:
        """As many of every language."""
        return 10**6

    def take(self, tag: str, split: str, starts_B: np.ndarray[Any, Any], length: int) -> np.ndarray[Any, Any]:
        """The same ones each time."""
        shape = (len(starts_B), length)
        return np.random.default_rng(0).integers(4, self.vocab_size - 1, shape, dtype=np.uint32)
