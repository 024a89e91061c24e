"""The trunk in pieces: which part of which parameter lies in which layer and group. Disjoint and complete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from polymod.model.heads import MaskedLM
from polymod.model.partition import TRUNK, Place, is_stacked, owner, place


class Piece(NamedTuple):
    """A parameter, or one module of a stacked one."""

    name: str
    module: int | None = None


Cells = Mapping[Place, Sequence[Piece]]


def cells(model: MaskedLM) -> dict[Place, list[Piece]]:
    """The trunk's pieces by layer and group, in the order of the parameters."""
    per_layer = model.config.architecture.modules_per_layer
    found: dict[Place, list[Piece]] = {}
    for name, parameter in model.named_parameters():
        if owner(name) is not TRUNK:
            continue
        if is_stacked(name):
            for module in range(len(parameter)):
                where = Place(module // per_layer, place(name).group)
                found.setdefault(where, []).append(Piece(name, module))
        else:
            found.setdefault(place(name), []).append(Piece(name))
    return found


def vectors(tensors: Mapping[str, Tensor], of: Cells) -> Iterator[tuple[Place, Tensor]]:
    """Each cell's entries of the trunk's tensors in one fp32 vector."""
    for where, pieces in of.items():
        parts = [tensors[name] if module is None else tensors[name][module] for name, module in pieces]
        yield where, torch.cat([part.detach().flatten().float() for part in parts])


def sizes(model: nn.Module, of: Cells) -> dict[Place, int]:
    """Number of parameters of each cell."""
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    return {
        where: sum(
            shapes[name].numel() if module is None else shapes[name][1:].numel() for name, module in pieces
        )
        for where, pieces in of.items()
    }
