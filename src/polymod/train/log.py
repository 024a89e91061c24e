"""What a run says while it runs: ``metrics.jsonl`` always, TensorBoard if wanted, a bar for people."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from rich.console import Console

from polymod.errors import UserError
from polymod.files import atomic, refusals
from polymod.metrics import LossSum, StepMetrics
from polymod.model.flops import peak_flops
from polymod.progress import Bars, bars
from polymod.train.config import TrainOptions
from polymod.train.loop import TrainState
from polymod.train.parallel import Ranks

METRICS = "metrics.jsonl"


class RunLog:
    """Writes a line every ``log_every`` steps, each the mean over those steps.

    Args:
        since: step of the checkpoint that training goes on from; lines of later steps are dropped, because
            those steps are done again.
    """

    def __init__(self, run: Path, bars: Bars, options: TrainOptions, *, since: int) -> None:
        self._bars, self._steps, self._every = bars, options.steps, options.log_every
        self._path = run / METRICS
        _truncate(self._path, since)
        self._tensorboard = _tensorboard(run) if options.tensorboard else None
        self._window: dict[str, LossSum] = {}
        self._tokens = self._skipped = 0
        self._sent: Counter[str] = Counter()
        self._started = self._window_started = time.monotonic()
        bars.add(run.name, total=options.steps, done=since)
        self._bar, self._note = run.name, ""

    def step(self, state: TrainState, metrics: StepMetrics) -> None:
        """Take in one step."""
        if not metrics.skipped:
            for tag, losses in metrics.by_language.items():
                self._window.setdefault(tag, LossSum()).add(losses.total, losses.count)
        self._tokens += metrics.tokens
        self._skipped += metrics.skipped
        if state.step % self._every == 0 or state.step == self._steps:
            self._write_window(state, metrics)
        self._bars.at(self._bar, state.step, note=self._note)

    def valid(self, step: int, table: Mapping[str, Any]) -> None:
        """A scoring of the valid split."""
        self._line({"kind": "valid", "step": step, **table})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.remove(self._bar, note="" if error[0] is None else "stopped")
        if self._tensorboard is not None:
            self._tensorboard.close()

    def _write_window(self, state: TrainState, metrics: StepMetrics) -> None:
        now = time.monotonic()
        rate = self._tokens / max(now - self._window_started, 1e-9)
        by_language = {tag: losses.mean for tag, losses in sorted(self._window.items()) if losses.count}
        total = LossSum()
        for losses in self._window.values():
            total.add(losses.total, losses.count)
        document = {
            "kind": "train",
            "step": state.step,
            "loss": total.mean if total.count else None,
            "learning_rate": metrics.learning_rate,
            "gradient_norm": metrics.gradient_norm if not metrics.skipped else None,
            "tokens": self._tokens,
            "tokens_per_second": rate,
            "seconds": now - self._started,
            "skipped": self._skipped,
            "chain": state.chain,
            "languages": by_language,
        }
        if not state.ranks.alone:
            document["sent"] = dict(state.ranks.sent - self._sent)
            self._sent = state.ranks.sent.copy()
        self._line(document)
        worst = max(by_language, key=lambda tag: by_language[tag], default="")
        self._note = f"loss {total.mean:.3f}  {rate:,.0f} tokens/s" + (
            f"  worst {worst} {by_language[worst]:.2f}" if worst else ""
        )
        self._window, self._tokens, self._skipped, self._window_started = {}, 0, 0, now

    def _line(self, document: Mapping[str, Any]) -> None:
        with refusals(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(document, allow_nan=False) + "\n")
        if self._tensorboard is not None:
            for key, value in document.items():
                if isinstance(value, float):
                    self._tensorboard.add_scalar(f"{document['kind']}/{key}", value, document["step"])
            for tag, value in document["languages"].items():
                loss = value["loss"] if isinstance(value, dict) else value
                self._tensorboard.add_scalar(f"{document['kind']}_loss/{tag}", loss, document["step"])


class NoLog:
    """What processes other than the first one write: nothing."""

    def step(self, state: TrainState, metrics: StepMetrics) -> None:
        """A step."""

    def valid(self, step: int, table: Mapping[str, Any]) -> None:
        """A scoring."""


@contextmanager
def logged(
    run: Path, console: Console, options: TrainOptions, *, since: int, ranks: Ranks
) -> Iterator[RunLog | NoLog]:
    """The log of a run with a bar on the console; the first process writes it."""
    if not ranks.first:
        yield NoLog()
        return
    with bars("steps", console) as group, RunLog(run, group, options, since=since) as log:
        yield log


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """All lines of a run's metrics; a last line that was cut by a kill is left out."""
    path = run / METRICS
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]


def training_seconds(run: Path) -> float:
    """Time that the steps of a run took, over all its starts; what was done twice counts once."""
    lines = (line for line in read_metrics(run) if line["kind"] == "train")
    return sum((line["tokens"] / line["tokens_per_second"] for line in lines), 0.0)


def training_speed(
    run: Path, flops_per_token: float, device_name: str, devices: int = 1
) -> dict[str, float | None]:
    """Rates of the steps of a run, over all its starts.

    Args:
        flops_per_token: training FLOPs per real token, by the arithmetic of ``model.flops``.
        devices: how many of them work together.

    Returns:
        ``tokens_per_second``, ``flops_per_second`` and ``mfu``: their share of the devices' peak, if known.
    """
    tokens = sum(line["tokens"] for line in read_metrics(run) if line["kind"] == "train")
    rate = tokens / max(training_seconds(run), 1e-9)
    peak = peak_flops(device_name)
    mfu = rate * flops_per_token / (peak * devices) if peak else None
    return {"tokens_per_second": rate, "flops_per_second": rate * flops_per_token, "mfu": mfu}


def _truncate(path: Path, step: int) -> None:
    """Keep the whole lines up to a step."""
    if path.exists():
        kept = [json.dumps(line) + "\n" for line in read_metrics(path.parent) if line["step"] <= step]
        with atomic(path) as file:
            file.write("".join(kept).encode())


def _tensorboard(run: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        fix = "pip install 'polymod[tb]', or leave --train.tensorboard out"
        raise UserError("TensorBoard is not installed", fix=fix) from None
    return SummaryWriter(run / "tensorboard")
