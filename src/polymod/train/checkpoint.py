"""Checkpoints: one safetensors file for the trunk and one per language, optimiser state beside them.

``checkpoints/step-00001000/`` holds ``trunk.safetensors``, ``languages/lang-<tag>.safetensors``, the same
names under ``optimizer/``, ``extra.safetensors`` if the update carries something from step to step,
``state.json`` and ``manifest.json``. A folder with that name is whole: it was
written under another one, fsynced and renamed. Nothing is pickled.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from polymod.errors import UserError
from polymod.files import atomic_folder, language_name, problems, read_json, write_json, write_manifest
from polymod.model.config import ModelConfig
from polymod.model.heads import MaskedLM
from polymod.model.partition import TRUNK, partition
from polymod.train.loop import TrainState
from polymod.train.parallel import Ranks

SCHEMA = 1
EXTRA = "extra.safetensors"
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

    Raises:
        UserError: the disk is full or not writable; the earlier checkpoints are untouched.
    """
    folder = run / "checkpoints" / f"step-{state.step:08d}"
    if folder.exists() and problems(folder):  # damaged, which is why its steps were done again
        shutil.rmtree(folder)
    if not folder.exists():
        with atomic_folder(folder) as temporary:
            _write(temporary, dict(state.model.named_parameters()))
            _write(temporary / "optimizer", optimizer_tensors(state))
            if state.extra:
                save_file({name: _plain(tensor) for name, tensor in state.extra.items()}, temporary / EXTRA)
            document = {"schema": SCHEMA, "step": state.step, "chain": state.chain, **facts}
            write_json(
                temporary / "state.json", {**document, "model": state.model.config.model_dump(mode="json")}
            )
            write_manifest(temporary)
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
    """Put a checkpoint's weights and optimiser state into ``state``.

    Raises:
        UserError: the checkpoint has no optimiser state (an imported model).
    """
    state.model.load_state_dict(read_tensors(saved.folder))
    moments = read_tensors(saved.folder / "optimizer")
    if saved.step and not moments:
        raise UserError("the checkpoint has no optimiser state", where=str(saved.folder))
    for name, parameter in state.model.named_parameters():
        if f"{name}.step" in moments:
            tensors = {key: moments[f"{name}.{key}"] for key in _MOMENTS}
            on_device = {key: tensor.to(parameter.device) for key, tensor in tensors.items()}
            state.optimizer.state[parameter] = on_device
    state.step, state.chain = saved.step, saved.chain
    extra = saved.folder / EXTRA
    state.extra = load_file(extra) if extra.exists() else {}


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


def _write(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """One file for the trunk's tensors and one per language."""
    for tag, names in partition(tensors).items():
        path = folder / (
            "trunk.safetensors" if tag is TRUNK else f"languages/{language_name(tag)}.safetensors"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: _plain(tensors[name]) for name in names}, path)


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().contiguous()


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint folder (or of its ``optimizer`` folder), by name."""
    tensors: dict[str, Tensor] = {}
    for path in sorted([*folder.glob("trunk.safetensors"), *folder.glob("languages/*.safetensors")]):
        tensors |= load_file(path)
    return tensors
