"""``pretrain`` as users run it: trained, scored, resumed after a kill, stopped by a signal, refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors import safe_open

from polymod.cli import execute
from polymod.train.log import read_metrics, training_seconds

from .conftest import SMALL_MODEL, TAGS, pretrain


def command(data: Path, out: Path, *more: str) -> list[str]:
    words = ["pretrain", "--data", str(data), "--out", str(out), *SMALL_MODEL, *more]
    return [sys.executable, "-m", "polymod", *words]


def hashes(run: Path, step: int) -> dict[str, str]:
    folder = run / "checkpoints" / f"step-{step:08d}"
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.safetensors"))
    }


@pytest.fixture(scope="module")
def straight(data, tmp_path_factory) -> Path:
    """A run that nothing disturbed."""
    out = tmp_path_factory.mktemp("runs") / "straight"
    assert pretrain(data, out) == 0
    return out


def test_a_run_folder_describes_itself(straight):
    lines = read_metrics(straight)
    assert [line["step"] for line in lines if line["kind"] == "train"] == [20, 24]
    assert [line["step"] for line in lines if line["kind"] == "valid"] == [12, 24]
    assert sorted(lines[-1]["languages"]) == sorted(TAGS)
    record = json.loads((straight / "run.json").read_text())
    assert record["config"]["train"]["steps"] == 24
    assert {"data", "tokenizer", "languages"} <= set(record["identity"])
    assert [path.name for path in sorted((straight / "checkpoints").iterdir())] == [
        "step-00000016",
        "step-00000024",
    ]
    assert (straight / "tokenizer.json").exists()
    assert execute("verify", [str(straight)]) == 0


def test_a_checkpoint_has_a_file_per_language(straight):
    folder = straight / "checkpoints" / "step-00000024"
    assert {path.name for path in (folder / "languages").iterdir()} == {
        f"lang-{tag}.safetensors" for tag in TAGS
    }
    with safe_open(folder / "languages" / "lang-to.safetensors", "pt") as file:
        assert all("lang_to." in name for name in file.keys())  # noqa: SIM118
    with safe_open(folder / "trunk.safetensors", "pt") as file:
        assert not any("lang_" in name for name in file.keys())  # noqa: SIM118


def test_the_same_command_on_a_finished_run_says_so_also_on_a_full_disk(data, straight, capsys, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 0))
    before = hashes(straight, 24)
    assert pretrain(data, straight) == 0
    assert "finished" in capsys.readouterr().err
    assert hashes(straight, 24) == before


def test_another_config_is_refused_with_the_difference(data, straight, capsys):
    assert pretrain(data, straight, "--train.seed", "7") == 2
    said = capsys.readouterr().err
    assert "train.seed: 0 -> 7" in said
    assert "Traceback" not in said


def test_what_does_not_change_the_result_may_change(data, straight):
    assert pretrain(data, straight, "--train.log-every", "5", "--train.micro-tokens", "64") == 0


def test_killed_again_and_again_it_ends_bit_identical(data, straight, tmp_path):
    run, kills = tmp_path / "killed", 0
    for attempt in range(60):
        faults = {
            "POLYMOD_FAULTS": ["written:step-*:kill", "synced:manifest.json:kill", "renamed:step-*:kill"][
                attempt % 3
            ]
        }
        environment = {**os.environ, **(faults if attempt < 6 else {})}
        process = subprocess.run(command(data, run), env=environment, capture_output=True, check=False)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, process.stderr.decode()
        kills += 1
    assert kills >= 3
    assert hashes(run, 24) == hashes(straight, 24)
    chains = [
        [line["chain"] for line in read_metrics(r) if line["kind"] == "train"][-1] for r in (run, straight)
    ]
    assert chains[0] == chains[1]


def test_with_idle_languages_out_of_memory_it_ends_bit_identical(data, straight, tmp_path):
    run, residency = tmp_path / "run", ("--residency.mapped", "true", "--residency.languages", "0")
    assert pretrain(data, run, *residency) == 0
    assert hashes(run, 24) == hashes(straight, 24)
    scores = [[line for line in read_metrics(r) if line["kind"] == "valid"] for r in (run, straight)]
    assert scores[0] == scores[1]
    assert sorted(path.name for path in run.iterdir()) == sorted(path.name for path in straight.iterdir())


def test_sigterm_saves_the_step_and_exits_75(data, straight, tmp_path):
    run = tmp_path / "stopped"
    process = subprocess.Popen(
        command(data, run, "--train.log-every", "1"), stderr=subprocess.PIPE, text=True
    )
    while not (run / "metrics.jsonl").exists() or not read_metrics(run):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    if process.returncode != 0:  # the run may have been faster than the signal
        assert process.returncode == 75, said
        last = max(line["step"] for line in read_metrics(run) if line["kind"] == "train")
        assert (run / "checkpoints" / f"step-{last:08d}").is_dir()  # not one step is lost
        assert (
            subprocess.run(
                command(data, run, "--train.log-every", "1"), capture_output=True, check=False
            ).returncode
            == 0
        )
    assert hashes(run, 24) == hashes(straight, 24)


def test_the_time_of_a_run_is_that_of_all_its_starts(data, straight, capsys):
    assert pretrain(data, straight, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    seconds, speed = document["seconds"], document["speed"]
    lines = [line for line in read_metrics(straight) if line["kind"] == "train"]
    assert 0 < seconds <= lines[-1]["seconds"] * 1.01
    assert seconds == pytest.approx(training_seconds(straight))
    assert speed["tokens_per_second"] == pytest.approx(sum(line["tokens"] for line in lines) / seconds)
    assert speed["mfu"] is None  # of a CPU no peak is known


def test_two_processes_cannot_train_in_one_folder(data, straight):
    from polymod.files import locked

    with locked(straight):
        assert pretrain(data, straight) == 73


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(data, straight, tmp_path, capsys):
    import shutil

    run = tmp_path / "damaged"
    shutil.copytree(straight, run)
    trunk = run / "checkpoints" / "step-00000024" / "trunk.safetensors"
    content = bytearray(trunk.read_bytes())
    content[-100] ^= 1
    trunk.write_bytes(bytes(content))
    assert execute("score", [str(run), "--data", str(data)]) == 2
    assert "trunk.safetensors" in capsys.readouterr().err
    assert pretrain(data, run) == 0
    assert "going on at step 16" in (said := capsys.readouterr().err)
    assert "trunk.safetensors" in said
    assert hashes(run, 24) == hashes(straight, 24)


def test_a_full_disk_is_told_early_and_nothing_is_left_half(data, tmp_path, capsys, monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 0))
    assert pretrain(data, tmp_path / "full") == 2
    assert "too full" in capsys.readouterr().err
    assert not (tmp_path / "full" / "checkpoints").exists()


def test_a_save_that_fails_midway_does_not_end_the_run(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("POLYMOD_FAULTS", "written:step-00000008:ENOSPC")
    assert pretrain(data, tmp_path / "run") == 0
    assert "no checkpoint at step 8" in capsys.readouterr().err
    assert len(hashes(tmp_path / "run", 24)) == 8


def test_a_last_save_that_fails_is_an_error(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("POLYMOD_FAULTS", "written:step-00000024:ENOSPC")
    assert pretrain(data, tmp_path / "run") == 2
    assert "disk is full" in capsys.readouterr().err
    assert (tmp_path / "run" / "checkpoints" / "step-00000016").is_dir()
    assert not list((tmp_path / "run" / "checkpoints").glob(".tmp*"))


@pytest.mark.parametrize("arm", ["shared", "dense"])
def test_every_arm_trains_on_the_same_data(data, straight, tmp_path, arm):
    assert pretrain(data, tmp_path / arm, "--arm", arm, "--model.language-embedding") == 0
    chains = [
        [line["chain"] for line in read_metrics(run) if line["kind"] == "train"][-1]
        for run in (tmp_path / arm, straight)
    ]
    assert chains[0] == chains[1]


WRONG = {
    "an unknown language": (
        ["--languages", "jp"],
        "--languages: unknown language 'jp'\n  fix: did you mean 'ja'",
    ),
    "a language twice": (["--languages", "to,ton"], "both the language 'to'"),
    "a language that is not there": (["--languages", "en"], "not in the data"),
    "a misspelt key": (["--train.stepz", "3"], "--train.steps"),
    "a preset that is none": (["--model.preset", "huge"], "modern-tiny"),
    "blocks beyond the positions": (["--model.max-length", "16"], "blocks of 32 tokens"),
    "a block beyond the text": (
        ["--train.block-tokens", "400000", "--model.max-length", "400000"],
        "training tokens",
    ),
    "heads that do not divide": (["--model.num-heads", "3"], "multiple of num_heads"),
    "idle languages where there are none": (
        ["--arm", "dense", "--residency.mapped", "true"],
        "--arm modular",
    ),
    "idle languages that a meta step reads": (
        ["--update", "meta", "--residency.mapped", "true"],
        "text of other languages",
    ),
    "idle languages where all are in memory": (
        ["--residency.languages", "7", "--residency.folder", "x"],
        "--residency.languages: all languages are in memory",
    ),
    "no CUDA": (["--train.device", "cuda"], "--train.device: no CUDA device"),
}


@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG.keys())
def test_wrong_input_is_exit_2_with_one_message_and_nothing_written(data, tmp_path, capsys, words, said):
    assert pretrain(data, tmp_path / "run", *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()


def test_no_data_folder(tmp_path, capsys):
    assert pretrain(tmp_path / "nothing", tmp_path / "run") == 2
    assert "no such folder" in capsys.readouterr().err


def test_a_config_file_with_a_misspelt_key_names_the_line(data, tmp_path, capsys):
    (tmp_path / "c.yaml").write_text("arm: modular\ntrain:\n  steps: 3\n  leaning-rate: 0.1\n")
    assert (
        execute("pretrain", [str(tmp_path / "c.yaml"), "--data", str(data), "--out", str(tmp_path / "run")])
        == 2
    )
    assert "c.yaml:4" in capsys.readouterr().err
