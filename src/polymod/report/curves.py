"""Learning curves of a run, from its metrics: what a results document keeps of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from polymod.errors import UserError
from polymod.report.figures import mean
from polymod.report.thinning import buckets, thin
from polymod.train.log import METRICS, read_metrics

MOST_POINTS = 200
_DIGITS = 4  # of a loss

Curve = list[dict[str, Any]]


def curves(run: Path) -> dict[str, Curve]:
    """``train_curve`` and ``valid_curve`` of a run, at most 200 points each.

    A point has ``step``, ``tokens`` (seen up to there), a loss in nats (``loss`` of training batches, a mean
    over tokens; ``mean_loss`` of the valid split, a mean over languages) and ``languages`` with the loss of
    each. Training points are means over equal stretches of steps and stand at their ends; a loss that was
    not finite is None. Valid points are picked evenly.

    Raises:
        UserError: the run has no metrics, or none of training.
    """
    lines = read_metrics(run)
    train = [line for line in lines if line["kind"] == "train"]
    if not train:
        raise UserError(
            "no training metrics here", where=str(run / METRICS), fix="give a run that pretrain wrote"
        )
    per_step = _tokens_per_step(train)
    train_curve = [_stretch(stretch, per_step) for stretch in buckets(train, MOST_POINTS)]
    valid_curve = [
        {
            "step": line["step"],
            "tokens": round(line["step"] * per_step),
            "mean_loss": _rounded(line["mean_loss"]),
            "languages": {tag: _rounded(entry["loss"]) for tag, entry in line["languages"].items()},
        }
        for line in thin([line for line in lines if line["kind"] == "valid"], MOST_POINTS)
    ]
    return {"train_curve": train_curve, "valid_curve": valid_curve}


def _tokens_per_step(train: Sequence[dict[str, Any]]) -> float:
    """Every batch has as many tokens; a line after a restart may cover fewer steps than it follows on."""
    steps = [0, *(line["step"] for line in train)]
    rates = (line["tokens"] / (line["step"] - before) for line, before in zip(train, steps[:-1], strict=True))
    return float(max(rates))


def _stretch(lines: Sequence[dict[str, Any]], per_step: float) -> dict[str, Any]:
    """One point for several lines."""
    tags = dict.fromkeys(tag for line in lines for tag in line["languages"])
    return {
        "step": lines[-1]["step"],
        "tokens": round(lines[-1]["step"] * per_step),
        "loss": _mean(line["loss"] for line in lines),
        "languages": {tag: _mean(line["languages"].get(tag) for line in lines) for tag in tags},
    }


def _mean(losses: Iterable[float | None]) -> float | None:
    return _rounded(mean([loss for loss in losses if loss is not None]))


def _rounded(loss: float | None) -> float | None:
    return None if loss is None else round(loss, _DIGITS)
