"""Gradients summed over processes: the trunk's in buckets while backward still runs, those of the languages
of a step after it. Nothing is sent for a language that is not in the step.

Micro-batches are scaled by the predicted tokens of the whole step, so sums are all that is needed: no mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from polymod.batch import GlobalBatch
from polymod.metrics import StepMetrics
from polymod.model.partition import TRUNK, owner
from polymod.train.keepers import Keepers
from polymod.train.parallel import Ranks
from polymod.train.sharding import is_spread

BUCKET_BYTES = 25 * 2**20


class Reducer:
    """Sums gradients of a model over ``ranks``; with one process it does nothing.

    A rank without rows of a language, or of anything, takes part with zeros: the same exchanges happen
    everywhere in the same order, because the languages of a step are known to all without a word.

    Args:
        bucket_bytes: size of an exchange; smaller ones begin earlier, larger ones cost less.
        keepers: who gets the sums of a language; all do if nobody keeps it for the others.
    """

    def __init__(
        self,
        model: nn.Module,
        ranks: Ranks,
        bucket_bytes: int = BUCKET_BYTES,
        keepers: Keepers | None = None,
    ) -> None:
        self.model, self.ranks, self.keepers, self._bucket_bytes = model, ranks, keepers, bucket_bytes
        self._trunk: list[nn.Parameter] = []
        self._packs: dict[str, list[nn.Parameter]] = {}
        if not ranks.alone:
            for name, parameter in model.named_parameters():
                tag = owner(name)
                if is_spread(parameter):  # its gradient comes as a share of the sum already
                    continue
                (self._trunk if tag is TRUNK else self._packs.setdefault(tag, [])).append(parameter)

    @contextmanager
    def summing(self, batch: GlobalBatch, metrics: StepMetrics) -> Iterator[None]:
        """Afterwards the gradients and losses of what was computed within are those of the whole step.

        A bucket leaves as soon as each of its gradients has come once per micro-batch, the last layer's
        first.
        """
        if self.ranks.alone:
            yield
            return
        buckets = _Buckets(self._trunk, self.ranks, len(batch.micro), self._bucket_bytes)
        with buckets.filling():
            yield
        buckets.finish()
        self.sum_packs(batch)
        self.ranks.sum_losses(metrics.by_language, batch.targets_of)

    def sum_packs(self, batch: GlobalBatch) -> None:
        """Sum the gradients of all that the languages of a step own."""
        if self.ranks.alone:
            return
        if self.keepers is not None:
            self.keepers.sum_gradients(batch.targets_of)
            return
        active = [p for tag in batch.targets_of for p in self._packs.get(tag, ()) if p.requires_grad]
        works, flats = [], []
        for bucket in _split(active, self._bucket_bytes):
            flats.append((bucket, _flat(bucket)))
            works.append(self.ranks.begin_sum(flats[-1][1], "packs"))
        self.ranks.finish(works)
        for bucket, flat in flats:
            _give(bucket, flat)


class _Buckets:
    """The trunk's gradients of one step on their way."""

    def __init__(self, trunk: list[nn.Parameter], ranks: Ranks, backwards: int, size: int) -> None:
        self._ranks, self._backwards = ranks, backwards
        self._parameters = [p for p in reversed(trunk) if p.requires_grad]
        self._buckets = _split(self._parameters, size)
        self._bucket_of = {p: number for number, bucket in enumerate(self._buckets) for p in bucket}
        self._missing = [len(bucket) for bucket in self._buckets]
        self._came = dict.fromkeys(self._parameters, 0)
        self._flats: list[Tensor] = []
        self._works: list[dist.Work | None] = []

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Send what is complete, in an order that is the same everywhere."""
        hooks = [p.register_post_accumulate_grad_hook(self._arrived) for p in self._parameters]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def finish(self) -> None:
        """Send the rest, and leave the sums in ``.grad``; what had a gradient nowhere has none."""
        had = [int(p.grad is not None) for p in self._parameters]
        while len(self._flats) < len(self._buckets):
            self._send()
        had = self._ranks.most(had)
        self._ranks.finish(self._works)
        for bucket, flat in zip(self._buckets, self._flats, strict=True):
            _give(bucket, flat)
        for parameter, somewhere in zip(self._parameters, had, strict=True):
            if not somewhere:
                parameter.grad = None

    def _arrived(self, parameter: nn.Parameter) -> None:
        self._came[parameter] += 1
        if self._came[parameter] == self._backwards:
            self._missing[self._bucket_of[parameter]] -= 1
        while len(self._flats) < len(self._buckets) and not self._missing[len(self._flats)]:
            self._send()

    def _send(self) -> None:
        self._flats.append(_flat(self._buckets[len(self._flats)]))
        self._works.append(self._ranks.begin_sum(self._flats[-1], "trunk"))


def _split(parameters: list[nn.Parameter], size: int) -> list[list[nn.Parameter]]:
    """Neighbours together, up to ``size`` bytes."""
    buckets: list[list[nn.Parameter]] = []
    room = 0
    for parameter in parameters:
        needed = parameter.numel() * parameter.element_size()
        if needed > room or not buckets:
            buckets.append([])
            room = size
        buckets[-1].append(parameter)
        room -= needed
    return buckets


def _flat(parameters: list[nn.Parameter]) -> Tensor:
    """Their gradients as one vector, zeros where there is none."""
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])


def _give(parameters: list[nn.Parameter], flat: Tensor) -> None:
    """Parts of a vector as gradients."""
    for parameter, values in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = values.view_as(parameter)
