"""``study`` and ``diagnose gaps`` as users run them: stopped and resumed, skipped, failed, compared."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from polymod.cli import execute
from polymod.train.log import read_metrics

from .conftest import SMALL_MODEL, pretrain

PLAN = """
languages: [qaa, qab]
seeds: [0, 1]
runs:
  shared: {arm: shared}
  mono:
    languages: [qaa]
    examples-of: shared
"""
STEPS = {"shared-seed0": 60, "shared-seed1": 60, "mono-qaa-seed0": 30, "mono-qaa-seed1": 30}


@pytest.fixture
def study(data, tmp_path, monkeypatch) -> list[str]:
    """Words of a study of which all runs but one are made already, by ``pretrain`` itself."""
    (tmp_path / "plan.yaml").write_text(f"data: {data}\n{PLAN}")
    options = {key[2:]: value for key, value in zip(SMALL_MODEL[::2], SMALL_MODEL[1::2], strict=True)}
    options |= {"train.steps": "60", "train.log-every": "1", "train.save-every": "100"}
    common = [word for key, value in options.items() for word in (f"--common.{key}", value)]
    return [str(tmp_path / "plan.yaml"), "--out", str(tmp_path / "study"), *common]


def made_before(data: Path, out: Path, name: str) -> None:
    """A run of the study, made by ``pretrain``."""
    setting, *tag, seed = name.split("-")
    more = ["--languages", *(tag or ["qaa,qab"]), "--train.seed", seed[-1], "--train.log-every", "1"]
    more += ["--arm", "shared"] if setting == "shared" else []
    more += ["--train.save-every", "100", "--train.steps", str(STEPS[name])]
    assert pretrain(data, out / "runs" / name, *more) == 0


def stop_when_begun(run: Path) -> None:
    """Send SIGTERM to this process when a run has made a step."""
    for _ in range(1200):
        if run.exists() and read_metrics(run):
            os.kill(os.getpid(), signal.SIGTERM)
            return
        time.sleep(0.02)


def test_a_study_is_stopped_resumed_read_and_compared(data, study, tmp_path, capsys, monkeypatch):
    out = tmp_path / "study"
    (out / "runs").mkdir(parents=True)
    (out / "plan.json").write_text("{}")
    for name in [*STEPS][1:]:
        made_before(data, out, name)
    first = out / "runs" / "shared-seed0"
    stopper = threading.Thread(target=stop_when_begun, args=(first,))
    stopper.start()
    capsys.readouterr()
    assert execute("study", study) == 75
    stopper.join()
    said = capsys.readouterr().err
    assert "3 of 4 runs are finished" in said
    steps = [line["step"] for line in read_metrics(first)]
    assert steps
    assert (first / "checkpoints" / f"step-{max(steps):08d}").is_dir()  # it was told, and saved

    with monkeypatch.context() as patch:
        patch.setattr("polymod.study.work.run_all", lambda tasks, *_: {task.name: "why" for task in tasks})
        assert execute("study", [*study, "--json"]) == 1
    told = capsys.readouterr()
    assert "1 of 4 runs failed: shared-seed0" in told.err
    document = json.loads(told.out)
    assert document["failed"] == {"shared-seed0": "why"}
    assert document["settings"]["shared"]["mean"]["sd"] is None
    gaps = ["gaps", str(out), "--data", str(data), "--out", str(tmp_path / "gaps")]
    assert execute("diagnose", gaps) == 2
    assert "runs of the study failed: shared-seed0" in capsys.readouterr().err

    assert execute("study", [*study, "--jobs", "2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document["runs"]) == list(STEPS)
    assert {name: run["steps"] for name, run in document["runs"].items()} == STEPS
    assert document["runs"]["mono-qaa-seed1"]["tokens"] == 30 * 256
    for entry in document["settings"]["shared"]["languages"].values():
        assert entry["mean"] == pytest.approx(sum(entry["losses"]) / 2)
        assert entry["tokens"] == pytest.approx(30 * 256, rel=0.02)
    assert json.loads((out / "study.json").read_text()) == document

    assert execute("study", study) == 0
    said = capsys.readouterr()
    assert "4 of 4 runs are finished" in said.err
    assert "±" in said.out
    assert execute("study", [*study, "--common.train.learning-rate", "0.5"]) == 2
    assert "train.learning_rate: 0.002 -> 0.5" in capsys.readouterr().err

    check_gaps(gaps, tmp_path, capsys)


def check_gaps(words: list[str], tmp_path: Path, capsys) -> None:
    """The condition that the study was made for, and the one that it was not."""
    assert execute("diagnose", words) == 2
    assert "nothing can be compared with 'mono': shared: 60 steps of 256 tokens" in capsys.readouterr().err
    given = [*words[:-1], str(tmp_path / "examples"), "--gaps.condition", "same-examples"]
    assert execute("diagnose", [*given, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "examples" / "gaps.json").read_text())
    assert (printed["condition"], printed["reference"]) == ("same-examples", "mono")
    for entry in printed["languages"].values():
        losses = {name: each["losses"] for name, each in entry["settings"].items()}
        expected = sum(a - b for a, b in zip(losses["shared"], losses["mono"], strict=True)) / 2
        assert entry["gaps"]["shared"]["difference"] == pytest.approx(expected)
        assert entry["gaps"]["shared"]["low"] < expected < entry["gaps"]["shared"]["high"]
    assert set(printed["notes"]) == {"mono", "shared"}
    assert execute("diagnose", given) == 0
    assert "not past the unigram plateau: mono, shared" in capsys.readouterr().out
    alone = [str(tmp_path / "study" / "runs" / name) for name in STEPS]
    single = ["gaps", *alone, "--data", words[3], "--out", str(tmp_path / "single")]
    assert execute("diagnose", [*single, "--gaps.condition", "same-examples"]) == 0
    assert "bilingual: " in capsys.readouterr().out


def test_a_plan_is_refused_for_what_pretrain_refuses_of_sharding(data, tmp_path, capsys):
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"data: {data}\nruns:\n  spread: {{shard: true, nproc: 2, update: pcgrad}}\n")
    assert execute("study", [str(plan), "--out", str(tmp_path / "study")]) == 2
    said = capsys.readouterr().err
    assert "plan.yaml:3: spread-seed0: a trunk spread over processes" in said
    assert not (tmp_path / "study").exists()
