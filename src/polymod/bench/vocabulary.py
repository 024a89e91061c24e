"""What every step pays for all rows of a large vocabulary, whichever of them its text has.

The output matrix is the embedding, and the softmax is over all of it: its gradient is dense, and so is the
optimiser's work. A step pays for it once in each micro-batch, or once.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from typing import Any

from torch.profiler import ProfilerActivity, profile

from polymod.bench.timing import ratio

PRODUCTS = ("aten::mm", "aten::addmm", "aten::addmm_", "aten::bmm")
OPTIMISER = ("aten::_fused_adamw_",)


def shares(step: Callable[[], object], rows: int, rounds: int) -> dict[str, Any]:
    """Share of a step that goes to all rows: passes over them that are no matrix products, and AdamW."""
    found: dict[str, list[float]] = {"products": [], "optimiser": [], "passes": [], "seconds": []}
    step()
    for _ in range(rounds):
        with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiler:
            step()
        events = list(profiler.key_averages(group_by_input_shape=True))
        found["seconds"].append(_seconds(events))
        found["products"].append(_seconds(each for each in events if each.key in PRODUCTS))
        found["optimiser"].append(_seconds(each for each in events if each.key in OPTIMISER))
        of_rows = (
            each for each in events if [rows] in _first(each.input_shapes) and each.key not in PRODUCTS
        )
        found["passes"].append(_seconds(of_rows))
    dense = [a + b for a, b in zip(found["optimiser"], found["passes"], strict=True)]
    medians = {name: statistics.median(values) for name, values in found.items()}
    return {"ratio": ratio(dense, found["seconds"]), "unit": "of a step", "medians": medians}


def _first(shapes: Iterable[list[int]]) -> list[list[int]]:
    """The first dimension of each matrix."""
    return [shape[:1] for shape in shapes if len(shape) == 2]


def _seconds(events: Iterable[Any]) -> float:
    return float(sum(each.self_cpu_time_total for each in events)) / 1e6
