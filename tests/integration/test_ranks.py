"""Several processes on gloo train as one does: losses, data, bytes, checkpoints, stops, kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from _ranks import be, commands, started, together, train, trains
from polymod.diagnose.monitor import read_gradients
from polymod.errors import Stopped, UserError
from polymod.train.checkpoint import checkpoint_folders, read_tensors
from polymod.train.log import read_metrics
from polymod.train.parallel import Ranks, joined

from .conftest import SMALL_MODEL, pretrain

SIZES = (1, 2, 4)
STEPS = 6
SHORT = ("--train.steps", "4", "--train.save-every", "4", "--train.score-every", "4")
CASES: dict[str, dict[str, Any]] = {
    "modular": {"update": "joint"},
    "shared": {"update": "joint", "arm": "shared"},
    "pcgrad": {"update": "pcgrad"},
    "pcgrad in little memory": {"update": "pcgrad", "hold": 2},
    "gradvac": {"update": "gradvac"},
    "balance": {"update": "balance"},
    "meta": {"update": "meta", "draws": 2},
    "meta-fast": {"update": "meta-fast"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where each number of processes has saved a run."""
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def found(folder) -> dict[int, list[dict[str, Any]]]:
    """What each number of processes makes of all cases: for each process, by case."""
    cases = {name: {"steps": STEPS, **case} for name, case in CASES.items()}
    cases["modular"]["monitor"] = 2
    return {
        size: together(
            size, trains, {**cases, "modular": {**cases["modular"], "run": str(folder / str(size))}}
        )
        for size in SIZES
    }


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("case", CASES)
def test_losses_are_those_of_one_process(found, case, size):
    (one,), many = found[1], found[size]
    assert all(each[case]["losses"] == many[0][case]["losses"] for each in many)
    assert many[0][case]["losses"] == pytest.approx(one[case]["losses"], rel=1e-6)
    assert len({each[case]["weights"] for each in many}) == 1
    assert {each[case]["chain"] for each in many} == {one[case]["chain"]}


@pytest.mark.parametrize("size", SIZES[1:])
def test_languages_are_on_one_process_each(found, size):
    """Blocks of four languages in order: with two or four processes none has a language of another."""
    sets = [[set(mine) for _, mine in each["modular"]["active"][:STEPS]] for each in found[size]]
    for step in zip(*sets, strict=True):
        assert sum(map(len, step)) == len(set.union(*step))


@pytest.mark.parametrize("size", SIZES[1:])
def test_bytes_are_the_trunk_and_the_languages_of_the_step(found, size):
    for each in found[size]:
        for case, trunks in (("modular", 1), ("shared", 1), ("pcgrad", 4), ("balance", 1)):
            result = each[case]
            packs = [sum(result["bytes"].get(tag, 0) for tag in tags) for tags, _ in result["active"][:STEPS]]
            assert result["sent"]["trunk"] == STEPS * trunks * result["bytes"][""], case
            assert result["sent"].get("packs", 0) == sum(packs)


def test_absent_languages_are_not_sent():
    for each in together(2, train, "joint", "modular", 3, "", 0, 32):
        sets = [set(tags) for tags, _ in each["active"][:3]]
        assert all(len(tags) == 2 for tags in sets)
        assert each["sent"]["packs"] == sum(each["bytes"][tag] for tags in sets for tag in tags)


@pytest.mark.parametrize("size", SIZES[1:])
def test_the_monitor_notes_the_same(found, folder, size):
    one, many = read_gradients(folder / "1"), read_gradients(folder / str(size))
    assert [line["step"] for line in many] == [0, 2, 4]
    for ours, theirs in zip(many, one, strict=True):
        for a, b in zip(ours["trunk"]["cosine"], theirs["trunk"]["cosine"], strict=True):
            assert a == pytest.approx(b, abs=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_any_number_loads_what_any_number_saved(found, folder, size):
    cases = {str(saved): {"update": "joint", "steps": 0, "run": str(folder / str(saved))} for saved in SIZES}
    for each in together(size, trains, cases):
        for saved in SIZES:
            assert each[str(saved)]["weights"] == found[saved][0]["modular"]["weights"]
            assert each[str(saved)]["chain"] == found[1][0]["modular"]["chain"]


def signalled(ranks: Ranks, run: str) -> tuple[int, str]:
    """A signal to the last process only, some steps after it has begun to listen for signals."""

    def send() -> None:
        while signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            time.sleep(0.01)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)

    if ranks.rank == ranks.size - 1:
        threading.Thread(target=send, daemon=True).start()
    try:
        train(ranks, "joint", steps=100_000, run=run)
    except Stopped as stopped:
        ranks.wait()
        return len(checkpoint_folders(Path(run))), str(stopped)
    raise AssertionError("not stopped")


def test_a_signal_to_one_stops_all_after_the_same_step(tmp_path):
    (saved, said), (_, theirs) = together(2, signalled, str(tmp_path))
    assert saved == 1
    assert said == theirs
    assert "stopped by SIGTERM after step" in said


