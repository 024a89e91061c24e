"""The folder of a study: its runs, what is finished, what is to be done, and the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from polymod.config import Config
from polymod.errors import UserError
from polymod.files import locked, remove_temporary, write_json
from polymod.progress import bars
from polymod.study.plan import Cell, Options
from polymod.study.results import DOCUMENT, by_setting, finished, result
from polymod.study.runner import Task, run_all
from polymod.train.pretraining import Pretraining
from polymod.train.run import RECORD, insist

PLAN = "plan.json"


class Study:
    """Runs of a plan below ``out/runs``, what they say below ``out/logs``.

    Args:
        jobs: every run of the plan and what it is made of.
    """

    def __init__(self, out: Path, data: Path, jobs: Mapping[Cell, Pretraining]) -> None:
        self.out, self.data, self._jobs = out, data, jobs

    @contextmanager
    def opened(self, config_of: Callable[[Cell], Config], *, free: Sequence[str]) -> Iterator[None]:
        """Hold the folder; runs that were begun must be those of the plan.

        Args:
            free: options that may change between one start of a run and the next.

        Raises:
            Busy: another process works there.
            UserError: it is no study's folder, or a run there has another config (the message shows the
                difference).
        """
        there = (
            [path.name for path in self.out.iterdir() if path.name != ".lock"] if self.out.exists() else []
        )
        if there and PLAN not in there:
            raise UserError(
                "the folder exists and is no study", where=str(self.out), fix="give another --out"
            )
        with locked(self.out):
            remove_temporary(self.out)
            for cell, job in self._jobs.items():
                if (self.folder(cell) / RECORD).exists():
                    insist(self.folder(cell), config_of(cell), identity=job.identity, free=free)
            runs = {cell.name: dict(cell.options) for cell in self._jobs}
            write_json(self.out / PLAN, {"schema": 1, "data": str(self.data), "runs": runs})
            yield

    def make(self, at_a_time: int, console: Console) -> dict[str, str]:
        """Make every run that is not finished; returns why a run failed, by name."""
        left = [cell for cell in self._jobs if not self._finished(cell)]
        done = sum(self._steps(cell) for cell in self._jobs.keys() - {*left})
        total = len(self._jobs)
        console.print(f"{total - len(left)} of {total} runs are finished", markup=False)
        if not left:
            return {}
        with bars("steps", console) as group:
            return run_all([self._task(cell) for cell in left], at_a_time, group, done)

    def document(self, failed: Mapping[str, str]) -> dict[str, Any]:
        """Results of all runs but those that failed; also written to ``study.json``."""
        runs = {
            cell.name: result(
                cell, self.folder(cell), self._steps(cell), job.loader.tokens_seen(self._steps(cell))
            )
            for cell, job in self._jobs.items()
            if cell.name not in failed
        }
        document = {
            "schema": 1,
            "kind": "study",
            "data": str(self.data),
            "settings": by_setting(runs),
            "runs": runs,
            "failed": dict(failed),
        }
        write_json(self.out / DOCUMENT, document)
        return document

    def folder(self, cell: Cell) -> Path:
        """Where a run writes."""
        return self.out / "runs" / cell.name

    def _steps(self, cell: Cell) -> int:
        return self._jobs[cell].train.steps

    def _finished(self, cell: Cell) -> bool:
        return finished(self.folder(cell), self._steps(cell))

    def _task(self, cell: Cell) -> Task:
        folder = self.folder(cell)
        typed = ["pretrain", "--data", str(self.data), "--out", str(folder), *words(cell.options)]
        log = self.out / "logs" / f"{cell.name}.log"
        return Task(cell.name, tuple(typed), folder, log, self._steps(cell))


def words(options: Options) -> list[str]:
    """Options as they are typed."""
    shown = {key.replace("_", "-"): _text(value) for key, value in options.items()}
    return [word for key, text in shown.items() for word in (f"--{key}", text)]


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
