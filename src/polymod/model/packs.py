"""Language modules. A language is a pack is a file: four tensors stacked over modules, its own parameters.

Cost and memory follow the languages in the batch, never the languages installed; a language that is not in
the batch has ``grad is None``, so no optimiser touches it.

N rows, L modules (one or two of each layer), D model width, B bottleneck width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polymod.batch import Route
from polymod.languages import LanguageError, resolve
from polymod.model.grouped import Group, apply_group, group

KEY = "lang_"  # nn.ModuleDict refuses the tags "to", "pop" and "cpu"; with a prefix every tag is a legal key


class Weights(NamedTuple):
    """One of a language's modules."""

    down_BD: Tensor
    down_bias_B: Tensor
    up_DB: Tensor
    up_bias_D: Tensor


Memory = Callable[..., Tensor]  # a shape -> an unset tensor


class Pack(nn.Module):
    """One language's modules of all layers (X-MOD section 3); ``memory`` says where its tensors lie."""

    def __init__(
        self, num_modules: int, hidden_size: int, bottleneck_size: int, memory: Memory = torch.empty
    ) -> None:
        super().__init__()
        self.down_LBD = nn.Parameter(memory(num_modules, bottleneck_size, hidden_size))
        self.down_bias_LB = nn.Parameter(memory(num_modules, bottleneck_size))
        self.up_LDB = nn.Parameter(memory(num_modules, hidden_size, bottleneck_size))
        self.up_bias_LD = nn.Parameter(memory(num_modules, hidden_size))

    def unbind(self) -> list[Weights]:
        """Each module. One ``unbind``: indexing each layer would copy the gradient L times."""
        stacked = (self.down_LBD, self.down_bias_LB, self.up_LDB, self.up_bias_LD)
        return [Weights(*each) for each in zip(*(tensor.unbind(0) for tensor in stacked), strict=True)]


# Rows and module of each span of a route, in one place; or all of them in one.
Routed = Sequence[tuple[int, Weights | None]] | Group


def apply_modules(x_ND: Tensor, routed: Routed, activation: str) -> Tensor:
    """Each span of rows through its own module; rows without a module give zeros (no residual here)."""
    if isinstance(routed, Group):
        return apply_group(x_ND, routed, activation)
    parts = x_ND.split([rows for rows, _ in routed])
    outs = [
        torch.zeros_like(part) if weights is None else _bottleneck(part, weights, activation)
        for part, (_, weights) in zip(parts, routed, strict=True)
    ]
    return outs[0] if len(outs) == 1 else torch.cat(outs)


def _bottleneck(x_ND: Tensor, weights: Weights, activation: str) -> Tensor:
    hidden_NB = F.linear(x_ND, weights.down_BD, weights.down_bias_B)
    hidden_NB = F.gelu(hidden_NB) if activation == "gelu" else F.relu(hidden_NB)
    return F.linear(hidden_NB, weights.up_DB, weights.up_bias_D)


