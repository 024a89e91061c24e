"""Progress of a stage: a bar for the whole, and one for every large language that is being worked on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from polymod.progress import Bars
from polymod.text.workers import Event, Work, Workers

OWN_BAR = 8e6  # bytes from which on a language has a bar of its own
_UNITS = (("MB", 1e6), ("KB", 1e3), ("bytes", 1.0))


class Task(Protocol):
    """A unit of work on one language; ``size`` is in bytes."""

    @property
    def tag(self) -> str: ...
    @property
    def size(self) -> int: ...


T = TypeVar("T", bound=Task)
R = TypeVar("R")


def watched(workers: Workers, work: Work[T, R], tasks: Sequence[T], bars: Bars, stage: str) -> dict[str, R]:
    """Work through the tasks of a stage with bars; returns the last result of every language."""
    results: dict[str, R] = {}
    if not tasks:
        return results
    watch = Watch(bars, stage, tasks)
    for event in workers.run(work, watch.largest_first(tasks)):
        watch.take(event)
        for result in event.results:
            results[event.task.tag] = result
    watch.close()
    return results


def unit_of(size: float) -> tuple[str, float]:
    """The unit that so many bytes are shown in, and how many bytes it has."""
    return next((each for each in _UNITS if size >= each[1]), _UNITS[-1])


class Watch:
    """Turns the events of workers into bars.

    Args:
        tasks: all that will be done in the stage.
    """

    def __init__(self, bars: Bars, stage: str, tasks: Sequence[Task]) -> None:
        self._bars, self._stage = bars, stage
        self._left: Counter[str] = Counter()
        for task in tasks:
            self._left[task.tag] += task.size
        self._size = dict(self._left)
        self._of_task: Counter[int] = Counter()
        self._shown: set[str] = set()
        self._done = 0
        total = sum(self._size.values())
        self._unit, self._per = unit_of(total)
        bars.add(stage, total / self._per, unit=self._unit)

    def largest_first(self, tasks: Sequence[T]) -> list[T]:
        """Tasks by language, the largest language first, so that few languages are in work at once."""
        return sorted(tasks, key=lambda task: (-self._size[task.tag], task.tag))

    def take(self, event: Event[Any, Any]) -> None:
        """Move the bars."""
        task: Task = event.task
        left_of_task = task.size - self._of_task[id(task)]
        amount = left_of_task if event.results else min(event.done, left_of_task)
        self._of_task[id(task)] += amount
        self._done += amount
        self._left[task.tag] -= amount
        self._bars.at(self._stage, self._done / self._per, note=task.tag)
        self._move_language(task.tag, ended=bool(event.results))

    def close(self) -> None:
        """End the stage's bars."""
        self._bars.remove(self._stage)

    def _move_language(self, tag: str, *, ended: bool) -> None:
        if self._size[tag] < OWN_BAR:
            return
        if tag not in self._shown:
            self._bars.add(tag, self._size[tag] / self._per, unit=self._unit)
            self._shown.add(tag)
        self._bars.at(tag, (self._size[tag] - self._left[tag]) / self._per)
        if ended and self._left[tag] <= 0:
            self._bars.remove(tag, quiet=True)
            self._shown.remove(tag)
