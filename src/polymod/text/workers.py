"""Several processes that work through tasks and tell how far they are; none outlives its parent.

The work is a generator function of one task: it yields the amounts that it has done since the last time and
returns its result. Processes are spawned, not forked, so threads and locks of the parent do not matter.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Generic, TypeVar, cast

from polymod.errors import Failure, Stopped

T = TypeVar("T")
R = TypeVar("R")
Work = Callable[[T], Generator[int, None, R]]
# One process does the work of one core; the tokenizer must not start threads of its own beside it.
ENVIRONMENT = {"TOKENIZERS_PARALLELISM": "false"}


@dataclass(frozen=True)
class Event(Generic[T, R]):
    """Something of a task is done.

    Attributes:
        done: amount done since the task's last event.
        results: empty until the task ends, then its one result.
    """

    task: T
    done: int
    results: tuple[R, ...] = ()


class Workers:
    """A group of processes; leaving the ``with`` block ends them, whatever they do.

    Args:
        count: number of processes.
        environment: variables that are set in them.
    """

    def __init__(self, count: int, environment: Mapping[str, str] = ENVIRONMENT) -> None:
        self._count, self._environment = count, dict(environment)
        self._processes: dict[Connection, SpawnProcess] = {}

    def run(self, work: Work[T, R], tasks: Iterable[T]) -> Iterator[Event[T, R]]:
        """Work through all tasks, begun in the order given, ended in any order.

        Raises:
            Failure: a process died.
            UserError: the first one that a task raised; whatever else it raised is raised here as well.
        """
        queue, running = iter(tasks), dict[Connection, T]()
        free = list(self._processes)
        while True:
            for task in islice(queue, self._count - len(running)):
                connection = free.pop() if free else self._start()
                connection.send((work, task))
                running[connection] = task
            if not running:
                return
            for ready in wait(list(running)):
                connection = cast(Connection, ready)
                event: Event[T, R] = self._received(connection, running[connection])
                if event.results:
                    del running[connection]
                    free.append(connection)
                yield event

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(theirs, self._environment), daemon=True)
        process.start()
        theirs.close()
        self._processes[ours] = process
        return ours

    def _received(self, connection: Connection, task: T) -> Event[T, R]:
        try:
            kind, value = connection.recv()
        except EOFError:
            process = self._processes[connection]
            process.join(5)
            code = process.exitcode or 0
            how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
            fix = "if memory ran out, give fewer --processes; the same command goes on"
            raise Failure(f"a worker process died ({how})", fix=fix) from None
        if kind == "error":
            raise value
        return Event(task, value) if kind == "done" else Event(task, 0, (value,))

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes.values():
            process.terminate()
        for connection, process in self._processes.items():
            process.join()
            connection.close()


def _serve(connection: Connection, environment: Mapping[str, str]) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.environ.update(environment)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            work, task = connection.recv()
            connection.send(_worked(work(task), connection))
        except (EOFError, BrokenPipeError):
            return


def _worked(steps: Generator[int, None, R], connection: Connection) -> tuple[str, R | BaseException]:
    try:
        while True:
            connection.send(("done", next(steps)))
    except StopIteration as end:
        return "result", end.value
    except BrokenPipeError:
        raise
    except Exception as error:
        return "error", error


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGUSR1 end the block with ``Stopped``.

    In another thread than the main one nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        what = f"stopped by {signal.Signals(number).name}; what was finished is kept"
        raise Stopped(what, fix="run the same command again to go on")

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
