"""Runs as processes: where they are, what they said last, and that none outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from polymod.progress import bars
from polymod.study.runner import Task, reason, run_all, step_of


def test_the_last_step_is_read_from_the_end_of_the_metrics(tmp_path):
    assert step_of(tmp_path) == 0
    lines = [f'{{"kind": "train", "step": {step}, "filler": "{"x" * 500}"}}' for step in range(1, 400)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + '\n{"kind": "train", "st')
    assert step_of(tmp_path) == 399


@pytest.mark.parametrize(
    ("said", "code", "why"),
    [
        ("loss 3\nerror: D: no such folder\n  fix: make it\n", 2, "D: no such folder\n  fix: make it"),
        ("12 of 30 steps\n", -9, "killed by signal 9; 12 of 30 steps"),
        ("", 1, "exit code 1"),
        ("error: stopped by SIGTERM after step 3, saved\n", 75, "stopped by a signal; stopped by SIGTERM"),
    ],
)
def test_the_reason_of_a_failure(tmp_path, said, code, why):
    (tmp_path / "log").write_text(said)
    assert reason(tmp_path / "log", code).startswith(why)


def test_a_failing_run_does_not_stop_the_others(tmp_path):
    told = {"bad": ("verify", str(tmp_path / "nowhere")), "good": ("--version",)}
    tasks = [Task(name, typed, tmp_path / name, tmp_path / f"{name}.log", 1) for name, typed in told.items()]
    with bars("steps") as group:
        failed = run_all(tasks, 1, group)
    assert list(failed) == ["bad"]
    assert "nowhere" in failed["bad"]
    assert (tmp_path / "good.log").read_text().startswith("polymod ")


def test_a_run_ends_with_its_parent_even_if_that_is_killed(tmp_path):
    wait = "import time; time.sleep(60)"
    child = (
        f"import polymod.study.child as c, runpy; runpy.run_module = lambda *a, **k: exec({wait!r}); c.main()"
    )
    script = (
        "import os, subprocess, sys, time\n"
        f"p = subprocess.Popen([sys.executable, '-c', {child!r}, str(os.getpid())], start_new_session=True)\n"
        "print(p.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the run goes on")
