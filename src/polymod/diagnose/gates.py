"""Hard-concrete gates: random numbers in [0, 1], often exactly 0 or 1, through which gradients pass.

Louizos, Welling and Kingma 2018 (arXiv 1712.01312, section 2.2): with u uniform in (0, 1),

    s = sigmoid((log u - log(1 - u) + log a) / beta),    z = min(1, max(0, s (zeta - gamma) + gamma)),
    P(z > 0) = sigmoid(log a - beta log(-gamma / zeta)).

G gates.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1
_SMALLEST = 1e-6  # of u and 1 - u


def sample(log_a_G: Tensor, uniform_G: Tensor) -> Tensor:
    """Gates drawn with the uniform numbers given; differentiable in ``log a``."""
    u_G = uniform_G.clamp(_SMALLEST, 1 - _SMALLEST)
    s_G = torch.sigmoid((u_G.log() - (1 - u_G).log() + log_a_G) / BETA)
    return (s_G * (ZETA - GAMMA) + GAMMA).clamp(0, 1)


def open_probability(log_a_G: Tensor) -> Tensor:
    """Probability that a gate is not 0; their sum is the expected L0 norm."""
    return torch.sigmoid(log_a_G - BETA * math.log(-GAMMA / ZETA))


def confidence(log_a_G: Tensor) -> Tensor:
    """From -1, surely closed, to 1, surely open."""
    return 2 * open_probability(log_a_G) - 1


def keep_most(log_a_G: Tensor, share: float) -> Tensor:
    """Binary gates: 1 for the ``share`` (rounded) that is most surely open, earlier ones among equals."""
    kept = torch.zeros_like(log_a_G)
    kept[log_a_G.argsort(descending=True, stable=True)[: round(share * len(log_a_G))]] = 1
    return kept
