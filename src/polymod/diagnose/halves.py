"""A training batch taken apart: the sequences of each language, in two halves that have nothing in common."""

from __future__ import annotations

from polymod.batch import Batch, GlobalBatch
from polymod.data.parts import cut
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
        first += [cut(piece, 0, here)] if here else []
        second += [cut(piece, here, len(piece.lengths))] if here < len(piece.lengths) else []
    return [half for half in (first, second) if half]