class Packs(nn.Module):
    """The installed packs, by tag.

    Attributes:
        grouped_from: spans of a route from which they are computed together (``grouped.py``); 0: never.
    """

    def __init__(
        self, num_modules: int, hidden_size: int, bottleneck_size: int, tags: Iterable[str] = ()
    ) -> None:
        super().__init__()
        self.sizes = (num_modules, hidden_size, bottleneck_size)
        self.grouped_from = 0
        self.by_key = nn.ModuleDict({KEY + tag: Pack(*self.sizes) for tag in tags})

    @property
    def tags(self) -> tuple[str, ...]:
        """Installed tags in the order they were added."""
        return tuple(key.removeprefix(KEY) for key in self.by_key)

    def __getitem__(self, tag: str) -> Pack:
        pack = self.by_key[KEY + tag]
        assert isinstance(pack, Pack)
        return pack

    def select(self, route: Route) -> list[Routed]:
        """For every place of a module, in order, the rows and module of each span.

        Raises:
            LanguageError: the route names a language that is not installed.
        """
        for tag in route.tags:
            if tag is not None and KEY + tag not in self.by_key:
                resolve(tag, self.tags)
        if 0 < self.grouped_from <= len(route.spans) and None not in route.tags:
            return list(
                group([self[tag] for tag in route.tags if tag], [s.stop - s.start for s in route.spans])
            )
        unbound = {tag: self[tag].unbind() for tag in dict.fromkeys(route.tags) if tag is not None}
        return [
            [
                (stop - start, unbound[tag][place] if tag is not None else None)
                for tag, start, stop in route.spans
            ]
            for place in range(self.sizes[0])
        ]

    def add(self, tag: str, init_from: Sequence[str] = (), *, memory: Memory = torch.empty) -> Pack:
        """Install a pack, copied from another one or averaged over several; without any it is left to be set.

        Raises:
            LanguageError: ``tag`` is installed already, or one of ``init_from`` is not.
        """
        if KEY + tag in self.by_key:
            raise LanguageError(
                f"language {tag!r} is installed already", fix="drop it first or give another tag"
            )
        pack = Pack(*self.sizes, memory)
        sources = [self[resolve(source, self.tags)] for source in init_from]
        with torch.no_grad():
            for name, parameter in pack.named_parameters() if sources else ():
                parameter.copy_(torch.stack([source.get_parameter(name) for source in sources]).mean(0))
        self.by_key[KEY + tag] = pack
        return pack

    def drop(self, tag: str) -> None:
        """Uninstall a pack."""
        del self.by_key[KEY + resolve(tag, self.tags)]

    def rename(self, old: str, new: str) -> None:
        """Give a pack another tag."""
        if KEY + new in self.by_key:
            raise LanguageError(
                f"language {new!r} is installed already", fix="drop it first or give another tag"
            )
        self.by_key[KEY + new] = self.by_key.pop(KEY + resolve(old, self.tags))


class LanguageEmbeddings(nn.Module):
    """One vector per language, added at the input: the language information that routing gives for free."""

    def __init__(self, hidden_size: int, tags: Iterable[str]) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.by_key = nn.ParameterDict({KEY + tag: nn.Parameter(torch.empty(hidden_size)) for tag in tags})

    def add(self, tag: str, init_from: Sequence[str] = ()) -> nn.Parameter:
        """Install a language's vector, the mean of others' or still to be set."""
        sources = [self.by_key[KEY + source] for source in init_from]
        mean = torch.stack(sources).mean(0) if sources else torch.empty(self.hidden_size)
        vector = self.by_key[KEY + tag] = nn.Parameter(mean.detach().clone())
        return vector

    def forward(self, x_ND: Tensor, route: Route) -> Tensor:
        """Add each span's vector to its rows; rows without a language get none."""
        parts = x_ND.split([stop - start for _, start, stop in route.spans])
        outs = [
            part if tag is None else part + self.by_key[KEY + tag]
            for part, tag in zip(parts, route.tags, strict=True)
        ]
        return torch.cat(outs)


def count_parameters(num_modules: int, hidden_size: int, bottleneck_size: int) -> int:
    """Parameters of one pack: 7,091,712 for X-MOD base."""
    d, b = hidden_size, bottleneck_size
    return num_modules * (2 * d * b + b + d)


def initial_(pack: Pack, std: float, generator: torch.Generator) -> None:
    """X-MOD's initial modules: weights N(0, std), biases 0 (``init_bert_params``; not the identity)."""
    with torch.no_grad():
        for name, parameter in pack.named_parameters():
            parameter.zero_() if "bias" in name else parameter.normal_(0.0, std, generator=generator)


def generator(seed: int, purpose: str) -> torch.Generator:
    """A generator for each purpose, so that what is drawn for one does not depend on the others."""
    digest = hashlib.sha256(f"{seed} {purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))
