"""The loop: one explicit ``for`` over steps. What a step does is the update; what happens now and then is a
job.
"""

from __future__ import annotations

import gc
import hashlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import TypeVar

import torch

from polymod.data.loader import prefetch
from polymod.errors import Failure, Stopped
from polymod.metrics import StepMetrics
from polymod.model.heads import MaskedLM
from polymod.model.tasks import TaskModel
from polymod.train.keepers import Keepers
from polymod.train.parallel import Ranks
from polymod.train.reducer import Reducer
from polymod.train.residency import Residency

D = TypeVar("D")
MOST_SKIPS = 10  # steps in a row whose gradients are not finite
_STEPS_PER_COLLECTION = 200


@dataclass(frozen=True)
class Written:
    """A checkpoint that a state was written to or read from.

    Attributes:
        updates: how often the optimiser had moved the parameters of each owner (``None``: the trunk).
    """

    folder: Path
    updates: Mapping[str | None, int]


@dataclass
class TrainState:
    """All that a checkpoint holds, the rest being a function of ``(seed, step)``; and who works on it.

    Attributes:
        step: optimiser steps done.
        chain: hash over the batches seen so far, in order.
        extra: what the update carries from one step to the next.
        written: the newest checkpoint, which holds what has not changed since then.
        residency: which languages are in memory, if not all of them.
        keepers: which process keeps which language, if not each of them all.
        ranks: the processes that take part.
        reducer: sums gradients over them.
    """

    model: MaskedLM | TaskModel
    optimizer: torch.optim.AdamW
    step: int = 0
    chain: str = ""
    extra: dict[str, torch.Tensor] = field(default_factory=dict)
    written: Written | None = None
    residency: Residency | None = None
    keepers: Keepers | None = None
    ranks: Ranks = field(default_factory=Ranks)
    reducer: Reducer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.reducer = Reducer(self.model, self.ranks, keepers=self.keepers)

    @cached_property
    def parameters(self) -> tuple[torch.nn.Parameter, ...]:
        """Of the model, in its order. Kept, because to find them takes long with 2,000 languages."""
        return tuple(self.model.parameters())


Update = Callable[[TrainState, D], StepMetrics]


@dataclass(frozen=True)
class Job:
    """Something to do after every so many steps and at the end; ``on_stop``: also at a stop signal."""

    every: int
    run: Callable[[TrainState, bool], None]  # told whether it is the last time
    on_stop: bool = False


def fit(
    state: TrainState,
    update: Update[D],
    data_at: Callable[[int], D],
    *,
    until: int,
    seed: int,
    log: Callable[[TrainState, StepMetrics], None],
    jobs: Sequence[Job] = (),
) -> None:
    """Bring ``state`` to step ``until``.

    Raises:
        Stopped: SIGINT, SIGTERM or SIGUSR1 came; the step in progress was finished and the ``on_stop`` jobs
            ran.
        Failure: the gradients of ten steps in a row were not finite.
    """
    skipped = 0
    with prefetch(data_at, state.step, until) as batches, _signals() as received, _collection():
        state.ranks.in_step = True
        for batch in batches:
            state.ranks.seed(seed, "dropout", state.step)
            metrics = update(state, batch)
            state.step += 1
            state.chain = hashlib.sha256(f"{state.chain}{metrics.digest}".encode()).hexdigest()
            log(state, metrics)
            skipped = skipped + 1 if metrics.skipped else 0
            if skipped == MOST_SKIPS:
                raise Failure(
                    f"the gradients of {skipped} steps in a row are not finite", fix=_advice(metrics)
                )
            (stop,) = state.ranks.most(received[:1] or [0])  # a signal to one process stops all
            last = state.step == until or bool(stop)
            state.ranks.in_step = False
            for job in jobs:
                if state.step % job.every == 0 or state.step == until or (stop and job.on_stop):
                    job.run(state, last)
            if stop and state.step < until:
                state.ranks.wait()  # until the first one has saved
                name = signal.Signals(stop).name
                raise Stopped(
                    f"stopped by {name} after step {state.step:,}, saved", fix="run the same command to go on"
                )
            if state.step % _STEPS_PER_COLLECTION == 0:
                gc.collect()
            state.ranks.in_step = state.step < until


def _advice(metrics: StepMetrics) -> str:
    bad = [tag for tag, losses in metrics.by_language.items() if not abs(losses.mean) < float("inf")]
    languages = f"the loss is not finite in {', '.join(bad)}; " if bad else ""
    return f"{languages}lower --train.learning-rate or raise --train.warmup; the last checkpoint is whole"


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect stop signals instead of dying of them; a second one of the same kind kills at once."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def remember(number: int, _: FrameType | None) -> None:
        received.append(number)
        signal.signal(number, old[signal.Signals(number)])

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    old = {number: signal.signal(number, remember) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextmanager
def _collection() -> Iterator[None]:
    """Collect garbage between steps, not within them."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
