"""The pieces of a model whose shapes do not depend on languages, compiled: what lies between attention and
modules, the head's features, and the softmax over the vocabulary with its gradient.

Attention and routing stay outside, because their shapes change with every batch; so nothing is compiled again
when languages or lengths change.
"""

from __future__ import annotations

from typing import Any

import torch

from polymod.model.heads import MaskedLM
from polymod.model.loss import softmax_gradient

PIECES = ("between",)  # methods of a layer


def compile_pieces(model: MaskedLM, **options: Any) -> None:
    """Let ``torch.compile`` fuse the pieces of every layer, in place; parameters keep their names.

    Compiled pieces have no second derivative.

    Args:
        options: for ``torch.compile``.
    """
    for layer in model.encoder.layers:
        for name in PIECES:
            setattr(layer, name, torch.compile(getattr(layer, name), dynamic=True, **options))
    model.head.compile(dynamic=True, **options)
    model.fused = torch.compile(softmax_gradient, dynamic=True, **options)
