"""The ordinary update: the gradient of the mean loss over all predicted tokens of all languages."""

from __future__ import annotations

import math

import torch

from polymod.batch import Batch, GlobalBatch
from polymod.metrics import LossSum, StepMetrics
from polymod.model.heads import MaskedLM
from polymod.model.tasks import TaskModel
from polymod.train.config import TrainOptions
from polymod.train.loop import TrainState, Update
from polymod.train.optim import learning_rate, set_learning_rate
from polymod.train.sharding import clip_, is_spread


def joint(options: TrainOptions, device: torch.device, dtype: torch.dtype) -> Update[GlobalBatch]:
    """The joint update.

    Micro-batches are scaled by the number of predicted tokens of the whole batch, so that their gradients add
    up to that of one large batch. Nothing is updated if the loss or the gradient is not finite.
    """

    def update(state: TrainState, batch: GlobalBatch) -> StepMetrics:
        metrics = begun(batch)
        state.optimizer.zero_grad(set_to_none=True)
        with state.reducer.summing(batch, metrics):
            backward_all(state.model, batch, dtype, metrics)
        return apply(state, options, metrics)

    return update


def begun(batch: GlobalBatch) -> StepMetrics:
    """Metrics of a step that begins."""
    return StepMetrics(tokens=batch.num_tokens, digest=batch.digest)


def backward_all(
    model: MaskedLM | TaskModel, batch: GlobalBatch, dtype: torch.dtype, metrics: StepMetrics
) -> None:
    """Add the gradients of all micro-batches that this process computes."""
    device, scale = next(model.parameters()).device, 1.0 / max(1, batch.num_targets)
    for micro in batch.micro:
        backward(model, micro.to(device), scale, dtype, metrics)


def backward(
    model: MaskedLM | TaskModel, batch: Batch, scale: float, dtype: torch.dtype, metrics: StepMetrics
) -> None:
    """Add the gradient of a micro-batch and note its losses by language."""
    with torch.autocast(batch.ids_N.device.type, dtype, enabled=dtype != torch.float32):
        loss, losses_M = model(batch, scale=scale)
    loss.backward()
    note_losses(metrics.by_language, batch, losses_M)


def note_losses(by_language: dict[str, LossSum], batch: Batch, losses_M: torch.Tensor) -> None:
    """Sum the losses of each span of the route under its tag."""
    for tag, losses in zip(batch.route.tags, losses_M.split(list(batch.target_counts)), strict=True):
        by_language.setdefault(tag or "none", LossSum()).add(losses.sum(), len(losses))


def apply(state: TrainState, options: TrainOptions, metrics: StepMetrics) -> StepMetrics:
    """Clip, check, step."""
    with_gradient = [parameter for parameter in state.parameters if parameter.grad is not None]
    if state.keepers is not None or any(is_spread(parameter) for parameter in with_gradient):
        kept = state.keepers.kept if state.keepers is not None else ()
        norm = clip_(with_gradient, options.clip, state.ranks, kept)
    else:
        norm = torch.nn.utils.clip_grad_norm_(with_gradient, options.clip)
    losses = sum(torch.as_tensor(losses.total) for losses in metrics.by_language.values())
    metrics.gradient_norm = float(norm + 0.0 * losses)  # one wait for the device; NaN if either is not finite
    metrics.learning_rate = learning_rate(state.step, options)
    metrics.skipped = not math.isfinite(metrics.gradient_norm)
    if not metrics.skipped:
        set_learning_rate(state.optimizer, metrics.learning_rate)
        state.optimizer.step()
    return metrics
