"""Who owns a parameter: one language, or everybody. The only place where a parameter's name is taken apart.

Freezing, optimiser groups, files, surgery, meta-learning and diagnostics all ask here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from torch import nn

from polymod.model.config import SHARED
from polymod.model.packs import KEY

TRUNK = None  # owner of everything that all languages share
_OWNED = re.compile(rf"(?:^|\.)by_key\.{KEY}([^.]+)(?:\.|$)")


def owner(name: str) -> str | None:
    """Tag of the language that owns a parameter, or ``None`` for the trunk (which holds the shared pack)."""
    found = _OWNED.search(name)
    tag = found.group(1) if found else None
    return TRUNK if tag == SHARED else tag


def partition(names: Iterable[str]) -> dict[str | None, list[str]]:
    """Names by owner: disjoint and complete, in the order given, the trunk first."""
    parts: dict[str | None, list[str]] = {TRUNK: []}
    for name in names:
        parts.setdefault(owner(name), []).append(name)
    return parts


def decays(name: str) -> bool:
    """Whether weight decay applies: to matrices, not to biases, norms or language embeddings."""
    return not ("norm" in name or "bias" in name or "language_embeddings" in name)


def freeze(model: nn.Module, trainable: Iterable[str]) -> None:
    """Let only the named parameters train."""
    chosen = set(trainable)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in chosen)
