"""What one step or one scoring says: losses per language, kept on the device until somebody reads them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class LossSum:
    """Summed loss in nats and the number of predicted tokens."""

    total: Tensor | float = 0.0
    count: int = 0

    def add(self, total: Tensor | float, count: int) -> None:
        """Take in more tokens."""
        self.total, self.count = self.total + total, self.count + count

    @property
    def mean(self) -> float:
        """Mean loss in nats; waits for the device."""
        return float(self.total) / self.count if self.count else math.nan


@dataclass
class StepMetrics:
    """One optimiser step.

    Attributes:
        by_language: losses of the batch, by tag.
        tokens: real tokens of the batch.
        digest: hash of the batch.
        gradient_norm: before clipping.
        learning_rate: of this step.
        skipped: the loss or a gradient was not finite, so nothing was updated.
    """

    by_language: dict[str, LossSum] = field(default_factory=dict)
    tokens: int = 0
    digest: str = ""
    gradient_norm: float = 0.0
    learning_rate: float = 0.0
    skipped: bool = False

    @property
    def loss(self) -> float:
        """Mean loss over all predicted tokens in nats."""
        total = LossSum()
        for losses in self.by_language.values():
            total.add(losses.total, losses.count)
        return total.mean


def perplexity(loss: float) -> float:
    """``exp(loss)``, infinite where it does not fit a float."""
    return math.exp(loss) if loss < 700 else math.inf
