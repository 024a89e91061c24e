"""Runs as processes of their own, several at a time: what each has done, and what became of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from polymod.progress import Bars
from polymod.train.log import METRICS

_POLL = 0.1  # seconds
_TAIL = 2**16  # bytes of metrics.jsonl that hold its last line


@dataclass(frozen=True)
class Task:
    """A run to be made.

    Attributes:
        words: of the command line, from the command on.
        folder: where the run writes.
        log: where what it says is kept.
        steps: that it has in all.
    """

    name: str
    words: tuple[str, ...]
    folder: Path
    log: Path
    steps: int


def run_all(tasks: Iterable[Task], jobs: int, group: Bars, done: int = 0) -> dict[str, str]:
    """Make runs, at most ``jobs`` at a time; one that fails does not stop the others.

    However this ends, no run outlives it: each is told to save and to stop, and a second interruption kills.

    Args:
        group: bars in steps; one for all and one for each run that goes on.
        done: steps of runs that are finished already.

    Returns:
        why a run failed, by name; empty if none did.
    """
    queue, failed = deque(tasks), dict[str, str]()
    running: dict[subprocess.Popen[bytes], Task] = {}
    at = {task.name: step_of(task.folder) for task in queue}
    group.add("all runs", total=done + sum(task.steps for task in queue), done=done + sum(at.values()))
    try:
        while queue or running:
            while queue and len(running) < jobs:
                running[_started(queue[0], jobs)] = queue[0]
                task = queue.popleft()
                group.add(task.name, total=task.steps, done=at[task.name])
            time.sleep(_POLL)
            for process, task in list(running.items()):
                at[task.name] = max(at[task.name], step_of(task.folder))
                group.at(task.name, at[task.name])
                if (code := process.poll()) is not None:
                    del running[process]
                    group.remove(task.name, note="failed" if code else "done")
                    failed |= {task.name: reason(task.log, code)} if code else {}
            group.at("all runs", done + sum(at.values()), note=_note(running, queue, failed))
    finally:
        _end(running)
    group.remove("all runs", quiet=True)
    return failed


def step_of(run: Path) -> int:
    """The last step that the metrics of a run tell of; 0 if there are none."""
    try:
        with (run / METRICS).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            lines = file.read().split(b"\n")[:-1]
        return int(json.loads(lines[-1])["step"]) if lines else 0
    except (OSError, ValueError):
        return 0


def reason(log: Path, code: int) -> str:
    """What a run that failed said last."""
    said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    _, error, message = said.rpartition("error: ")
    last = message if error else next(reversed(said.strip().splitlines()), "")
    how = f"killed by signal {-code}" if code < 0 else "stopped by a signal" if code == 75 else ""
    return "; ".join(part for part in (how, last.strip()) if part) or f"exit code {code}"


def _started(task: Task, jobs: int) -> subprocess.Popen[bytes]:
    """The process of a run. Several share the cores; Ctrl-C reaches them through this process only."""
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs))} if jobs > 1 else {}
    task.log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "polymod.study.child", str(os.getpid()), *task.words]
    with task.log.open("wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**threads, **os.environ},
        )


def _note(running: dict[subprocess.Popen[bytes], Task], queue: deque[Task], failed: dict[str, str]) -> str:
    return f"{len(running)} running, {len(queue)} to come" + (f", {len(failed)} failed" if failed else "")


def _end(running: Iterable[subprocess.Popen[bytes]]) -> None:
    """Tell processes to stop and wait for them; if that is interrupted, kill them."""
    try:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
    except BaseException:
        for process in running:
            process.kill()
        raise
