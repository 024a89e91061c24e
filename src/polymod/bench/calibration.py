"""How long a step of a run takes here, from a few steps on made-up data."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from polymod.batch import GlobalBatch
from polymod.bench.stepping import Noise, Work, masking, stepping
from polymod.data.loader import BatchPlan, TrainLoader


def seconds_per_step(work: Work, *, rounds: int) -> float:
    """Median seconds of a step, the optimiser included.

    Steps of one micro-batch and of two are timed in turns, and the difference counted for the others of a
    batch, so that large batches need not be run.
    """
    options, micro_of = work.options, _micro_batches(work)
    count = -(-options.batch_tokens // options.micro_tokens)
    step = stepping(work)
    small, large = micro_of(1), micro_of(min(2, count))
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(rounds + 1):
        for number, batch in ((1, small), (2, large)):
            spent = _timed(step, batch, work.device)
            if turn > 0:  # the first warms up
                seconds[number].append(spent)
    one, two = (statistics.median(spent) for spent in seconds.values())
    return two + max(0, count - 2) * max(0.0, two - one)


def _micro_batches(work: Work) -> Callable[[int], GlobalBatch]:
    """Batches of so many micro-batches, as the loader would make them."""
    options, config = work.options, work.config

    def made(count: int) -> GlobalBatch:
        tokens = min(options.batch_tokens, count * options.micro_tokens)
        plan = BatchPlan(options.block_tokens, tokens, options.micro_tokens, 0.7, 0)
        noise = Noise(config.vocab_size)
        masks = masking(config, options)
        return TrainLoader(noise, config.languages, masks, plan, bos_id=config.bos_id).at(0)

    return made


def _timed(step: Callable[[GlobalBatch], None], batch: GlobalBatch, device: torch.device) -> float:
    started = time.perf_counter()
    step(batch)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
