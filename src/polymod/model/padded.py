"""The encoder over padded input in one language: a graph that is the same for every batch, as ONNX needs it.

Same layers and same weights as the packed encoder, which is what trains. Padding is computed, seen by nobody.

S sequences, T tokens of the longest, N = S * T rows, padding included, D model width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from polymod.batch import Batch, Route
from polymod.model.attention import Layout
from polymod.model.encoder import Encoder


class PaddedEncoder(nn.Module):
    """An encoder of one language that takes padded input. Every sequence needs a token."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        (self.tag,) = encoder.config.languages
        self.encoder = encoder

    def forward(self, ids_ST: Tensor, mask_ST: Tensor) -> Tensor:
        """Last hidden states, (S, T, D); those of padding mean nothing.

        Args:
            ids_ST: token ids, int64.
            mask_ST: 1 where a token is real, on either side of a row.
        """
        real_ST = mask_ST > 0
        positions_ST = (real_ST.long().cumsum(1) - 1).clamp(min=0)
        route = Route.of([self.tag], [ids_ST.shape[0] * ids_ST.shape[1]])
        none = torch.zeros(0, dtype=torch.int64, device=ids_ST.device)
        batch = Batch(ids_ST.flatten(), positions_ST.flatten(), none, (), route, none, none, (0,))
        states = self.encoder.hidden_states(batch, Layout((), none, 0, real_ST))
        return states[-1].view(*ids_ST.shape, -1)
