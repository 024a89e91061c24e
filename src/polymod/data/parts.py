"""A batch cut at its sequences: what each of several processes computes of a step.

S sequences, N packed rows, M predicted rows, R processes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from polymod.batch import Batch, GlobalBatch, Route


def part(batch: GlobalBatch, rank: int, size: int, *, evenly: bool = False) -> GlobalBatch:
    """The sequences of one of ``size`` processes: a stretch of the batch with about an even share of tokens.

    Together the parts are the batch, in its order. As languages lie in order, a process has few of them, and
    most languages are in one part only. A part may be empty.

    Args:
        evenly: all parts have as many micro-batches; those that lack some get ones that predict nothing.
    """
    if size == 1:
        return batch
    total, before, micro, counts_R = batch.num_tokens, 0, [], np.zeros(size, np.int64)
    for each in batch.micro:
        starts = before + np.cumsum([0, *each.lengths[:-1]])
        middle_S = starts + np.array(each.lengths) / 2
        ranks_S = (middle_S * size / total).astype(np.int64)
        here = np.flatnonzero(ranks_S == rank)
        counts_R[np.unique(ranks_S)] += 1
        if len(here):
            micro.append(cut(each, int(here[0]), int(here[-1]) + 1))
        before += each.num_tokens
    if evenly:
        micro += [_nothing(batch)] * (int(counts_R.max()) - len(micro))
    return replace(batch, micro=tuple(micro), whole=batch)


def _nothing(batch: GlobalBatch) -> Batch:
    """A token of the step's first language, with nothing to predict: a pass of which only zeros come."""
    first = batch.micro[0]
    return Batch.pack([first.ids_N[:1]], first.route.tags[:1])


def cut(batch: Batch, first: int, stop: int) -> Batch:
    """Sequences ``first`` to ``stop`` of a batch, with their targets."""
    start, end = sum(batch.lengths[:first]), sum(batch.lengths[:stop])
    inside = [(tag, max(a, start), min(b, end)) for tag, a, b in batch.route.spans if a < end and b > start]
    route = Route.of([tag for tag, _, _ in inside], [b - a for _, a, b in inside])
    rows = batch.target_rows_M.numpy()
    low, high = np.searchsorted(rows, [start, end]).tolist()
    stops = np.searchsorted(rows[low:high], [start + span.stop for span in route.spans])
    return Batch(
        ids_N=batch.ids_N[start:end],
        positions_N=batch.positions_N[start:end],
        starts_S1=batch.starts_S1[first : stop + 1] - start,
        lengths=batch.lengths[first:stop],
        route=route,
        target_rows_M=batch.target_rows_M[low:high] - start,
        targets_M=batch.targets_M[low:high],
        target_counts=tuple(np.diff(stops, prepend=0).tolist()),
        substitutes=batch.substitutes,
    )
