"""Timing. Machines are noisy: only ratios of runs that took turns are worth writing down."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def interleaved(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contender in each round, after one round that warms up.

    Every round runs all of them; the order turns, so that none always comes first.
    """
    return interleaved_by_two_clocks(contenders, rounds)[0]


def interleaved_by_two_clocks(
    contenders: Mapping[str, Callable[[], object]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """The same, and beside it seconds of processor time, which others on the machine disturb less."""
    names = list(contenders)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    processor: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            started, busy = time.perf_counter(), time.process_time()
            contenders[name]()
            if turn > 0:
                seconds[name].append(time.perf_counter() - started)
                processor[name].append(time.process_time() - busy)
    return seconds, processor


def training_flops(size: int = 1024, seconds: float = 0.3) -> float:
    """FLOP/s that this machine reaches in training: what its matrix products do, less what the rest costs."""
    import torch

    a = torch.randn(size, size)
    best, started = float("inf"), time.perf_counter()
    while time.perf_counter() - started < seconds:
        begun = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - begun)
    return 0.5 * 2 * size**3 / best  # half of the peak: measured in docs/results/speed.md


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> dict[str, Any]:
    """Median, least and largest of the ratios of each round."""
    ratios = [a / b for a, b in zip(numerators, denominators, strict=True)]
    return {
        "median": statistics.median(ratios),
        "min": min(ratios),
        "max": max(ratios),
        "rounds": len(ratios),
    }
