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
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from polymod.errors import UserError
from polymod.files import (
    atomic_folder,
    language_name,
    listed,
    problems,
    read_json,
    write_json,
    write_manifest,
)
from polymod.model.config import ModelConfig
from polymod.model.heads import MaskedLM
from polymod.model.partition import TRUNK, owner, partition
from polymod.train.loop import TrainState, Written
from polymod.train.parallel import Ranks
from polymod.train.residency import Residency
from polymod.train.sharding import put_, share, whole

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

    What is spread over processes is gathered first, so all of them call it then; the first one writes.

    Raises:
        UserError: the disk is full or not writable; the earlier checkpoints are untouched.
    """
    folder = run / "checkpoints" / f"step-{state.step:08d}"
    weights = whole(dict(state.model.named_parameters()), state.ranks)
    moments = whole(optimizer_tensors(state), state.ranks)
    if not state.ranks.first:
        return folder
    if folder.exists() and problems(folder):  # damaged, which is why its steps were done again
        shutil.rmtree(folder)
    if not folder.exists():
        updates = _updates(state)
        with atomic_folder(folder) as temporary:
            known = _link(temporary, state.written, updates)
            _write(temporary, weights, moments, known, state.residency)
            if state.extra:
                save_file({name: _plain(tensor) for name, tensor in state.extra.items()}, temporary / EXTRA)
            document = {"schema": SCHEMA, "step": state.step, "chain": state.chain, **facts}
            write_json(
                temporary / "state.json", {**document, "model": state.model.config.model_dump(mode="json")}
            )
            write_manifest(temporary, known)
        state.written = Written(folder, updates)
    for old in checkpoint_folders(run)[:-keep]:
        shutil.rmtree(old)
    return folder


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
        raise UserError("\n  ".join(["no checkpoint is whole:", *complaints]), where=str(run))
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
    """Put a checkpoint's weights and optimiser state into ``state``, a language at a time.

    Raises:
        UserError: other tensors than the model has, or no optimiser state (an imported model).
    """
    parameters, has_moments = dict(state.model.named_parameters()), False
    for tag, names in partition(parameters).items():
        weights, moments = (_read(saved.folder / place / _file_of(tag)) for place in ("", OPTIMIZER))
        if set(names) != weights.keys() or any(weights[n].shape != parameters[n].shape for n in names):
            what = f"the checkpoint has other tensors of {tag or 'the trunk'} than the model"
            raise UserError(
                what, where=str(saved.folder), fix="give the --model options that it was made with"
            )
        for name in names:
            parameter = parameters[name]
            put_(parameter, weights[name])
            if f"{name}.step" in moments:
                tensors = {key: moments[f"{name}.{key}"] for key in _MOMENTS}
                on_device = {key: share(tensor, parameter) for key, tensor in tensors.items()}
                state.optimizer.state[parameter] = on_device
                has_moments = True
        if state.residency is not None:
            state.residency.let_go(tag)
    if saved.step and not has_moments:
        raise UserError("the checkpoint has no optimiser state", where=str(saved.folder))
    state.step, state.chain = saved.step, saved.chain
    extra = saved.folder / EXTRA
    state.extra = load_file(extra) if extra.exists() else {}
    state.written = Written(saved.folder, _updates(state))


def optimizer_tensors(state: TrainState) -> dict[str, Tensor]:
    """``<parameter>.<moment>`` of every parameter that has had a gradient."""
    by_parameter = state.optimizer.state
    return {
        f"{name}.{key}": by_parameter[parameter][key]
        for name, parameter in state.model.named_parameters()
        if parameter in by_parameter
        for key in _MOMENTS
    }


def size_of(model: torch.nn.Module) -> int:
    """Bytes of a checkpoint, moments included."""
    return 3 * sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())


def _updates(state: TrainState) -> dict[str | None, int]:
    """By owner, how often the optimiser has moved its parameters, summed over them.

    Nothing else moves them, so equal numbers mean equal bits.
    """
    updates: dict[str | None, int] = {}
    for name, parameter in state.model.named_parameters():
        moments = state.optimizer.state.get(parameter)
        updates[owner(name)] = updates.get(owner(name), 0) + (int(moments["step"]) if moments else 0)
    return updates


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


def _write(
    folder: Path,
    weights: Mapping[str, Tensor],
    moments: Mapping[str, Tensor],
    known: Collection[str],
    residency: Residency | None,
) -> None:
    """One file for the trunk's tensors and one per language, the same for moments, except for known ones."""
    names_of, moments_of = partition(weights), partition(moments)
    for tag, names in names_of.items():
        file = _file_of(tag)
        parts = [(file, {name: weights[name] for name in names})]
        if tag in moments_of:
            parts.append((OPTIMIZER + file, {name: moments[name] for name in moments_of[tag]}))
        for place, tensors in parts:
            if place not in known:
                (folder / place).parent.mkdir(parents=True, exist_ok=True)
                save_file({name: _plain(tensor) for name, tensor in tensors.items()}, folder / place)
        if residency is not None:
            residency.let_go(tag)


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()


def _read(path: Path) -> dict[str, Tensor]:
    return load_file(path) if path.exists() else {}


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint folder (or of its ``optimizer`` folder), by name."""
    tensors: dict[str, Tensor] = {}
    for path in sorted([*folder.glob("trunk.safetensors"), *folder.glob("languages/*.safetensors")]):
        tensors |= load_file(path)
    return tensors
