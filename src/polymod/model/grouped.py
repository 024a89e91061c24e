"""All languages' modules of a batch in two matrix products: for GPUs, where a batch has many languages.

The loop over spans (``packs.apply_modules``) starts a dozen kernels for each language and layer. Here the
weights of the batch's languages are stacked once for all layers, and each layer is two grouped products.

N rows, G spans, L modules, D model width, B bottleneck width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Stacked(Protocol):
    """What is stacked: a pack."""

    down_LBD: nn.Parameter
    down_bias_LB: nn.Parameter
    up_LDB: nn.Parameter
    up_bias_LD: nn.Parameter


class Group(NamedTuple):
    """The modules of all spans at one place of the model.

    Attributes:
        ends_G: last row of each span and one, int32.
        span_N: number of the span that each row belongs to.
    """

    down_GBD: Tensor
    down_bias_GB: Tensor
    up_GDB: Tensor
    up_bias_GD: Tensor
    ends_G: Tensor
    span_N: Tensor


def is_available() -> bool:
    """Whether this torch has grouped products."""
    return hasattr(F, "grouped_mm")


def group(packs: Sequence[Stacked], rows: Sequence[int]) -> list[Group]:
    """Stack the packs of G spans with so many rows each; a group for each of the L places.

    Under autocast the stacked weights are already of its type, because grouped products are not cast by it.
    """
    down_LGBD = torch.stack([pack.down_LBD for pack in packs], dim=1)
    down_bias_LGB = torch.stack([pack.down_bias_LB for pack in packs], dim=1)
    up_LGDB = torch.stack([pack.up_LDB for pack in packs], dim=1)
    up_bias_LGD = torch.stack([pack.up_bias_LD for pack in packs], dim=1)
    device = down_LGBD.device
    if torch.is_autocast_enabled(device.type):
        dtype = torch.get_autocast_dtype(device.type)
        down_LGBD, up_LGDB = down_LGBD.to(dtype), up_LGDB.to(dtype)
    counts_G = _moved(torch.tensor(list(rows), dtype=torch.int32), device)
    ends_G = counts_G.cumsum(0, dtype=torch.int32)
    spans_G = torch.arange(len(rows), device=device)
    span_N = torch.repeat_interleave(spans_G, counts_G, output_size=sum(rows))
    places = zip(
        down_LGBD.unbind(), down_bias_LGB.unbind(), up_LGDB.unbind(), up_bias_LGD.unbind(), strict=True
    )
    return [Group(*place, ends_G, span_N) for place in places]


def apply_group(x_ND: Tensor, group: Group, activation: str) -> Tensor:
    """Each span of rows through its own module: what ``packs.apply_modules`` gives, but for rounding."""
    x_ND = x_ND.to(group.down_GBD.dtype)
    hidden_NB = F.grouped_mm(x_ND, group.down_GBD.transpose(1, 2), offs=group.ends_G)
    hidden_NB = hidden_NB + group.down_bias_GB[group.span_N].to(hidden_NB.dtype)
    hidden_NB = F.gelu(hidden_NB) if activation == "gelu" else F.relu(hidden_NB)
    out_ND = F.grouped_mm(hidden_NB, group.up_GDB.transpose(1, 2), offs=group.ends_G)
    return out_ND + group.up_bias_GD[group.span_N].to(out_ND.dtype)


def _moved(counts: Tensor, device: torch.device) -> Tensor:
    """From the host without waiting for the device."""
    return counts.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else counts
