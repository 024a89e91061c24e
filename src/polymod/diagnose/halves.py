"""A training batch taken apart: the sequences of each language, in two halves that have nothing in common.

S sequences, N packed rows, M predicted rows.
"""

from __future__ import annotations

import torch

from polymod.batch import Batch, GlobalBatch, Route
from polymod.train.by_language import pieces_of


def halves(batch: GlobalBatch) -> dict[str, list[list[Batch]]]:
    """By language: its two halves, each in micro-batches, or one half if it has only one sequence."""
    return {tag: _halves(pieces) for tag, pieces in pieces_of(batch).items()}


def _halves(pieces: list[Batch]) -> list[list[Batch]]:
    first: list[Batch] = []
    second: list[Batch] = []
    left = (sum(len(piece.lengths) for piece in pieces) + 1) // 2  # sequences that the first half still lacks
    for piece in pieces:
        here = min(left, len(piece.lengths))
        left -= here
        first += [sequences(piece, 0, here)] if here else []
        second += [sequences(piece, here, len(piece.lengths))] if here < len(piece.lengths) else []
    return [half for half in (first, second) if half]


def sequences(batch: Batch, first: int, stop: int) -> Batch:
    """Sequences ``first`` to ``stop`` of a batch of one language, with their targets."""
    start, end = sum(batch.lengths[:first]), sum(batch.lengths[:stop])
    rows_M = batch.target_rows_M
    here_M = torch.nonzero((rows_M >= start) & (rows_M < end)).flatten()
    return Batch(
        ids_N=batch.ids_N[start:end],
        positions_N=batch.positions_N[start:end],
        starts_S1=batch.starts_S1[first : stop + 1] - start,
        lengths=batch.lengths[first:stop],
        route=Route.of([batch.route.tags[0]], [end - start]),
        target_rows_M=rows_M[here_M] - start,
        targets_M=batch.targets_M[here_M],
        target_counts=(len(here_M),),
        substitutes=batch.substitutes,
    )
