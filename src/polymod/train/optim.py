"""AdamW and its schedule. The learning rate is a pure function of the step."""

from __future__ import annotations

import torch
from torch import nn

from polymod.model.partition import decays
from polymod.train.config import TrainOptions


def build_optimizer(model: nn.Module, options: TrainOptions) -> torch.optim.AdamW:
    """Fused AdamW over the trainable parameters in two groups: with and without weight decay.

    Moments of a parameter come to be at its first gradient and move only with its gradients, so that a
    language that is not in the batch costs nothing and does not change.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    with_decay = [parameter for name, parameter in named if decays(name)]
    without = [parameter for name, parameter in named if not decays(name)]
    assert len(with_decay) + len(without) == len(named)
    groups = [
        {"params": with_decay, "weight_decay": options.weight_decay},
        {"params": without, "weight_decay": 0.0},
    ]
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
