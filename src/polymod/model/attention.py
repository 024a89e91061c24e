"""Self-attention over packed rows: every row sees the rows of its own sequence, and no padding exists
(padded rows, which fixed graphs need, are seen by nobody).

N rows, S sequences, D model width, H heads, E head width, T tokens of one sequence, G sequences in a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polymod.batch import Batch

try:
    from torch.nn.attention import varlen
except ImportError:  # torch < 2.10
    varlen = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Layout:
    """Where the sequences of a batch begin, on the host (runs of equal length) and on the device.

    With a mask the rows are all of (S, T), padding included, as polymod.model.padded has them.
    """

    runs: tuple[tuple[int, int], ...]  # (G sequences, T tokens each), in row order
    starts_S1: Tensor
    longest: int
    mask_ST: Tensor | None = None

    @classmethod
    def of(cls, batch: Batch) -> Layout:
        """Layout of a batch."""
        runs = tuple((len(list(group)), length) for length, group in groupby(batch.lengths))
        return cls(runs, batch.starts_S1, max(batch.lengths, default=0))


def attend(q_NHE: Tensor, k_NHE: Tensor, v_NHE: Tensor, layout: Layout, dropout: float = 0.0) -> Tensor:
    """Softmax attention within each sequence; returns o_NHE.

    CUDA half precision uses the variable-length flash kernel. Everything else calls
    ``scaled_dot_product_attention`` once per run of equally long sequences, so full blocks are one call.
    """
    if layout.mask_ST is not None:
        return _attend_run(q_NHE, k_NHE, v_NHE, layout.mask_ST.shape, dropout, layout.mask_ST[:, None, None])
    half = q_NHE.dtype in (torch.bfloat16, torch.float16)
    if varlen is not None and q_NHE.is_cuda and half and dropout == 0.0:
        starts, longest = layout.starts_S1, layout.longest
        o_NHE = varlen.varlen_attn(q_NHE, k_NHE, v_NHE, starts, starts, longest, longest)
        assert isinstance(o_NHE, Tensor)
        return o_NHE
    sizes = [sequences * length for sequences, length in layout.runs]
    parts = zip(layout.runs, q_NHE.split(sizes), k_NHE.split(sizes), v_NHE.split(sizes), strict=True)
    outs = [_attend_run(q, k, v, run, dropout) for run, q, k, v in parts]
    return outs[0] if len(outs) == 1 else torch.cat(outs)


def _attend_run(
    q: Tensor, k: Tensor, v: Tensor, run: Sequence[int], dropout: float, mask_G11T: Tensor | None = None
) -> Tensor:
    q_GHTE, k_GHTE, v_GHTE = (x.unflatten(0, run).transpose(1, 2) for x in (q, k, v))
    o_GHTE = F.scaled_dot_product_attention(q_GHTE, k_GHTE, v_GHTE, mask_G11T, dropout)
    return o_GHTE.transpose(1, 2).flatten(0, 1)


def attend_naive(q_NHE: Tensor, k_NHE: Tensor, v_NHE: Tensor, lengths: Sequence[int]) -> Tensor:
    """The definition, one sequence at a time: the twin that ``attend`` is tested against."""
    outs = []
    parts = zip(*(x.split(list(lengths)) for x in (q_NHE, k_NHE, v_NHE)), strict=True)
    for q_THE, k_THE, v_THE in parts:
        scores_HTT = torch.einsum("the,she->hts", q_THE, k_THE) / q_THE.shape[-1] ** 0.5
        outs.append(torch.einsum("hts,she->the", scores_HTT.softmax(-1), v_THE))
    return torch.cat(outs)


class Rotary(nn.Module):
    """Rotary position embedding (Su et al. 2021, arXiv 2104.09864), halves rotated against each other."""

    table: Tensor

    def __init__(self, head_size: int, max_length: int) -> None:
        super().__init__()
        self.sizes = (head_size, max_length)
        self.register_buffer("table", rotary_table(*self.sizes), persistent=False)

    def forward(self, positions_N: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine of every row's angles, each (N, 1, E/2)."""
        cos, sin = self.table[:, positions_N].unsqueeze(-2).unbind(0)
        return cos, sin


def rotary_table(head_size: int, max_length: int, base: float = 10_000.0) -> Tensor:
    """Cosines and sines of all positions, (2, max_length, E/2), computed in float64."""
    frequencies = base ** (-torch.arange(0, head_size, 2, dtype=torch.float64) / head_size)
    angles = torch.outer(torch.arange(max_length, dtype=torch.float64), frequencies)
    return torch.stack([angles.cos(), angles.sin()]).float()


def rotate(x_NHE: Tensor, cos_sin: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair (i, i + E/2) of every head by its row's angle."""
    cos, sin = (part.to(x_NHE.dtype) for part in cos_sin)
    a, b = x_NHE.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


class Attention(nn.Module):
    """Multi-head self-attention with fused query, key and value projections."""

    def __init__(self, hidden_size: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.qkv = nn.Linear(hidden_size, 3 * hidden_size)
        self.out = nn.Linear(hidden_size, hidden_size)

    def forward(self, x_ND: Tensor, layout: Layout, cos_sin: tuple[Tensor, Tensor] | None) -> Tensor:
        """Attention output before dropout and residual, (N, D)."""
        q, k, v = self.qkv(x_ND).unflatten(-1, (3, self.num_heads, -1)).unbind(1)
        if cos_sin is not None:
            q, k = rotate(q, cos_sin), rotate(k, cos_sin)
        o_NHE = attend(q, k, v, layout, self.dropout if self.training else 0.0)
        out: Tensor = self.out(o_NHE.flatten(1))
        return out
