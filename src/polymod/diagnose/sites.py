"""Where gates act: weights of the frozen trunk that are scaled, so that the model itself stays as it is.

* ``heads``: the columns of the attention's output matrix that one head feeds.
* ``neurons``: the columns of the feed-forward layer's second matrix that a group of its neurons feeds.
* ``layers``: the output of a whole sub-layer: attention, feed-forward, and the shared arm's module.
* ``norms``: what a norm has learnt: at 0 its scale is 1 and its shift 0. (A norm whose scale is 0 would end a
  post-norm model, which says nothing about a language.)

G gates of a site.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from polymod.diagnose.options import Unit
from polymod.model.config import SHARED, ModelConfig
from polymod.model.packs import KEY


class Scaling(NamedTuple):
    """How gates scale a parameter: what it is at 0, and which entries each gate has."""

    name: str
    dim: int | None = None  # along which the gates lie; None: one gate for all
    per_gate: int = 1  # entries of each along that dimension; the last gate may have fewer
    at_zero: float = 0.0


@dataclass(frozen=True)
class Site:
    """Gates of one unit that act together on some parameters, and the layer of each."""

    unit: Unit
    layer_G: tuple[int, ...]
    scalings: tuple[Scaling, ...]


def sites(config: ModelConfig, units: Iterable[Unit], neurons_per_gate: int) -> list[Site]:
    """All sites of these units, unit by unit in layer order."""
    a, found = config.architecture, []
    for unit in dict.fromkeys(units):
        for layer in range(a.num_layers):
            place = f"encoder.layers.{layer}"
            out, down = f"{place}.attention.out", f"{place}.feed_forward.down"
            if unit == "heads":
                scaling = Scaling(f"{out}.weight", 1, a.hidden_size // a.num_heads)
                found.append(Site(unit, (layer,) * a.num_heads, (scaling,)))
            elif unit == "neurons":
                gates = -(-a.ffn_size // neurons_per_gate)
                found.append(Site(unit, (layer,) * gates, (Scaling(f"{down}.weight", 1, neurons_per_gate),)))
            elif unit == "layers":
                found += [Site(unit, (layer,), _whole(part)) for part in (out, down)]
            else:
                found += [Site(unit, (layer,), _norm(f"{place}.{norm}")) for norm in _norms(config)]
        if unit == "layers" and config.arm == "shared":
            pack = f"encoder.packs.by_key.{KEY}{SHARED}"
            stacked = (Scaling(f"{pack}.up_LDB", 0), Scaling(f"{pack}.up_bias_LD", 0))
            layers = tuple(layer for layer in range(a.num_layers) for _ in range(a.modules_per_layer))
            found.append(Site(unit, layers, stacked))
    return found


def gated(parameters: Mapping[str, Tensor], at: Sequence[Site], gates: Sequence[Tensor]) -> dict[str, Tensor]:
    """The parameters that gates act on, scaled; several gates on one entry multiply.

    Args:
        gates: (G,) of each site.
    """
    found: dict[str, Tensor] = {}
    for site, z_G in zip(at, gates, strict=True):
        for name, dim, per_gate, at_zero in site.scalings:
            weight = found.get(name, parameters[name])
            z = z_G if dim is None else _spread(z_G, weight, dim, per_gate)
            found[name] = at_zero + z * (weight - at_zero) if at_zero else z * weight
    return found


def entries(parameters: Mapping[str, Tensor], at: Iterable[Site]) -> int:
    """Number of entries of all parameters that the sites act on."""
    names = {scaling.name for site in at for scaling in site.scalings}
    return sum(parameters[name].numel() for name in names)


def _spread(z_G: Tensor, weight: Tensor, dim: int, per_gate: int) -> Tensor:
    along = torch.arange(weight.shape[dim], device=z_G.device) // per_gate
    shape = [1] * weight.ndim
    shape[dim] = -1
    return z_G[along].view(shape)


def _whole(linear: str) -> tuple[Scaling, ...]:
    return Scaling(f"{linear}.weight"), Scaling(f"{linear}.bias")


def _norm(norm: str) -> tuple[Scaling, ...]:
    return Scaling(f"{norm}.weight", at_zero=1.0), Scaling(f"{norm}.bias")


def _norms(config: ModelConfig) -> list[str]:
    own = config.arm != "dense" and config.architecture.module_norm == "own"
    return ["attention_norm", "feed_forward_norm", *(["module_norm"] if own else [])]
