"""What is trained in fine-tuning and what stays (X-MOD, arXiv 2205.06266, section 4.3).

By default attention, feed-forward layers, their norms (also the one that is applied again after the module)
and the head train. Embeddings, packs and the norms of modules stay, so that another language's pack still
fits afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from torch import nn

from polymod.errors import UserError
from polymod.model.encoder import Encoder
from polymod.model.partition import TRUNK, freeze, owner
from polymod.model.tasks import TaskModel
from polymod.tasks.options import FROZEN


def freezable(encoder: Encoder) -> dict[str, list[nn.Parameter]]:
    """The parameters of each part that can be frozen; a part that the model lacks is empty."""
    own_norms = encoder.config.arm != "dense" and encoder.config.architecture.module_norm == "own"
    norms = [layer.get_submodule("module_norm") for layer in encoder.layers] if own_norms else []
    vectors = encoder.language_embeddings.parameters() if encoder.config.language_embedding else ()
    parts = {
        "embeddings": list(encoder.embeddings.parameters()),
        "language_embeddings": list(vectors),
        "packs": list(encoder.packs.parameters()),
        "module_norms": [parameter for norm in norms for parameter in norm.parameters()],
    }
    assert tuple(parts) == FROZEN
    return parts


def apply_protocol(
    model: TaskModel, *, sources: Sequence[str], unfreeze: Collection[str] = (), freeze_layers: int = 0
) -> dict[str, int]:
    """Freeze what the protocol freezes, and in any case what belongs to another language than the sources.

    Args:
        freeze_layers: lowest layers whose part of the trunk stays as well.

    Raises:
        UserError: the model lacks a part of ``unfreeze``, or has no layer left to train.

    Returns:
        How many parameters are ``trained`` and ``frozen``.
    """
    parts = freezable(model.encoder)
    if missing := [name for name in unfreeze if not parts[name]]:
        there = ", ".join(name for name in FROZEN if parts[name])
        raise UserError(f"the model has no {missing[0]}", where="--train.unfreeze", fix=f"it has {there}")
    layers = model.encoder.layers
    if freeze_layers >= len(layers):
        what = f"{freeze_layers} layers to freeze, and the model has {len(layers)}"
        raise UserError(what, where="--train.freeze-layers", fix="leave at least one layer to train")
    fixed = {id(parameter) for name in FROZEN if name not in unfreeze for parameter in parts[name]}
    fixed |= {id(parameter) for layer in layers[:freeze_layers] for parameter in layer.parameters()}
    names = {
        name: parameter.numel()
        for name, parameter in model.named_parameters()
        if id(parameter) not in fixed and owner(name) in (TRUNK, *sources)
    }
    freeze(model, names)
    trained = sum(names.values())
    return {"trained": trained, "frozen": sum(p.numel() for p in model.parameters()) - trained}
