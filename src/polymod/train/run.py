"""The run folder: who works in it, what it was asked to do, where it got to. Its name is its identity."""

from __future__ import annotations

import platform
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from polymod.config import Config, completed, difference
from polymod.errors import UserError
from polymod.files import atomic, locked, read_json, remove_temporary, write_json
from polymod.train.checkpoint import Saved, newest
from polymod.train.parallel import ALONE, Ranks

RECORD = "run.json"
TOKENIZER = "tokenizer.json"
_COMMANDS = {"arm": "pretrain", "language": "extend", "task": "finetune"}  # by an option that is its own


@contextmanager
def opened(
    run: Path,
    config: Config,
    *,
    identity: Mapping[str, Any],
    free: Sequence[str],
    ranks: Ranks = ALONE,
) -> Iterator[None]:
    """Hold a run folder; the first time, write down what it is for, afterwards insist on the same.

    Args:
        identity: facts beside the config that make it this run, such as the data's fingerprint.
        free: dotted config keys that may change between one start and the next.
        ranks: processes of the run, of which the first one holds the folder for all.

    Raises:
        Busy: another process works there.
        UserError: the folder belongs to another config or data (the message shows the difference).
    """
    if not ranks.first:
        ranks.wait()
        yield
        return
    wanted = {"config": config.model_dump(mode="json"), "identity": dict(identity)}
    if run.exists() and not (run / RECORD).exists() and any(p.name != ".lock" for p in run.iterdir()):
        raise UserError("the folder exists and is no run", where=str(run), fix="give another --out")
    with locked(run):
        remove_temporary(run)
        remove_temporary(run / "checkpoints")
        if (run / RECORD).exists():
            insist(run, config, identity=identity, free=free)
        else:
            write_json(run / RECORD, {"schema": 1, **wanted, "versions": versions()})
        ranks.wait()
        yield


def insist(run: Path, config: Config, *, identity: Mapping[str, Any], free: Sequence[str]) -> None:
    """A run that was begun must have been asked for the same; the arguments are those of ``opened``.

    Raises:
        UserError: it is another command's, or belongs to another config or data (the message shows the
            difference).
    """
    before = read_json(run / RECORD)
    if source := before.get("identity", {}).get("source"):
        what = f"the folder holds a model made from {source}, which has no optimiser state to go on from"
        raise UserError(what, where=str(run), fix="give another --out; score, extend and export work on it")
    theirs, ours = _command(before.get("config", {})), _command(type(config).model_fields)
    if theirs and theirs != ours:
        raise UserError(
            f"the folder holds a run of {theirs}, not of {ours}", where=str(run), fix="give another --out"
        )
    lines = [
        *difference(completed(before.get("config", {}), type(config)), config.model_dump(mode="json")),
        *difference(before.get("identity", {}), dict(identity)),
    ]
    changed = [line for line in lines if not any(line.startswith(f"{key}:") for key in free)]
    if changed:
        what = "\n    ".join(["the folder holds a run of another config:", *changed])
        raise UserError(
            what, where=str(run), fix="give another --out, or the options this run was begun with"
        )


def _command(options: Collection[str]) -> str:
    """The command that has these options."""
    return next((command for option, command in _COMMANDS.items() if option in options), "")


def found(run: Path) -> tuple[Saved, dict[str, Any]]:
    """The newest whole checkpoint of a run and the run's record.

    Raises:
        UserError: no run, no checkpoint yet, or none that is whole.
    """
    if not (run / RECORD).is_file():
        raise UserError("no run here", where=str(run), fix="give a folder that pretrain or import wrote")
    saved, complaints = newest(run)
    if saved is None:
        raise UserError(
            "the run has no checkpoint yet", where=str(run), fix="let pretrain reach --train.save-every"
        )
    if complaints:
        raise UserError("\n  ".join(["the newest checkpoint is damaged:", *complaints]), where=str(run))
    return saved, read_json(run / RECORD)


def keep_tokenizer(source: Path, run: Path) -> None:
    """Copy the tokenizer into the run, so that the run can be used without its data."""
    if not (run / TOKENIZER).exists():
        with atomic(run / TOKENIZER) as file:
            file.write(source.read_bytes())


def versions() -> dict[str, str]:
    """What the numbers depend on."""
    packages = {name: version(name) for name in ("polymod", "torch", "numpy", "tokenizers", "transformers")}
    return {**packages, "python": platform.python_version(), "threads": str(torch.get_num_threads())}


def device_and_dtype(device: str, precision: str, *, where: str = "") -> tuple[torch.device, torch.dtype]:
    """Where to compute and in what: ``auto`` is CUDA with bf16 where there is one, else the CPU with fp32.

    Args:
        where: the option that the device was given with.

    Raises:
        UserError: there is no such device.
    """
    if not re.fullmatch(r"auto|(cpu|cuda)(:\d+)?", device):
        raise UserError(f"no device is called {device!r}", where=where, fix="choose auto, cpu or cuda")
    chosen = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise UserError(f"no CUDA device here for {device!r}", where=where, fix="choose the device cpu")
    half = precision == "bf16" or (precision == "auto" and chosen.type == "cuda")
    return chosen, torch.bfloat16 if half else torch.float32


def device_name(device: torch.device) -> str:
    """What a GPU is called by its driver; nothing for a CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else ""
