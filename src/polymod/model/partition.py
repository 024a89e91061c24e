"""Who owns a parameter: one language, or everybody. The only place where a parameter's name is taken apart.

Freezing, optimiser groups, files, surgery, meta-learning and diagnostics all ask here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from torch import nn

from polymod.model.config import SHARED
from polymod.model.packs import KEY

TRUNK = None  # owner of everything that all languages share
GROUPS = ("embeddings", "attention", "feed_forward", "norms", "modules", "head")  # kinds of parameters
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


def without_tag(name: str, tag: str) -> str:
    """A language's parameter as it is called in any language."""
    return name.replace(f".{KEY}{tag}", "", 1)


def decays(name: str) -> bool:
    """Whether weight decay applies: to matrices, not to biases, norms or language embeddings."""
    return not ("norm" in name or "bias" in name or "language_embeddings" in name)


class Place(NamedTuple):
    """Where in the model a parameter works; ``layer`` is ``None`` outside the layers."""

    layer: int | None
    group: str  # one of GROUPS


def place(name: str) -> Place:
    """Layer and group of a parameter; a pack is stacked over modules, so it has no layer of its own."""
    found = re.search(r"(?:^|\.)layers\.(\d+)\.", name)
    return Place(int(found.group(1)) if found else None, _group(name))


def is_stacked(name: str) -> bool:
    """Whether the first dimension of a parameter is the module: that of packs is."""
    return bool(re.search(r"(?:^|\.)packs\.by_key\.", name))


def _group(name: str) -> str:
    if name.startswith("head."):
        return "head"
    if is_stacked(name):
        return "modules"
    if "norm" in name:
        return "norms"
    for part, group in ((".attention.", "attention"), (".feed_forward.", "feed_forward")):
        if part in name:
            return group
    assert "embeddings" in name, f"{name} has no group"
    return "embeddings"


def freeze(model: nn.Module, trainable: Iterable[str]) -> None:
    """Let only the named parameters train."""
    chosen = set(trainable)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in chosen)
