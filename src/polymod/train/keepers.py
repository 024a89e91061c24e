"""Packs shared out among the processes: each language has a keeper, and nobody else has its moments.

A language's weights go from its keeper to all before a step that has text of it, and the sum of its
gradients goes to the keeper after backward, who moves them. So a process holds its share of the languages,
besides those of the step, and what is sent follows the languages of the step, as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from polymod.batch import GlobalBatch
from polymod.metrics import StepMetrics
from polymod.model.packs import Memory
from polymod.train.parallel import Ranks
from polymod.train.residency import Adopting, languages_of
from polymod.train.sharding import hollow

State = TypeVar("State")


class Keepers:
    """Who keeps which language: they take turns, in the order of ``tags``.

    All processes call ``lend`` and ``sum_gradients`` together, with the same languages.

    Args:
        tags: languages of the model.
        home: of the idle languages among those that this process keeps, if not in memory.
    """

    def __init__(self, tags: Sequence[str], ranks: Ranks, home: Adopting | None = None) -> None:
        self.ranks, self._home = ranks, home
        self._keeper = {tag: number % ranks.size for number, tag in enumerate(tags)}
        self._owned: dict[str, list[nn.Parameter]] = {}
        self.kept: set[nn.Parameter] = set()  # what the languages own that this process keeps

    def keeps(self, tag: str) -> bool:
        """Whether this process keeps a language."""
        return self._keeper[tag] == self.ranks.rank

    def memory(self, tag: str) -> Memory:
        """Where the pack of the next language is to lie."""
        return self._home.memory(tag) if self._home and self.keeps(tag) else torch.empty

    def adopt(self, tag: str, parameters: Sequence[nn.Parameter]) -> None:
        """Take in a language: keep it, or forget its values."""
        self._owned[tag] = list(parameters)
        if not self.keeps(tag):
            self._forget(tag)
            return
        self.kept.update(parameters)
        if self._home:
            self._home.adopt(tag, parameters)
            return
        for parameter in parameters:
            parameter.data = parameter.data.to(self.ranks.device)

    def lend(self, tags: Iterable[str]) -> None:
        """Give the weights of languages to all; they are to be in their keepers' memory."""
        lent = [(tag, _flat(p.data for p in self._owned[tag])) for tag in sorted(tags)]
        self.ranks.finish([self.ranks.begin_copy(flat, self._keeper[tag]) for tag, flat in lent])
        for tag, flat in lent:
            if not self.keeps(tag):
                for parameter, values in self._parts(tag, flat):
                    parameter.data = values

    def sum_gradients(self, tags: Iterable[str]) -> None:
        """Leave the sums of the gradients of lent languages with their keepers; the others have none then."""
        sums = [(tag, _flat(map(_gradient, self._owned[tag]))) for tag in sorted(tags)]
        self.ranks.finish([self.ranks.begin_sum(flat, "packs", to=self._keeper[tag]) for tag, flat in sums])
        for tag, flat in sums:
            for parameter, values in self._parts(tag, flat):
                parameter.grad = values if self.keeps(tag) else None

    def take_back(self, tags: Iterable[str]) -> None:
        """Forget what was lent."""
        for tag in tags:
            if not self.keeps(tag):
                self._forget(tag)

    def lending_each(self, tags: Iterable[str]) -> Iterator[str]:
        """The languages one after the other, each lent to all while the caller works on it."""
        for tag in tags:
            self.lend((tag,))
            yield tag
            self.take_back((tag,))

    def _forget(self, tag: str) -> None:
        for parameter in self._owned[tag]:
            parameter.grad = None
            parameter.data = hollow(parameter.data, self.ranks.device)

    def _parts(self, tag: str, flat: Tensor) -> Iterator[tuple[nn.Parameter, Tensor]]:
        owned = self._owned[tag]
        for parameter, values in zip(owned, flat.split([p.numel() for p in owned]), strict=True):
            yield parameter, values.view(parameter.shape)


def lending(
    keepers: Keepers | None, update: Callable[[State, GlobalBatch], StepMetrics]
) -> Callable[[State, GlobalBatch], StepMetrics]:
    """An update whose languages are lent to all while it runs."""
    if keepers is None:
        return update

    def lent(state: State, batch: GlobalBatch) -> StepMetrics:
        tags = languages_of(batch)
        keepers.lend(tags)
        metrics = update(state, batch)
        keepers.take_back(tags)
        return metrics

    return lent


def _flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
