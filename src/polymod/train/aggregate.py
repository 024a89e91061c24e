"""The aggregators of torchjd (https://torchjd.org), through one adapter. Needs the extra ``mtl``.

K languages, G = 1 group of parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from polymod.batch import GlobalBatch
from polymod.data.random import key
from polymod.errors import UserError
from polymod.metrics import StepMetrics
from polymod.train.by_language import LanguageGradients, Trunk, combined
from polymod.train.config import TrainOptions, TreatmentOptions
from polymod.train.loop import TrainState, Update

# Arguments of the weightings that are functions of the Gram matrix and keep no state.
WEIGHTINGS: dict[str, Mapping[str, Any]] = {
    "AlignedMTL": {},
    "CAGrad": {"c": 0.5},
    "DualProj": {},
    "IMTLG": {},
    "MGDA": {},
    "Mean": {},
    "PCGrad": {},
    "Random": {},
    "Sum": {},
    "UPGrad": {},
}
SUMS = ("PCGrad", "Sum")  # their weights of equal gradients add up to K, those of the others to 1


def weighting(name: str) -> Any:
    """The weighting of an aggregator: Gram matrix (K, K) to weights (K,).

    Raises:
        UserError: torchjd, or what this aggregator needs besides, is not installed.
    """
    try:
        import torchjd.aggregation
    except ImportError:
        raise UserError("torchjd is not installed", fix="pip install 'polymod[mtl]'") from None
    try:
        return getattr(torchjd.aggregation, f"{name}Weighting")(**WEIGHTINGS[name])
    except ImportError as error:
        raise UserError(f"--update jd:{name} needs more than torchjd", fix=str(error)) from None


def aggregated(
    name: str, model: nn.Module, options: TrainOptions, treatment: TreatmentOptions, dtype: torch.dtype
) -> Update[GlobalBatch]:
    """The update: an aggregator on the trunk.

    Aggregators whose weights add up to 1 get ``K g_k``, so that what all languages agree on has the size of
    the joint gradient whichever aggregator it is.
    """
    weigh_gram, trunk = weighting(name), Trunk(model, whole=True)

    def update(state: TrainState, batch: GlobalBatch) -> StepMetrics:
        def weigh(gram_1KK: Tensor, tags: tuple[str, ...]) -> Tensor:
            torch.manual_seed(int(key(options.seed, "aggregate", state.step)) >> 1)  # some draw numbers
            scale = 1.0 if name in SUMS else float(len(tags))
            weights_K: Tensor = weigh_gram(scale**2 * gram_1KK[0])
            return scale * weights_K[None]

        gradients = LanguageGradients(state, batch, trunk, options.seed, dtype, treatment.hold)
        return combined(state, gradients, weigh, options)

    return update
