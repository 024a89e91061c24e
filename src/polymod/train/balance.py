"""Balanced losses: FAMO (Liu, Feng, Stone and Liu 2023, https://arxiv.org/abs/2306.03792), so that the losses
of all languages fall at the same relative rate.

It needs no inner products: one gradient at a time, and one more forward pass.

K languages of a step, L languages of the run.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from polymod.batch import GlobalBatch
from polymod.metrics import StepMetrics
from polymod.train.by_language import LanguageGradients, Trunk
from polymod.train.config import TrainOptions, TreatmentOptions
from polymod.train.joint import apply
from polymod.train.loop import TrainState, Update

LOGITS = "balance.logits_L"
_SMALLEST = 1e-8  # a loss below it would have an unbounded weight


def new_logits(logits_K: Tensor, before_K: Tensor, after_K: Tensor, rate: float, decay: float) -> Tensor:
    """Logits after a step (Algorithm 1): a language whose loss fell less than the others' gains weight.

    ``logits - rate (delta + decay logits)``, where ``delta`` is the gradient with respect to the logits of
    ``z . (log before - log after)``.
    """
    z_K = logits_K.softmax(0)
    fall_K = before_K.clamp(min=_SMALLEST).log() - after_K.clamp(min=_SMALLEST).log()
    delta_K = z_K * (fall_K - (z_K * fall_K).sum())
    return logits_K - rate * (delta_K + decay * logits_K)


def balance(
    model: nn.Module, options: TrainOptions, treatment: TreatmentOptions, dtype: torch.dtype
) -> Update[GlobalBatch]:
    """The update: FAMO on the trunk; packs step with their ordinary gradients.

    Mean losses of languages are weighed with ``z / loss``, scaled so that the weights add up to 1, where ``z
    = softmax(logits)`` (equation 7).
    """
    trunk = Trunk(model, whole=True)

    def update(state: TrainState, batch: GlobalBatch) -> StepMetrics:
        languages = state.model.config.languages
        logits_L = state.extra.get(LOGITS, torch.zeros(len(languages), dtype=torch.float64)).clone()
        gradients = LanguageGradients(state, batch, trunk, options.seed, dtype)
        losses = gradients.metrics.by_language
        here_K = torch.tensor([languages.index(tag) for tag in gradients.tags])
        z_K, weights = logits_L[here_K].softmax(0).tolist(), []

        def coefficients_G(index: int) -> Tensor:
            mine = losses[gradients.tags[index]]
            weights.append(z_K[index] / max(mine.mean, _SMALLEST) if mine.count else 0.0)
            share = mine.count / batch.num_targets  # the gradient at hand is that of share * mean loss
            return torch.tensor([weights[-1] / share if share else 0.0])

        total_P = trunk.zeros()
        gradients.accumulate(coefficients_G, total_P)
        state.reducer.sum_packs(batch)
        total_P /= sum(weights)
        before_K = torch.tensor([losses[tag].mean for tag in gradients.tags], dtype=torch.float64)
        metrics = apply(state, options, gradients.metrics)
        if not metrics.skipped:
            there_K = before_K.isfinite()  # a language without targets has no loss
            rates = (treatment.balance_rate, treatment.balance_decay)
            losses_2K = before_K[there_K], gradients.mean_losses()[there_K]
            logits_L[here_K[there_K]] = new_logits(logits_L[here_K[there_K]], *losses_2K, *rates)
            state.extra[LOGITS] = logits_L
        return metrics

    return update
