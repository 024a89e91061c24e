"""Sequences of any lengths -> packed batches within a token budget, for reading a model (no targets).

Sorted by language, then by length: each batch has few languages, and sequences of one length lie side by
side, so that attention takes them in one call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from polymod.batch import Batch


def packed(
    sequences: Sequence[Sequence[int]], tags: Sequence[str], *, budget: int = 2**13
) -> Iterator[tuple[list[int], Batch]]:
    """Batches of at most ``budget`` tokens (a longer sequence comes alone).

    Args:
        sequences: S lists of token ids, none empty.
        tags: language of each.

    Yields:
        Which of the given sequences the batch holds, in row order, and the batch.
    """
    order = sorted(range(len(sequences)), key=lambda i: (tags[i], len(sequences[i])))
    chosen: list[int] = []
    tokens = 0
    for index in order:
        if chosen and tokens + len(sequences[index]) > budget:
            yield chosen, _batch(sequences, tags, chosen)
            chosen, tokens = [], 0
        chosen.append(index)
        tokens += len(sequences[index])
    if chosen:
        yield chosen, _batch(sequences, tags, chosen)


def _batch(sequences: Sequence[Sequence[int]], tags: Sequence[str], chosen: Sequence[int]) -> Batch:
    return Batch.pack([torch.tensor(sequences[i]) for i in chosen], [tags[i] for i in chosen])
