"""Masked-LM loss over a large vocabulary without ever holding all logits.

Rows are taken in explicit chunks (at least 2,048, see docs/design/001-model.md: library auto-chunking is
tuned for much wider models). The gradient of a chunk's logits is formed in the forward pass, where they exist
anyway, and the gradient of the output matrix is summed in fp32.

M masked rows, C rows of a chunk, D model width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from polymod.model.config import ROWS_PER_CHUNK

# (logits_CV, targets_C, scale) -> the gradient of the logits, and the loss of each row
SoftmaxGradient = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def masked_lm_loss(
    h_MD: Tensor,
    weight_VD: Tensor,
    bias_V: Tensor,
    targets_M: Tensor,
    *,
    scale: float = 1.0,
    rows_per_chunk: int = ROWS_PER_CHUNK,
    fused: SoftmaxGradient | None = None,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the targets under ``softmax(h W^T + b)``.

    Args:
        scale: factor of the summed loss, such as one over the number of targets of the whole batch. Giving it
            here instead of multiplying afterwards saves a pass over the gradient of the output matrix.
        fused: ``softmax_gradient``, compiled; takes the place of several passes over the logits.

    Returns:
        ``scale`` times the sum over rows, differentiable once (not twice: use ``masked_lm_loss_naive``), and
        the unscaled loss of every row in nats, (M,) without gradient.
    """
    if not torch.is_grad_enabled():  # nothing will ask for gradients: a third of the work
        losses_M = _losses(h_MD, weight_VD, bias_V, targets_M, rows_per_chunk)
        return losses_M.sum() * scale, losses_M
    how = _How(scale, rows_per_chunk, fused)
    loss, losses_M = _ChunkedLoss.apply(  # type: ignore[no-untyped-call]
        h_MD, weight_VD, bias_V, targets_M, how
    )
    return loss, losses_M


