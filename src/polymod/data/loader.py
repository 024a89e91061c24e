"""Token shards -> batches, by step number. ``at(step)`` is a pure function; a thread may call it ahead.

B blocks of a batch, T tokens of a block, N = B T packed rows, M predicted rows.
"""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from polymod.batch import Batch, GlobalBatch, Route
from polymod.data.masking import Masking
from polymod.data.mixture import Blocks, Mixture, shares
from polymod.data.random import key, mix
from polymod.errors import UserError

D = TypeVar("D")
Ids = NDArray[np.int64]


class Tokens(Protocol):
    """Where tokens come from: one stream per language and split."""

    def num_tokens(self, tag: str, split: str) -> int:
        """Length of a stream."""

    def take(self, tag: str, split: str, starts_B: Ids, length: int) -> NDArray[np.unsignedinteger]:
        """Stretches of a stream, (B, length)."""


@dataclass(frozen=True)
class BatchPlan:
    """Sizes and order of the training data.

    Attributes:
        block: T, tokens of a block.
        batch_tokens: N of a global batch, rounded down to whole blocks.
        micro_tokens: N of a micro-batch at most.
        alpha: exponent of the mixture.
        seed: decides order and masks.
        most: training tokens of a language that are used, the first ones; 0: all.
    """

    block: int
    batch_tokens: int
    micro_tokens: int
    alpha: float
    seed: int
    most: int = 0


class TrainLoader:
    """Global batches of full blocks, in the mixture's proportions.

    A block is ``<s>`` and T - 1 tokens of its language's stream, in which ``</s>`` ends every document.

    Raises:
        UserError: a language has too few tokens for one block, or a batch is smaller than a block.
    """

    def __init__(
        self, tokens: Tokens, tags: Sequence[str], masking: Masking, plan: BatchPlan, *, bos_id: int
    ) -> None:
        block, smallest = plan.block, min(plan.batch_tokens, plan.micro_tokens)
        there = {tag: tokens.num_tokens(tag, "train") for tag in tags}
        num_tokens = {tag: min(count, plan.most or count) for tag, count in there.items()}
        for tag, count in num_tokens.items():
            if count < block - 1:
                what = f"language {tag!r} has {count:,} training tokens, a block needs {block - 1:,}"
                raise UserError(what, fix="lower --train.block-tokens, add text, or leave the language out")
        if smallest < block:
            fix = "raise --train.batch-tokens and --train.micro-tokens, or lower --train.block-tokens"
            raise UserError(f"a batch of {smallest} tokens holds no block of {block}", fix=fix)
        self.tokens, self.masking, self.bos_id, self.seed = tokens, masking, bos_id, plan.seed
        self.block = block
        self.blocks_per_batch, self.blocks_per_micro = plan.batch_tokens // block, plan.micro_tokens // block
        self.mixture = Mixture(shares(num_tokens, plan.alpha), plan.seed)
        self.blocks = {tag: Blocks(count, block - 1, plan.seed, tag) for tag, count in num_tokens.items()}

    def at(self, step: int) -> GlobalBatch:
        """The batch of one optimiser step: languages in order, so that a micro-batch holds few of them."""
        first = step * self.blocks_per_batch
        language_B, number_B = self.mixture.at(np.arange(first, first + self.blocks_per_batch))
        order = np.lexsort((number_B, language_B))
        language_B, number_B = language_B[order], number_B[order]
        tags = [self.mixture.tags[index] for index in language_B]
        ids_BT = np.empty((len(tags), self.block), dtype=np.int64)
        key_B = np.empty(len(tags), dtype=np.uint64)
        for index in np.unique(language_B):
            tag, here = self.mixture.tags[index], language_B == index
            ids_BT[here] = self._blocks(tag, number_B[here])
            key_B[here] = mix(number_B[here].astype(np.uint64) ^ key(self.seed, "masks", tag))
        masked_BT, predicted_BT = self.masking(ids_BT, key_B)
        digest = hashlib.sha256(masked_BT.tobytes() + ids_BT.tobytes()).hexdigest()
        cuts = range(0, len(tags), self.blocks_per_micro)
        micro = tuple(
            pack_blocks(tags[cut:end], masked_BT[cut:end], ids_BT[cut:end], predicted_BT[cut:end])
            for cut, end in ((cut, cut + self.blocks_per_micro) for cut in cuts)
        )
        return GlobalBatch(micro, int(predicted_BT.sum()), digest)

    def epochs(self, steps: int) -> dict[str, float]:
        """How often each language's text is seen in that many steps."""
        seen = self.tokens_seen(steps)
        return {tag: seen[tag] / (self.block * self.blocks[tag].per_epoch) for tag in self.mixture.tags}

    @property
    def tokens_per_batch(self) -> int:
        """Tokens of a step; whole blocks."""
        return self.blocks_per_batch * self.block

    def tokens_seen(self, steps: int) -> dict[str, float]:
        """Training tokens of each language in that many steps, ``<s>`` included, as the mixture has them."""
        share_L = self.mixture.quota_L / self.mixture.cycle
        seen = steps * self.tokens_per_batch
        return {tag: float(share) * seen for tag, share in zip(self.mixture.tags, share_L, strict=True)}

    def _blocks(self, tag: str, number_B: Ids) -> Ids:
        stream_BT = self.tokens.take(tag, "train", self.blocks[tag].starts(number_B), self.block - 1)
        return np.concatenate([np.full((len(number_B), 1), self.bos_id), stream_BT.astype(np.int64)], axis=1)


