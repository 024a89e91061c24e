"""``--slurm``: the command as a job of a Slurm cluster, which goes on after every time limit.

The job runs the same command. Before its time is over, it is told to save and to stop, and the job is queued
again. Needs the extra ``slurm`` (submitit), which writes the batch script.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from polymod.config import CommandConfig, Config, Tree
from polymod.errors import Failure, UserError

PORT = 29_507  # where the processes of several machines find each other
SECONDS_TO_SAVE = 180


class JobOptions(Config):
    """What a job asks for. With --nproc N a machine gets N processes."""

    nodes: int = Field(1, ge=1, description="machines; each has --nproc processes")
    gpus: int = Field(0, ge=0, description="GPUs of a machine")
    cpus: int = Field(8, ge=1, description="cores of a machine")
    memory: int = Field(0, ge=0, description="GB of a machine; 0: what the cluster gives")
    hours: float = Field(24.0, gt=0, description="time limit of the job each time it runs")
    restarts: int = Field(20, ge=0, description="how often it is queued again when its time is over")
    partition: str = Field("", description="of the cluster")
    account: str = Field("", description="that pays for it")
    folder: Path | None = Field(None, description="for script and logs; left out: beside --out, or ./slurm")
    more: Tree = Field({}, description="anything else for sbatch: --slurm.more.constraint h100")


class Request(CommandConfig):
    """The options of a job as they are written."""

    slurm: JobOptions = JobOptions()


class Job:
    """A command line as submitit runs it, pickled, on every machine of the job."""

    def __init__(self, words: Sequence[str], nodes: int, nproc: int) -> None:
        self.words, self.nodes, self.nproc = tuple(words), nodes, nproc
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> None:
        """Run it to its end; an exit code other than 0 makes the job fail."""
        import submitit

        here = submitit.JobEnvironment()
        self.process = subprocess.Popen(self.command(here.hostnames[0], here.job_id))
        if code := self.process.wait():
            raise Failure(f"exit code {code}")

    def checkpoint(self) -> Any:
        """Told that the time is over: save, stop, and be queued again."""
        from submitit.helpers import DelayedSubmission

        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait()
        return DelayedSubmission(Job(self.words, self.nodes, self.nproc))

    def command(self, first_host: str, job: str) -> list[str]:
        """The command of one machine; those of several find each other by torchrun."""
        if self.nodes == 1:
            processes = ["--nproc", str(self.nproc)] if self.nproc > 1 else []
            return [sys.executable, "-m", "polymod", *self.words, *processes]
        return [
            *(sys.executable, "-m", "torch.distributed.run"),
            *("--nnodes", str(self.nodes), "--nproc-per-node", str(self.nproc)),
            *("--rdzv-backend", "c10d", "--rdzv-endpoint", f"{first_host}:{PORT}", "--rdzv-id", job),
            *("-m", "polymod", *self.words, "--nproc", "1"),  # as many as torchrun says
        ]


def submit(job: Job, config: JobOptions, out: Path | None) -> dict[str, Any]:
    """Queue a job whose command is known to be right.

    Args:
        out: where the command writes; script and logs are put beside it.

    Raises:
        UserError: submitit is not installed, or there is no Slurm here.
        Failure: the cluster refused the job.
    """
    try:
        import submitit
    except ImportError:
        raise UserError(
            "submitit is not installed", where="--slurm", fix="pip install 'polymod[slurm]'"
        ) from None
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        fix = "run it on a machine of the cluster that has sbatch and srun, or leave --slurm out"
        raise UserError("there is no Slurm here", where="--slurm", fix=fix)
    folder = config.folder or (out.with_name(f"{out.name}.slurm") if out else Path("slurm"))
    executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=config.restarts)
    executor.update_parameters(**_parameters(job, config))
    try:
        queued = executor.submit(job)
    except submitit.core.utils.FailedJobError as error:
        raise Failure(f"sbatch refused the job: {error}", where="--slurm") from error
    paths = queued.paths
    return {
        "job": queued.job_id,
        "script": str(paths.submission_file),
        "log": str(paths.stderr),
        "command": job.command("HOST", queued.job_id),
    }


def _parameters(job: Job, config: JobOptions) -> dict[str, Any]:
    """What submitit calls them; one task a machine, which starts the others."""
    wanted = {
        "job_name": f"polymod-{job.words[0]}",
        "nodes": config.nodes,
        "ntasks_per_node": 1,
        "cpus_per_task": config.cpus,
        "gpus_per_node": config.gpus or None,
        "mem": f"{config.memory}GB" if config.memory else None,
        "time": max(1, round(60 * config.hours)),
        "partition": config.partition or None,
        "account": config.account or None,
        "signal_delay_s": SECONDS_TO_SAVE,
        "wckey": None,
        "additional_parameters": {str(key): value for key, value in config.more.items()} or None,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def show(document: dict[str, Any]) -> None:
    """The script as it was queued."""
    print(Path(document["script"]).read_text(encoding="utf-8").rstrip())
    print(f"job {document['job']} is queued; it says what it does in {document['log']}")
