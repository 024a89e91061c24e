"""Examples of a task -> batches; those of training are a pure function of ``(seed, step)``.

N packed rows, S sequences, M target rows.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from polymod.batch import Batch, GlobalBatch
from polymod.data.packing import packed
from polymod.data.random import key, permute
from polymod.tasks.encoded import Encoded
from polymod.tasks.task import Example, Task


@dataclass(frozen=True)
class Coded:
    """Examples of one language and their sequences: one each, or several windows of a long one."""

    tag: str
    examples: Sequence[Example]
    encoded: Sequence[Sequence[Encoded]]

    @property
    def sequences(self) -> list[Encoded]:
        """The sequences of all examples, in order."""
        return [sequence for sequences in self.encoded for sequence in sequences]


def code(
    task: Task,
    examples: Sequence[Example],
    tag: str,
    tokenizer: Tokenizer,
    labels: Sequence[str],
    longest: int,
) -> Coded:
    """Encode the examples of one language in sequences of at most ``longest`` tokens."""
    encoded = [task.encode(example, tokenizer, tuple(labels), longest) for example in examples]
    return Coded(tag, examples, encoded)


def some(examples: Sequence[Any], most: int) -> list[Any]:
    """At most ``most`` of the examples (0: all), in their order: a random choice that never changes.

    It depends on the numbers only, so that aligned files give aligned choices.
    """
    count = len(examples)
    if not most or most >= count:
        return list(examples)
    index_B = np.arange(most, dtype=np.int64)
    keys_B = np.full(most, key("some examples", count))
    chosen_B = permute(index_B, np.full_like(index_B, count), keys_B)
    return [examples[index] for index in np.sort(chosen_B)]


class TrainingSet:
    """Batches of the sequences of one or several languages, mixed. Each epoch has every sequence once, in an
    order of its own; its last batch may be smaller.
    """

    def __init__(self, sets: Sequence[Coded], *, batch_size: int, micro_tokens: int, seed: int) -> None:
        self._sequences = [sequence for each in sets for sequence in each.sequences]
        self._tags = [each.tag for each in sets for _ in each.sequences]
        self._batch_size, self._micro_tokens, self._seed = batch_size, micro_tokens, seed

    def __len__(self) -> int:
        return len(self._sequences)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""
        return math.ceil(len(self) / self._batch_size)

    def at(self, step: int) -> GlobalBatch:
        """The batch of one optimiser step, sorted by language and length, cut at the budget."""
        epoch, number = divmod(step, self.steps_per_epoch)
        first = number * self._batch_size
        index_B = np.arange(first, min(first + self._batch_size, len(self)))
        keys_B = np.full(len(index_B), key(self._seed, "examples", epoch))
        chosen = permute(index_B, np.full_like(index_B, len(self)), keys_B).tolist()
        sequences, tags = [self._sequences[i] for i in chosen], [self._tags[i] for i in chosen]
        micro = tuple(batch for _, batch in batches(sequences, tags, budget=self._micro_tokens))
        parts = [*(batch.ids_N for batch in micro), *(batch.targets_M for batch in micro)]
        digest = hashlib.sha256(b"".join(part.numpy().tobytes() for part in parts)).hexdigest()
        return GlobalBatch(micro, sum(len(batch.targets_M) for batch in micro), digest)


def batches(
    sequences: Sequence[Encoded], tags: Sequence[str], *, budget: int
) -> Iterator[tuple[list[int], Batch]]:
    """Batches with targets within a token budget, and which sequences each holds, in row order."""
    for indices, batch in packed([sequence.ids for sequence in sequences], tags, budget=budget):
        yield indices, with_targets(batch, [sequences[index] for index in indices])


def with_targets(batch: Batch, sequences: Sequence[Encoded]) -> Batch:
    """The batch with the target rows of its sequences and their classes."""
    starts = batch.starts_S1.tolist()
    pairs = zip(starts[:-1], sequences, strict=True)
    rows_M = np.array([start + row for start, sequence in pairs for row in sequence.rows], dtype=np.int64)
    targets = [target for sequence in sequences for target in sequence.targets]
    stops = np.searchsorted(rows_M, [span.stop for span in batch.route.spans])
    return replace(
        batch,
        target_rows_M=torch.from_numpy(rows_M),
        targets_M=torch.tensor(targets, dtype=torch.int64),
        target_counts=tuple(np.diff(stops, prepend=0).tolist()),
    )