def valid_batches(
    tokens: Tokens,
    tag: str,
    masking: Masking,
    plan: BatchPlan,
    *,
    bos_id: int,
    limit: int,
    split: str = "valid",
) -> Iterator[Batch]:
    """The first ``limit`` tokens of a held-out split in order, with masks that never change."""
    size = plan.block - 1
    total = min(tokens.num_tokens(tag, split), limit)
    whole = total // size
    starts_B, per_micro = np.arange(whole, dtype=np.int64) * size, max(1, plan.micro_tokens // plan.block)
    pieces = [(starts_B[cut : cut + per_micro], size) for cut in range(0, whole, per_micro)]
    if total % size >= min(size, 8):  # the last, shorter block
        pieces.append((np.array([whole * size]), total % size))
    for starts, length in pieces:
        stream = tokens.take(tag, split, starts, length).astype(np.int64)
        ids_BT = np.concatenate([np.full((len(starts), 1), bos_id), stream], axis=1)
        masked_BT, predicted_BT = masking(ids_BT, mix(starts.astype(np.uint64) ^ key(0, split, tag)))
        yield pack_blocks([tag] * len(starts), masked_BT, ids_BT, predicted_BT)


def pack_blocks(tags: Sequence[str], masked_BT: Ids, ids_BT: Ids, predicted_BT: NDArray[np.bool_]) -> Batch:
    """A micro-batch of equally long blocks whose tags come in runs."""
    lengths = (masked_BT.shape[1],) * len(tags)
    return pack(tags, lengths, masked_BT.reshape(-1), ids_BT.reshape(-1), predicted_BT.reshape(-1))


def pack(
    tags: Sequence[str], lengths: Sequence[int], masked_N: Ids, ids_N: Ids, predicted_N: NDArray[np.bool_]
) -> Batch:
    """A micro-batch of sequences of any lengths whose tags come in runs."""
    route = Route.of(tags, lengths)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    rows_M = np.flatnonzero(predicted_N)
    stops = np.searchsorted(rows_M, [span.stop for span in route.spans])
    return Batch(
        ids_N=torch.from_numpy(np.ascontiguousarray(masked_N)),
        positions_N=torch.from_numpy(np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)),
        starts_S1=torch.from_numpy(starts.astype(np.int32)),
        lengths=tuple(lengths),
        route=route,
        target_rows_M=torch.from_numpy(rows_M),
        targets_M=torch.from_numpy(ids_N[rows_M]),
        target_counts=tuple(np.diff(stops, prepend=0).tolist()),
    )


@contextmanager
def prefetch(at: Callable[[int], D], start: int, stop: int, depth: int = 2) -> Iterator[Iterator[D]]:
    """``at(start), ...`` up to ``stop``, computed ahead by one thread, whose errors come out here."""
    ready: queue.Queue[D | BaseException] = queue.Queue(maxsize=depth)
    cancelled = threading.Event()

    def put(item: D | BaseException) -> None:
        while not cancelled.is_set():
            try:
                ready.put(item, timeout=0.1)
                return
            except queue.Full:
                pass

    def work() -> None:
        try:
            for step in range(start, stop):
                if cancelled.is_set():
                    return
                put(at(step))
        except BaseException as error:
            put(error)

    def items() -> Iterator[D]:
        for _ in range(start, stop):
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        yield items()
    finally:
        cancelled.set()
        thread.join()
