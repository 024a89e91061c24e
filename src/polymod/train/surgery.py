"""PCGrad, gradient surgery (Yu et al. 2020, https://arxiv.org/abs/2001.06782): a language's gradient loses
what points against another's.

K languages, G groups of parameters (PCGrad has one: the whole trunk).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from polymod.batch import GlobalBatch
from polymod.metrics import StepMetrics
from polymod.train.by_language import LanguageGradients, Trunk, combined, visiting_orders
from polymod.train.config import TrainOptions, TreatmentOptions
from polymod.train.loop import TrainState, Update


def pcgrad(gram_GKK: Tensor, order_KR: Tensor) -> Tensor:
    """Coefficients of the gradients in the sum of their projections (Algorithm 1), (G, K).

    Every ``g_i`` visits the others in its own order; where ``g_i . g_j < 0`` it becomes
    ``g_i - (g_i . g_j) / |g_j|^2 g_j``. With ``g_i = sum_k w_ik g_k`` only the Gram matrix is needed.

    Args:
        order_KR: row i: the R = K - 1 others, in the order in which i visits them.
    """
    count = gram_GKK.shape[1]
    w_GKK = torch.eye(count, dtype=gram_GKK.dtype).repeat(len(gram_GKK), 1, 1)
    i_K = torch.arange(count)
    for j_K in order_KR.T:
        dot_GK = (w_GKK * gram_GKK[:, j_K]).sum(-1)  # g_i, as it is by now, times g_j as it was
        step_GK = -dot_GK / gram_GKK[:, j_K, j_K]
        w_GKK[:, i_K, j_K] += torch.where(dot_GK < 0, step_GK, 0.0)
    return w_GKK.sum(1)


def surgery(
    model: nn.Module, options: TrainOptions, treatment: TreatmentOptions, dtype: torch.dtype
) -> Update[GlobalBatch]:
    """The update: PCGrad on the trunk. Packs are one language's each, so nothing can conflict there."""
    trunk = Trunk(model, whole=True)

    def update(state: TrainState, batch: GlobalBatch) -> StepMetrics:
        def weigh(gram_GKK: Tensor, tags: tuple[str, ...]) -> Tensor:
            return pcgrad(gram_GKK, visiting_orders(len(tags), options.seed, "surgery", state.step))

        gradients = LanguageGradients(state, batch, trunk, options.seed, dtype, treatment.hold)
        return combined(state, gradients, weigh, options)

    return update