def poisoned(ranks: Ranks) -> list[bool]:
    """A gradient that is not finite, on one process, in its second step."""
    calls = iter(range(1000))

    def poison(gradient: torch.Tensor) -> torch.Tensor:
        return gradient * (float("nan") if next(calls) == 1 and ranks.rank == 1 else 1.0)

    return train(ranks, "joint", steps=4, poison=poison)["skipped"]


def test_all_skip_a_step_that_is_not_finite_on_one():
    assert together(2, poisoned) == [[False, True, False, False]] * 2


def hung(ranks: Ranks, folder: str, stop: bool) -> None:
    """The second process does not come to an exchange."""
    os.dup2(os.open(f"{folder}/{ranks.rank}", os.O_CREAT | os.O_WRONLY), 2)
    ranks.in_step = True
    if ranks.rank == 1:
        os.kill(os.getpid(), signal.SIGSTOP) if stop else time.sleep(60)
    ranks.wait()


@pytest.mark.parametrize(
    ("stop", "what"), [(False, "did not get on for 1 s"), (True, "gave no sign of life for 1 s")]
)
def test_a_process_that_hangs_is_named(tmp_path, stop, what):
    started_ = time.monotonic()
    with pytest.raises(EOFError):
        started(2, be, hung, (str(tmp_path), stop), 1.0)
    assert time.monotonic() - started_ < 40
    assert f"error: rank 1 of 2 {what}" in (tmp_path / "0").read_text()
    stuck = (tmp_path / "1").read_text()  # shows where it is, if it can
    assert ("in hung" in stuck) != stop


def test_other_numbers_than_asked_for_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with (
        pytest.raises(UserError, match="--nproc 2, and 3 started"),
        joined(2, torch.device("cpu"), hang_after=9),
    ):
        pass


@pytest.fixture(scope="module")
def two(data, tmp_path_factory) -> Path:
    """A run of the command in two processes."""
    out = tmp_path_factory.mktemp("two") / "run"
    assert commands(2, words(data, out, *SHORT)) == [0, 0]
    return out


def test_the_command_is_that_of_one_process(data, two, tmp_path):
    assert pretrain(data, tmp_path / "one", *SHORT) == 0
    ours, theirs = read_metrics(two), read_metrics(tmp_path / "one")
    assert [line["kind"] for line in ours] == [line["kind"] for line in theirs] == ["train", "valid"]
    assert ours[0]["loss"] == pytest.approx(theirs[0]["loss"], rel=1e-6)
    assert ours[0]["sent"].keys() == {"trunk", "packs", "losses"}
    assert "sent" not in theirs[0]
    for tag, scores in theirs[1]["languages"].items():
        assert ours[1]["languages"][tag] == pytest.approx(scores, rel=1e-6)


def test_idle_languages_out_of_memory_change_nothing(data, two, tmp_path):
    mapped = ("--residency.mapped", "--residency.languages", "1")
    assert commands(2, words(data, tmp_path / "run", *SHORT, *mapped)) == [0, 0]
    assert_same(two, tmp_path / "run")


def words(data: Path, out: Path, *more: str) -> list[str]:
    return ["pretrain", "--data", str(data), "--out", str(out), *SMALL_MODEL, *more]


def test_a_rank_that_is_killed_is_named_and_the_run_goes_on(data, tmp_path):
    """By ``--nproc`` and ``kill -9``; then to the end, which is bit for bit that of an undisturbed run."""
    killed, straight = tmp_path / "killed", tmp_path / "straight"
    slow = ("--train.log-every", "1", "--train.steps", "60")
    command = [sys.executable, "-m", "polymod", *words(data, killed, *slow, "--nproc", "2")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not checkpoint_folders(killed):
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(child_of(process.pid, "1"), signal.SIGKILL)
    started = time.monotonic()
    _, said = process.communicate(timeout=60)
    assert time.monotonic() - started < 30
    assert process.returncode == 75
    assert said.count("error:") == 1
    assert "error: rank 1 of 2 was killed by SIGKILL" in said
    assert "Traceback" not in said
    assert commands(2, words(data, killed, *slow)) == commands(2, words(data, straight, *slow)) == [0, 0]
    assert_same(killed, straight)
    chains = [read_metrics(run)[-2]["chain"] for run in (killed, straight)]
    assert chains[0] == chains[1]


def assert_same(run: Path, other: Path) -> None:
    """The last checkpoints are equal bit by bit."""
    ours, theirs = (checkpoint_folders(each)[-1] for each in (run, other))
    for place in (".", "optimizer"):
        a, b = read_tensors(ours / place), read_tensors(theirs / place)
        assert a.keys() == b.keys() != set()
        assert all(torch.equal(a[name], b[name]) for name in a)


def child_of(parent: int, rank: str) -> int:
    """The process of a rank."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environment = (path / "environ").read_bytes().split(b"\0")
            above = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if above == parent and f"RANK={rank}".encode() in environment:
            return int(path.name)
    raise AssertionError("no such process")
