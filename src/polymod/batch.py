"""What a model is given: packed rows, and which rows pass through which language's modules.

N rows (real tokens of all sequences, no padding), M masked rows, S sequences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor


class Span(NamedTuple):
    """Rows ``start`` to ``stop`` pass through the pack of ``tag``; ``None`` means through no module."""

    tag: str | None
    start: int
    stop: int


@dataclass(frozen=True)
class Route:
    """Which pack every packed row passes through: data of the batch, never a mode of the model.

    Spans lie in row order without gaps; neighbours have different tags. Host integers only, so that no layer
    reads a language from the device.
    """

    spans: tuple[Span, ...]

    @classmethod
    def of(cls, tags: Sequence[str | None], lengths: Sequence[int]) -> Route:
        """Route of S sequences given each one's tag and length; equal neighbours are merged."""
        assert len(tags) == len(lengths)
        spans, stop = [], 0
        for tag, group in groupby(zip(tags, lengths, strict=True), key=lambda pair: pair[0]):
            start, stop = stop, stop + sum(length for _, length in group)
            spans.append(Span(tag, start, stop))
        return cls(tuple(spans))

    def via(self, substitutes: Mapping[str, str | None]) -> Route:
        """The same rows through other packs (or ``None``: no module). Transfer and every control is this."""
        tags = [substitutes.get(tag, tag) if tag else None for tag in self.tags]
        return Route.of(tags, [stop - start for _, start, stop in self.spans])

    @property
    def tags(self) -> tuple[str | None, ...]:
        """Tag of each span."""
        return tuple(span.tag for span in self.spans)

    @property
    def num_rows(self) -> int:
        """N."""
        return self.spans[-1].stop if self.spans else 0


@dataclass(frozen=True)
class Batch:
    """A packed micro-batch: tokens, which language they are, and what is to be predicted.

    Targets are tokens in masked language modelling and classes in a task.

    Attributes:
        ids_N: token ids after masking, int64.
        positions_N: position of each token in its sequence, from 0, int64.
        starts_S1: first row of each sequence and N at the end, int32 (``cu_seqlens`` of attention kernels).
        lengths: tokens of each sequence, on the host.
        route: language of every row, by name.
        target_rows_M: rows at which a token is predicted, ascending, int64.
        targets_M: the tokens that stood there, or classes; (S, 2) rows within the sequence for spans; int64.
        target_counts: how many of the M lie in each span of the route, on the host.
        substitutes: languages whose rows pass through another pack, or through none.
    """

    ids_N: Tensor
    positions_N: Tensor
    starts_S1: Tensor
    lengths: tuple[int, ...]
    route: Route
    target_rows_M: Tensor
    targets_M: Tensor
    target_counts: tuple[int, ...]
    substitutes: Mapping[str, str | None] = field(default_factory=dict)

    @classmethod
    def pack(cls, sequences: Sequence[Tensor], tags: Sequence[str | None]) -> Batch:
        """Pack S unpadded sequences of ids in the order given, with nothing to predict."""
        lengths = tuple(len(ids) for ids in sequences)
        starts = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
        none = torch.zeros(0, dtype=torch.int64)
        positions = torch.cat([torch.arange(length) for length in lengths]) if lengths else none
        ids = torch.cat([ids.to(torch.int64) for ids in sequences]) if lengths else none
        route = Route.of(tags, lengths)
        return cls(ids, positions, starts, lengths, route, none, none, (0,) * len(route.spans))

    @property
    def num_tokens(self) -> int:
        """N, the real tokens."""
        return len(self.ids_N)

    def via(self, substitutes: Mapping[str, str | None]) -> Batch:
        """The same text through other packs (``None``: no module): transfer and every control is this.

        Only packs change. Embeddings and vocabularies stay those of the language that the text is in.
        """
        return replace(self, substitutes=substitutes)

    def to(self, device: torch.device) -> Batch:
        """The batch on another device (asynchronously from pinned memory)."""
        moved = {name: getattr(self, name).to(device, non_blocking=True) for name in _TENSORS}
        return replace(self, **moved)

    def pinned(self) -> Batch:
        """The batch in page-locked host memory."""
        return replace(self, **{name: getattr(self, name).pin_memory() for name in _TENSORS})


@dataclass(frozen=True)
class GlobalBatch:
    """What one optimiser step is made of.

    Attributes:
        micro: micro-batches whose gradients are added.
        num_targets: predicted tokens of the whole step; the loss is their mean.
        digest: hash of all token ids and targets of the step, to prove that two runs saw the same data.
        whole: the batch of all processes, if this one computes only a part of it.
    """

    micro: tuple[Batch, ...]
    num_targets: int
    digest: str
    whole: GlobalBatch | None = None

    @property
    def num_tokens(self) -> int:
        """Tokens of the whole step."""
        return sum(micro.num_tokens for micro in (self.whole or self).micro)

    @property
    def targets_of(self) -> dict[str, int]:
        """Predicted tokens of each language of the whole step, in the order of the batch."""
        counts: dict[str, int] = {}
        for micro in (self.whole or self).micro:
            for tag, count in zip(micro.route.tags, micro.target_counts, strict=True):
                counts[tag or "none"] = counts.get(tag or "none", 0) + count
        return counts

    def pinned(self) -> GlobalBatch:
        """The batch in page-locked host memory."""
        return replace(self, micro=tuple(batch.pinned() for batch in self.micro))


_TENSORS = ("ids_N", "positions_N", "starts_S1", "target_rows_M", "targets_M")