def softmax_gradient(logits_CV: Tensor, targets_C: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Gradient of ``scale`` times the summed loss by the logits, in their precision, and each row's loss:
    a function of its inputs only, for ``torch.compile`` to fuse.
    """
    wide_CV = logits_CV.to(_sum_dtype(logits_CV.dtype))
    log_sum_C = wide_CV.logsumexp(-1)
    hit_CV = torch.arange(wide_CV.shape[1], device=wide_CV.device) == targets_C[:, None]
    gradient_CV = ((wide_CV - log_sum_C[:, None]).exp() - hit_CV.to(wide_CV.dtype)) * scale
    losses_C = log_sum_C - wide_CV.gather(1, targets_C[:, None]).squeeze(1)
    return gradient_CV.to(logits_CV.dtype), losses_C


def masked_lm_loss_naive(
    h_MD: Tensor, weight_VD: Tensor, bias_V: Tensor, targets_M: Tensor, *, scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """The same by its definition: all logits at once, differentiable any number of times."""
    losses_M = F.cross_entropy(F.linear(h_MD, weight_VD, bias_V).float(), targets_M, reduction="none")
    return losses_M.sum() * scale, losses_M.detach()


class _How(NamedTuple):
    scale: float
    rows_per_chunk: int
    fused: SoftmaxGradient | None


class _ChunkedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, h_MD: Tensor, weight_VD: Tensor, bias_V: Tensor, targets_M: Tensor, how: _How
    ) -> tuple[Tensor, Tensor]:
        needs_h, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        dtype = _dtype(h_MD, weight_VD)
        h, weight = h_MD.to(dtype), weight_VD.to(dtype)
        losses_M = h_MD.new_empty(len(h_MD), dtype=_sum_dtype(dtype))
        grad_h_MD = torch.empty_like(h_MD) if needs_h else None
        grad_weight_VD = _zeros(weight_VD) if needs_weight else None
        grad_bias_V = _zeros(bias_V) if needs_bias else None
        for start in range(0, len(h_MD), how.rows_per_chunk):
            rows = slice(start, start + how.rows_per_chunk)
            grad_CV, losses_M[rows] = _scaled_gradient(h[rows], weight, bias_V, targets_M[rows], how)
            if grad_bias_V is not None:
                grad_bias_V += grad_CV.sum(0, dtype=grad_bias_V.dtype)
            grad_CV = grad_CV.to(dtype)
            if grad_h_MD is not None:
                grad_h_MD[rows] = grad_CV @ weight
            if grad_weight_VD is not None:
                _add_product_(grad_weight_VD, grad_CV.t(), h[rows])
        ctx.gradients = (grad_h_MD, grad_weight_VD, grad_bias_V)
        ctx.dtypes = (h_MD.dtype, weight_VD.dtype, bias_V.dtype)
        ctx.mark_non_differentiable(losses_M)
        return losses_M.sum() * how.scale, losses_M

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph=True: the gradients below are constants to autograd
            raise RuntimeError("the chunked loss has no second derivative; use masked_lm_loss_naive")
        one = not grad.is_cuda and grad.item() == 1.0  # reading it on a GPU would wait for the device
        gradients = [
            tensor if tensor is None or one else tensor.mul_(grad.to(tensor.dtype))
            for tensor in ctx.gradients
        ]
        cast = [t if t is None else t.to(dtype) for t, dtype in zip(gradients, ctx.dtypes, strict=True)]
        return (*cast, None, None)


def _scaled_gradient(
    h_CD: Tensor, weight_VD: Tensor, bias_V: Tensor, targets_C: Tensor, how: _How
) -> tuple[Tensor, Tensor]:
    if how.fused is None:
        gradient_CV, losses_C = _softmax_gradient(h_CD, weight_VD, bias_V, targets_C)
        return gradient_CV.mul_(how.scale), losses_C
    logits_CV = F.linear(h_CD, weight_VD, bias_V.to(weight_VD.dtype))
    scale = logits_CV.new_full((), how.scale, dtype=_sum_dtype(logits_CV.dtype))
    return how.fused(logits_CV, targets_C, scale)


def _softmax_gradient(
    h_CD: Tensor, weight_VD: Tensor, bias_V: Tensor, targets_C: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradient of the summed loss with respect to the logits, and the loss of each row."""
    log_p_CV, losses_C = _chunk(h_CD, weight_VD, bias_V, targets_C)
    gradient_CV = log_p_CV.exp_()
    gradient_CV.scatter_add_(1, targets_C[:, None], -torch.ones_like(losses_C)[:, None])
    return gradient_CV, losses_C


def _losses(
    h_MD: Tensor, weight_VD: Tensor, bias_V: Tensor, targets_M: Tensor, rows_per_chunk: int
) -> Tensor:
    """The loss of each row, as the forward pass that forms gradients has it."""
    dtype = _dtype(h_MD, weight_VD)
    h_MD, weight_VD = h_MD.to(dtype), weight_VD.to(dtype)
    losses_M = h_MD.new_empty(len(h_MD), dtype=_sum_dtype(dtype))
    for start in range(0, len(h_MD), rows_per_chunk):
        rows = slice(start, start + rows_per_chunk)
        losses_M[rows] = _chunk(h_MD[rows], weight_VD, bias_V, targets_M[rows])[1]
    return losses_M


def _chunk(h_CD: Tensor, weight_VD: Tensor, bias_V: Tensor, targets_C: Tensor) -> tuple[Tensor, Tensor]:
    """Logarithms of the probabilities, and the loss of each row."""
    logits_CV = F.linear(h_CD, weight_VD, bias_V.to(weight_VD.dtype))
    log_p_CV = logits_CV.to(_sum_dtype(logits_CV.dtype))
    torch.log_softmax(log_p_CV, -1, out=log_p_CV)  # in place: new pages cost more than the arithmetic
    return log_p_CV, -log_p_CV.gather(1, targets_C[:, None]).squeeze(1)


def _add_product_(total_VD: Tensor, a_VC: Tensor, b_CD: Tensor) -> None:
    if total_VD.dtype == a_VC.dtype:
        total_VD.addmm_(a_VC, b_CD)
    else:
        total_VD += a_VC @ b_CD


def _zeros(like: Tensor) -> Tensor:
    return torch.zeros_like(like, dtype=_sum_dtype(like.dtype))


def _sum_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _dtype(h_MD: Tensor, weight_VD: Tensor) -> torch.dtype:
    """What products are computed in."""
    device = h_MD.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight_VD.dtype
