"""Gradient Vaccine (Wang, Tsvetkov, Firat and Cao 2021, https://arxiv.org/abs/2010.05874): gradients are
turned towards each other until they are as similar as they usually are.

K languages of a step, L languages of the run, G groups of parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from polymod.batch import GlobalBatch
from polymod.metrics import StepMetrics
from polymod.train.by_language import LanguageGradients, Trunk, combined, visiting_orders
from polymod.train.config import TrainOptions, TreatmentOptions
from polymod.train.loop import TrainState, Update

TARGETS = "gradvac.targets_GLL"
_LARGEST = 1 - 1e-6  # of a target: a gradient cannot be turned all the way


def gradvac(gram_GKK: Tensor, targets_GKK: Tensor, order_KR: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Coefficients of the gradients in the sum of the altered ones (Algorithm 1), (G, K), and new targets.

    Every ``g_i`` visits the others in its own order. Where the cosine ``phi`` of ``g_i`` and ``g_j`` is below
    its target ``t``, ``g_i`` becomes ``g_i + g_j |g_i| (t sqrt(1 - phi^2) - phi sqrt(1 - t^2)) / (|g_j|
    sqrt(1 - t^2))``, whose cosine with ``g_j`` is ``t``. Then ``t`` becomes ``(1 - beta) t + beta phi``.

    Args:
        targets_GKK: ``t`` of every ordered pair; 0 at the beginning, which is PCGrad.
        order_KR: row i: the R = K - 1 others, in the order in which i visits them.
    """
    count = gram_GKK.shape[1]
    w_GKK = torch.eye(count, dtype=gram_GKK.dtype).repeat(len(gram_GKK), 1, 1)
    square_GK = gram_GKK.diagonal(dim1=1, dim2=2).clone()  # |g_i|^2 of the gradients as they are by now
    new_GKK, i_K = targets_GKK.clone(), torch.arange(count)
    for j_K in order_KR.T:
        dot_GK = (w_GKK * gram_GKK[:, j_K]).sum(-1)
        other_GK, t_GK = gram_GKK[:, j_K, j_K], targets_GKK[:, i_K, j_K]
        there_GK = (square_GK > 0) & (other_GK > 0)
        phi_GK = torch.where(there_GK, dot_GK / (square_GK * other_GK).sqrt(), t_GK).clamp(-1, 1)
        t_GK = t_GK.clamp(-_LARGEST, _LARGEST)
        side_GK, side_t_GK = (1 - phi_GK**2).sqrt(), (1 - t_GK**2).sqrt()
        step_GK = (square_GK / other_GK).sqrt() * (t_GK * side_GK - phi_GK * side_t_GK) / side_t_GK
        step_GK = torch.where(there_GK & (phi_GK < t_GK), step_GK, 0.0)
        w_GKK[:, i_K, j_K] += step_GK
        square_GK = square_GK + 2 * step_GK * dot_GK + step_GK**2 * other_GK
        new_GKK[:, i_K, j_K] = (1 - beta) * t_GK + beta * phi_GK
    return w_GKK.sum(1), new_GKK


def vaccine(
    model: nn.Module, options: TrainOptions, treatment: TreatmentOptions, dtype: torch.dtype
) -> Update[GlobalBatch]:
    """The update: GradVac on every group of trunk parameters for itself, which the paper found best.

    The targets are in the state, one for each group and ordered pair of languages.
    """
    trunk = Trunk(model, whole=False)

    def update(state: TrainState, batch: GlobalBatch) -> StepMetrics:
        languages = state.model.config.languages
        if TARGETS not in state.extra:
            size = (len(trunk.groups), len(languages), len(languages))
            state.extra[TARGETS] = torch.zeros(size, dtype=torch.float64)
        targets_GLL = state.extra[TARGETS].clone()

        def weigh(gram_GKK: Tensor, tags: tuple[str, ...]) -> Tensor:
            here_K = torch.tensor([languages.index(tag) for tag in tags])
            pairs = (slice(None), here_K[:, None], here_K)
            order_KR = visiting_orders(len(tags), options.seed, "gradvac", state.step)
            weights_GK, targets_GLL[pairs] = gradvac(gram_GKK, targets_GLL[pairs], order_KR, treatment.beta)
            return weights_GK

        gradients = LanguageGradients(state, batch, trunk, options.seed, dtype, treatment.hold)
        metrics = combined(state, gradients, weigh, options)
        if not metrics.skipped:
            state.extra[TARGETS] = targets_GLL
        return metrics

    return update
