"""Curves of a run: from its metrics file to at most 200 points, tokens counted over restarts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from polymod.errors import UserError
from polymod.report.curves import MOST_POINTS, curves


def train(step: int, loss: float | None, tokens: int, **languages: float) -> dict[str, Any]:
    return {"kind": "train", "step": step, "loss": loss, "tokens": tokens, "languages": languages}


def valid(step: int, loss: float) -> dict[str, Any]:
    languages = {"qaa": {"loss": loss, "perplexity": 2.0, "tokens": 9, "unigram_entropy": 5.0}}
    return {
        "kind": "valid",
        "step": step,
        "languages": languages,
        "mean_loss": loss,
        "mean_unigram_entropy": 5.0,
    }


def run_with(folder: Path, *lines: dict[str, Any]) -> Path:
    (folder / "metrics.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8"
    )
    return folder


def test_a_short_run_is_kept_as_it_is(tmp_path: Path) -> None:
    run = run_with(
        tmp_path, train(10, 5.0, 1000, qaa=5.0), valid(10, 4.5), train(20, 4.0, 1000, qaa=4.0, qab=3.0)
    )
    assert curves(run) == {
        "train_curve": [
            {"step": 10, "tokens": 1000, "loss": 5.0, "languages": {"qaa": 5.0}},
            {"step": 20, "tokens": 2000, "loss": 4.0, "languages": {"qaa": 4.0, "qab": 3.0}},
        ],
        "valid_curve": [{"step": 10, "tokens": 1000, "mean_loss": 4.5, "languages": {"qaa": 4.5}}],
    }


def test_tokens_are_not_lost_by_a_restart_between_two_lines(tmp_path: Path) -> None:
    """Resumed at step 15: the line of step 20 covers five steps, although ten lie behind the line before."""
    run = run_with(tmp_path, train(10, 5.0, 1000), train(20, 4.0, 500), train(30, 3.0, 1000), valid(25, 3.5))
    found = curves(run)
    assert [point["tokens"] for point in found["train_curve"]] == [1000, 2000, 3000]
    assert [point["tokens"] for point in found["valid_curve"]] == [2500]


def test_a_long_run_is_thinned_to_means_over_all_its_lines(tmp_path: Path) -> None:
    lines = [train(step, float(step), 100, qaa=float(step)) for step in range(1, 1001)]
    scores = [valid(step, float(step)) for step in range(1, 1001)]
    found = curves(run_with(tmp_path, *lines, *scores))
    first, last = found["train_curve"][0], found["train_curve"][-1]
    assert len(found["train_curve"]) == len(found["valid_curve"]) == MOST_POINTS
    assert first == {"step": 5, "tokens": 500, "loss": 3.0, "languages": {"qaa": 3.0}}
    assert (last["step"], last["tokens"], last["loss"]) == (1000, 100_000, 998.0)
    assert [point["step"] for point in found["valid_curve"]][:: MOST_POINTS - 1] == [1, 1000]


def test_a_loss_that_was_not_finite_stays_absent(tmp_path: Path) -> None:
    found = curves(run_with(tmp_path, train(10, None, 1000), train(20, 4.0, 1000), train(30, 0.0, 1000)))
    assert [point["loss"] for point in found["train_curve"]] == [None, 4.0, 0.0]


def test_a_line_cut_by_a_kill_is_left_out(tmp_path: Path) -> None:
    run = run_with(tmp_path, train(10, 5.0, 1000))
    with (run / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"kind": "train", "step": 20, "lo')
    assert len(curves(run)["train_curve"]) == 1


@pytest.mark.parametrize("lines", [[], [valid(10, 4.0)]])
def test_a_run_without_training_metrics_is_an_error(tmp_path: Path, lines: list[dict[str, Any]]) -> None:
    with pytest.raises(UserError, match="no training metrics"):
        curves(run_with(tmp_path, *lines))
