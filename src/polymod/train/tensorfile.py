"""Tensors to and from one safetensors file, also those that are spread over processes.

What is spread goes by torch's distributed checkpoints (DCP): each process writes its shares and reads no more
than them. Shares are merged into one ordinary file, a tensor at a time, so that what is in a folder does not
depend on how many wrote it, and no process ever has all of it in memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter

from polymod.errors import UserError
from polymod.train.parallel import Ranks
from polymod.train.sharding import is_spread


def write(path: Path, tensors: Mapping[str, Tensor], ranks: Ranks) -> None:
    """Write a file; if something is spread, all processes call it.

    Raises:
        UserError: one of several processes could not write; in all of them.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not any(map(is_spread, tensors.values())):
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
        return
    # a number without dimensions would become 0 when shares are merged (torch 2.13)
    shares = {name: tensor.detach() if tensor.ndim else tensor.view(1) for name, tensor in tensors.items()}
    parts = path.with_name(f"{path.stem}-parts")
    writer = HuggingFaceStorageWriter(str(parts), save_distributed=True, enable_consolidation=True)
    try:
        with ranks.contact():
            state_dict_saver.save(shares, storage_writer=writer)
    except CheckpointException as error:
        raise _refused("write", path, error) from error
    if ranks.first:
        (merged,) = parts.glob("*.safetensors")
        merged.replace(path)
        shutil.rmtree(parts)


@torch.no_grad()
def fill(path: Path, tensors: Mapping[str, Tensor], ranks: Ranks) -> None:
    """Set tensors to those of a file, each process its shares of what is spread.

    Raises:
        UserError: one of several processes could not read; in all of them.
    """
    spread = {name: tensor.detach() for name, tensor in tensors.items() if is_spread(tensor)}
    if spread:
        reader = HuggingFaceStorageReader(str(path.parent))
        try:
            with ranks.contact():
                state_dict_loader.load(dict(spread), storage_reader=reader)
        except CheckpointException as error:
            raise _refused("read", path, error) from error
    if len(spread) < len(tensors):
        with safe_open(path, framework="pt") as file:
            for name in tensors.keys() - spread.keys():
                tensors[name].copy_(file.get_tensor(name).view(tensors[name].shape))


def shapes(path: Path) -> dict[str, list[int]]:
    """Of the tensors of a file, by name; none if there is no file."""
    if not path.exists():
        return {}
    with safe_open(path, framework="pt") as file:
        return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - no mapping


def _refused(verb: str, path: Path, error: CheckpointException) -> UserError:
    rank, (reason, _) = next(iter(error.failures.items()))
    why = getattr(reason, "strerror", None) or reason
    fix = "free some space or give another --out; what was complete before is still whole"
    if verb == "read":
        fix = "run the same command again, or move this checkpoint away: the one before it is then taken"
    return UserError(f"rank {rank} could not {verb} its share: {why}", where=str(path), fix=fix)
