"""AdamW and its schedule. The learning rate is a pure function of the step."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import nn

from polymod.model.partition import decays
from polymod.train.config import TrainOptions
from polymod.train.sharding import is_spread


def build_optimizer(model: nn.Module, options: TrainOptions) -> torch.optim.AdamW:
    """Fused AdamW over the trainable parameters in groups: with and without weight decay, whole and spread.

    Moments of a parameter come to be at its first gradient and move only with its gradients, so that a
    language that is not in the batch costs nothing and does not change.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    kinds = itertools.product((True, False), (False, True))
    groups: list[dict[str, Any]] = [
        {
            "params": [p for name, p in named if (decays(name), is_spread(p)) == (decay, spread)],
            "weight_decay": options.weight_decay if decay else 0.0,
        }
        for decay, spread in kinds
    ]
    assert sum(len(group["params"]) for group in groups) == len(named)
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=options.learning_rate,
        betas=(options.beta1, options.beta2),
        eps=options.epsilon,
        fused=True,
    )


def learning_rate(step: int, options: TrainOptions) -> float:
    """Rate of the step that comes after ``step`` others: linear up to the peak, then linear down to 0."""
    warmup = max(1, round(options.warmup * options.steps))
    if step < warmup:
        return options.learning_rate * (step + 1) / warmup
    return options.learning_rate * (options.steps - step) / max(1, options.steps - warmup)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group the same rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate
