"""Progress on stderr (stdout is for results): live bars on a terminal, plain lines elsewhere.

``rich`` is imported when the first console is made, so that ``--help`` need not wait for it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

SECONDS_BETWEEN_LINES = 15.0


def stderr(quiet: bool = False) -> Console:
    """A console for people's text; one that is ``quiet`` says nothing."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet)


class Bars:
    """Named bars with a note, a rate and the time left, counting ``unit``."""

    def __init__(self, console: Console, unit: str) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description:<14}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}", markup=False),
        )
        self._live = Progress(
            *columns, TimeRemainingColumn(), TextColumn("{task.fields[note]}", markup=False), console=console
        )
        self._console, self._unit = console, unit
        self._ids: dict[str, TaskID] = {}
        self._started: dict[str, tuple[float, float]] = {}
        self._told: dict[str, float] = {}

    def add(self, name: str, total: float, done: float = 0, note: str = "", unit: str = "") -> None:
        """Begin a bar, ``done`` of whose ``total`` lies behind (a resumed job); it may have its own unit."""
        unit = unit or self._unit
        self._ids[name] = self._live.add_task(name, total=total, completed=int(done), note=note, unit=unit)
        self._started[name] = (time.monotonic(), done)
        self._told[name] = time.monotonic()

    def at(self, name: str, done: float, note: str = "", total: float | None = None) -> None:
        """Move a bar to ``done``; without a terminal a line is printed now and then."""
        task = self._ids[name]
        self._live.update(task, completed=done, note=note, total=total)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._told[name] > SECONDS_BETWEEN_LINES:
            self._told[name] = now
            self._line(name, done, note)

    def remove(self, name: str, note: str = "", quiet: bool = False) -> None:
        """End a bar; without a terminal the last state is printed, unless ``quiet``."""
        task = self._ids.pop(name)
        if not self._console.is_terminal and not quiet:
            self._line(
                name, self._live.tasks[self._live.task_ids.index(task)].completed, note or "done", ended=task
            )
        self._live.remove_task(task)

    def print(self, text: str) -> None:
        """A line above the bars."""
        self._live.console.print(text, markup=False)

    def _line(self, name: str, done: float, note: str, ended: TaskID | None = None) -> None:
        task = self._live.tasks[self._live.task_ids.index(ended if ended is not None else self._ids[name])]
        total, unit = task.total or 0, task.fields["unit"]
        started, before = self._started[name]
        rate = (done - before) / max(time.monotonic() - started, 1e-9)
        left = (
            f", {max(total - done, 0) / rate:,.0f} s left"
            if rate > 0 and done < total and ended is None
            else ""
        )
        self.print(f"{name}: {done:,.0f} of {total:,.0f} {unit}{left}{'  ' + note if note else ''}")

    def __enter__(self) -> Bars:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._console.is_terminal:  # elsewhere it would print an empty line
            self._live.stop()


@contextmanager
def bars(unit: str, console: Console | None = None) -> Iterator[Bars]:
    """A group of bars counting ``unit``."""
    with Bars(console or stderr(), unit) as group:
        yield group
