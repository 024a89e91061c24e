"""``--slurm``: what is asked of the cluster, and what the job then runs. sbatch is played by a script."""

import json
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import pytest

from polymod.cli import execute
from polymod.commands.slurm import PORT, Job

FEW = ("--train-examples=10", "--test-examples=10")
pytest.importorskip("submitit", reason="needs the extra slurm")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs first in the path: sbatch that queues nothing, and srun."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, does in (("sbatch", "echo Submitted batch job 4711"), ("srun", "true")):
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return programs


def queued(capsys, *words: str) -> tuple[dict, str, Job]:
    """What is printed, the batch script, and the job as it was pickled."""
    from submitit.core.utils import DelayedSubmission

    assert execute("world", [*words, "--slurm", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    script = Path(document["script"])
    (pickled,) = script.parent.glob("*.pkl")
    return document, script.read_text(), DelayedSubmission.load(pickled).function


def test_the_job_asks_for_what_is_given_and_runs_the_same_words(cluster, tmp_path, capsys):
    words = [
        "--out",
        "here/w",
        "--languages=3",
        "--slurm.hours",
        "2",
        "--slurm.gpus",
        "4",
        "--slurm.partition=big",
    ]
    document, script, job = queued(capsys, *words, "--slurm.more.constraint", "h200")
    assert document["job"] == "4711"
    assert Path(document["script"]).parent == tmp_path / "here" / "w.slurm"
    for line in (
        "time=120",
        "gpus-per-node=4",
        "partition=big",
        "constraint=h200",
        "nodes=1",
        "job-name=polymod-world",
    ):
        assert f"#SBATCH --{line}\n" in script
    assert job.words == ("world", "--out=here/w", "--languages=3")
    assert document["command"] == [sys.executable, "-m", "polymod", "world", "--out=here/w", "--languages=3"]


def test_several_machines_find_each_other_by_torchrun():
    command = Job(["pretrain", "--out=r"], nodes=4, nproc=8).command("first", "12")
    assert command[1:3] == ["-m", "torch.distributed.run"]
    pairs = dict(zip(command[3:13:2], command[4:13:2], strict=True))
    assert pairs["--nnodes"] == "4"
    assert pairs["--nproc-per-node"] == "8"
    assert pairs["--rdzv-endpoint"] == f"first:{PORT}"
    assert command[13:] == ["-m", "polymod", "pretrain", "--out=r", "--nproc", "1"]
    alone = Job(["pretrain", "--out=r"], nodes=1, nproc=8).command("first", "12")
    assert alone[3:] == ["pretrain", "--out=r", "--nproc", "8"]


def test_at_the_end_of_its_time_the_command_is_stopped_and_queued_again(tmp_path):
    waits = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(75)); "
    job = Job(["pretrain"], nodes=1, nproc=1)
    job.process = subprocess.Popen(
        [sys.executable, "-c", f"{waits}print(flush=True); time.sleep(60)"], stdout=-1
    )
    assert job.process.stdout is not None
    job.process.stdout.readline()
    again = job.checkpoint()
    job.process.stdout.close()
    assert job.process.returncode == 75
    assert pickle.loads(pickle.dumps(again)).function.words == ("pretrain",)


def test_a_job_runs_the_command(tmp_path, monkeypatch):
    """The local executor of submitit runs it as a cluster would: unpickled, in another process."""
    import submitit

    monkeypatch.chdir(tmp_path)
    executor = submitit.LocalExecutor(folder=tmp_path / "jobs")
    executor.update_parameters(timeout_min=2)
    words = ["world", "--out=w", "--languages=2", "--families=1", "--sentences=20", *FEW]
    started = executor.submit(Job(words, nodes=1, nproc=1))
    while not started.paths.result_pickle.exists():  # sooner than submitit looks
        assert started._process.poll() in (None, 0)
        time.sleep(0.05)
    started.result()
    assert (tmp_path / "w" / "world.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--slurm.hours", "2"], "without --slurm"),
        (["--slurm", "--slurm.hours", "-1"], "--slurm.hours"),
        (["--slurm", "--slurm.hour", "1"], "did you mean --slurm.hours"),
        (["--slurm", "--slurm.nodes", "2"], "world runs on one machine"),
        (["--slurm", "--languages", "0"], "--languages"),
    ],
)
def test_wrong_input_queues_nothing(words, said, cluster, tmp_path, capsys):
    assert execute("world", ["--out", "w", *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "w.slurm").exists()


def test_without_a_cluster_it_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert execute("world", ["--out", "w", "--slurm"]) == 2
    assert "there is no Slurm here" in capsys.readouterr().err
