"""Checkpoints: one safetensors file for the trunk and one per language, optimiser state beside them.

``checkpoints/step-00001000/`` holds ``trunk.safetensors``, ``languages/lang-<tag>.safetensors``, the same
names under ``optimizer/``, ``extra.safetensors`` if the update carries something from step to step,
``state.json`` and ``manifest.json``. A folder with that name is whole: it was
written under another one, fsynced and renamed. Nothing is pickled.

Only what has changed since the last checkpoint is written. The rest are hard links to its files, so that
time and bytes follow the languages that were trained, not those that are installed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from polymod.errors import UserError
from polymod.files import (
    atomic_folder,
    language_name,
    listed,
    problems,
    read_json,
    refusals,
    write_json,
    write_manifest,
)
from polymod.model.config import ModelConfig
from polymod.model.heads import MaskedLM
from polymod.model.partition import TRUNK, owner, partition
from polymod.train.loop import TrainState, Written
from polymod.train.parallel import ALONE, Ranks
from polymod.train.sharding import is_spread
from polymod.train.tensorfile import fill, shapes, write

SCHEMA = 1
EXTRA = "extra.safetensors"
OPTIMIZER = "optimizer/"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Saved:
    """What a checkpoint says about itself."""

    folder: Path
    step: int
    chain: str
    config: ModelConfig
    facts: dict[str, Any]  # versions, threads, data: whatever the writer noted


def checkpoint_folders(run: Path) -> list[Path]:
    """Checkpoint folders of a run, oldest first."""
    return sorted((run / "checkpoints").glob("step-????????"))


def save(state: TrainState, run: Path, *, facts: Mapping[str, Any], keep: int) -> Path:
    """Write the state as a new checkpoint and drop all but the newest ``keep``.

    The first process writes, and calls it alone; if others have shares of the state, all call it, and each
    writes its own, so that the folder has to be one that all of them see.

    Raises:
        UserError: the disk is full or not writable; the earlier checkpoints are untouched.
    """
    folder = run / "checkpoints" / f"step-{state.step:08d}"
    ranks = state.ranks if _has_shares(state) else ALONE
    if ranks.first and folder.exists() and problems(folder):  # damaged, so its steps were done again
        shutil.rmtree(folder)
    if ranks.told(not folder.exists()):
        updates = _updates(state)
        with _begun(folder, ranks) as temporary:
            known = ranks.told(_link(temporary, state.written, updates) if ranks.first else {})
            with ranks.all_or_none(), refusals(folder):
                _write(temporary, state, known, ranks)
            if ranks.first:
                document = {"schema": SCHEMA, "step": state.step, "chain": state.chain, **facts}
                document["model"] = state.model.config.model_dump(mode="json")
                write_json(temporary / "state.json", document)
                write_manifest(temporary, known)
        state.written = Written(folder, updates)
    for old in checkpoint_folders(run)[:-keep] if ranks.first else ():
        shutil.rmtree(old)
    return folder


@contextmanager
def _begun(folder: Path, ranks: Ranks) -> Iterator[Path]:
    """The temporary folder for all; the first one makes it, and gives it its name at the end."""
    with ExitStack() as stack:
        temporary = folder
        with ranks.all_or_none():
            if ranks.first:
                temporary = stack.enter_context(atomic_folder(folder))
        yield Path(ranks.told(str(temporary)))


def newest(run: Path) -> tuple[Saved | None, list[str]]:
    """The newest checkpoint whose every hash holds, and what is wrong with the newer ones.

    Raises:
        UserError: there are checkpoints and none is whole, or one is of a newer version of polymod.
    """
    complaints: list[str] = []
    folders = checkpoint_folders(run)
    for folder in reversed(folders):
        if found := problems(folder):
            complaints += found
            continue
        return read(folder), complaints
    if folders:
        what = "\n  ".join(["no checkpoint is whole:", *complaints])
        raise UserError(what, where=str(run), fix="put back the files, or give another --out and start anew")
    return None, complaints


def agreed(run: Path, ranks: Ranks) -> tuple[Saved | None, list[str]]:
    """What ``newest`` is for the first process, for all: a run goes on with any number of them."""
    saved, complaints = newest(run) if ranks.first else (None, [])
    name, complaints = ranks.told([saved.folder.name if saved else "", complaints])
    if name and not ranks.first:
        saved = read(run / "checkpoints" / name)
    return saved, complaints


def read(folder: Path) -> Saved:
    """What a checkpoint is, without its tensors."""
    document = read_json(folder / "state.json")
    if document.get("schema") != SCHEMA:
        what = f"checkpoint of schema {document.get('schema')!r}; this version reads {SCHEMA}"
        raise UserError(what, where=str(folder), fix="use the version of polymod that wrote it")
    facts = {key: value for key, value in document.items() if key not in ("schema", "step", "chain", "model")}
    config = ModelConfig.model_validate(document["model"])
    return Saved(folder, document["step"], document["chain"], config, facts)


def load_model(saved: Saved) -> MaskedLM:
    """The masked-LM model of a checkpoint, on the CPU.

    Raises:
        UserError: it holds a model that was fine-tuned for a task, which has another head.
    """
    if "task" in saved.facts:
        fix = "give the run that it was fine-tuned from"
        raise UserError("this model was fine-tuned for a task", where=str(saved.folder), fix=fix)
    model = MaskedLM(saved.config)
    model.load_state_dict(read_tensors(saved.folder))
    return model


def restore(state: TrainState, saved: Saved) -> None:
    """Put a checkpoint's weights and optimiser state into ``state``, a language at a time. Of several
    processes each reads what it has of them.

    Raises:
        UserError: other tensors than the model has, or no optimiser state (an imported model).
    """
    parameters = dict(state.model.named_parameters())
    for tag, names in partition(parameters).items():
        if _keeps(state, tag):
            _restore(state, saved.folder, tag, {name: parameters[name] for name in names})
        if state.residency is not None:
            state.residency.let_go(tag)
    if saved.step and not state.optimizer.state:
        raise UserError("the checkpoint has no optimiser state", where=str(saved.folder))
    state.step, state.chain = saved.step, saved.chain
    extra = saved.folder / EXTRA
    state.extra = load_file(extra) if extra.exists() else {}
    state.written = Written(saved.folder, _updates(state))


def optimizer_tensors(
    state: TrainState, parameters: Mapping[str, torch.nn.Parameter] | None = None
) -> dict[str, Tensor]:
    """``<parameter>.<moment>`` of these parameters, or all, as far as they have had a gradient."""
    by_parameter = state.optimizer.state
    chosen = dict(state.model.named_parameters()) if parameters is None else parameters
    return {
        f"{name}.{key}": by_parameter[parameter][key]
        for name, parameter in chosen.items()
        if parameter in by_parameter
        for key in _MOMENTS
    }


def size_of(model: torch.nn.Module) -> int:
    """Bytes of a checkpoint, moments included."""
    return 3 * sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())


def _restore(
    state: TrainState, folder: Path, tag: str | None, parameters: Mapping[str, torch.nn.Parameter]
) -> None:
    """Read the trunk, or a language."""
    weights, moments = (folder / place / _file_of(tag) for place in ("", OPTIMIZER))
    if shapes(weights) != {name: list(parameter.shape) for name, parameter in parameters.items()}:
        what = f"the checkpoint has other tensors of {tag or 'the trunk'} than the model"
        raise UserError(what, where=str(folder), fix="give the --model options that it was made with")
    fill(weights, parameters, state.ranks)
    there = shapes(moments)
    for name, parameter in parameters.items():
        if f"{name}.step" in there:
            count, like = torch.zeros((), device=parameter.device), parameter.detach()
            tensors = (count, torch.zeros_like(like), torch.zeros_like(like))
            state.optimizer.state[parameter] = dict(zip(_MOMENTS, tensors, strict=True))
    fill(moments, optimizer_tensors(state, parameters), state.ranks)


def _has_shares(state: TrainState) -> bool:
    """Whether the state is spread over the processes."""
    return state.keepers is not None or any(map(is_spread, state.parameters))


def _keeps(state: TrainState, tag: str | None) -> bool:
    """Whether this process has the trunk, or a language."""
    return tag is TRUNK or state.keepers is None or state.keepers.keeps(tag)


def _updates(state: TrainState) -> dict[str | None, int]:
    """By owner, how often the optimiser has moved its parameters, summed over them.

    Nothing else moves them, so equal numbers mean equal bits.
    """
    updates: dict[str | None, int] = {}
    for name, parameter in state.model.named_parameters():
        moments = state.optimizer.state.get(parameter)
        updates[owner(name)] = updates.get(owner(name), 0) + (int(moments["step"]) if moments else 0)
    if state.keepers is None:
        return updates
    return dict(zip(updates, state.ranks.most([*updates.values()]), strict=True))  # the others count none


def _link(folder: Path, written: Written | None, updates: Mapping[str | None, int]) -> dict[str, str]:
    """Link what has not changed since a checkpoint, and return hashes by name as its manifest has them.

    What cannot be linked (another disk, a file that is gone) is left out, and so written anew.
    """
    if written is None or written.folder.parent != folder.parent:
        return {}
    try:
        there = listed(written.folder)
    except UserError:  # without its hashes nobody could tell whether its files are whole
        return {}
    same = [_file_of(tag) for tag, count in updates.items() if written.updates.get(tag) == count]
    known: dict[str, str] = {}
    for name in there.keys() & {*same, *(OPTIMIZER + name for name in same)}:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(written.folder / name, folder / name)
        except OSError:
            continue
        known[name] = there[name][1]
    return known


def _file_of(tag: str | None) -> str:
    """The trunk's file or a language's."""
    return "trunk.safetensors" if tag is TRUNK else f"languages/{language_name(tag)}.safetensors"


def _write(folder: Path, state: TrainState, known: Collection[str], ranks: Ranks) -> None:
    """One file for the trunk's tensors and one per language, the same for moments, except for known ones."""
    parameters = dict(state.model.named_parameters())
    for tag, names in partition(parameters).items():
        if not _keeps(state, tag):
            continue
        weights = {name: parameters[name] for name in names}
        file = _file_of(tag)
        for place, tensors in ((file, weights), (OPTIMIZER + file, optimizer_tensors(state, weights))):
            spread = any(map(is_spread, tensors.values()))
            if tensors and place not in known and (tag is not TRUNK or spread or ranks.first):
                write(folder / place, tensors, ranks)
        if state.residency is not None:
            state.residency.let_go(tag)
    if state.extra and ranks.first:
        write(folder / EXTRA, state.extra, ALONE)


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint folder (or of its ``optimizer`` folder), by name."""
    tensors: dict[str, Tensor] = {}
    for path in sorted([*folder.glob("trunk.safetensors"), *folder.glob("languages/*.safetensors")]):
        tensors |= load_file(path)
    return tensors
