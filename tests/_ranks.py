"""A function run by several processes that train together, on gloo, and toy trainings for it."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import traceback
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor

from _models import VOCAB, tiny_model
from _tokens import MemoryTokens
from polymod.batch import GlobalBatch
from polymod.data.loader import BatchPlan, TrainLoader
from polymod.data.masking import Masking
from polymod.data.parts import part
from polymod.diagnose.monitor import monitored
from polymod.metrics import StepMetrics
from polymod.model.compiled import compile_pieces
from polymod.model.partition import TRUNK, owner, partition
from polymod.train.checkpoint import newest, restore, save
from polymod.train.config import TrainOptions, TreatmentOptions
from polymod.train.episodes import Episodes
from polymod.train.keepers import Keepers, lending
from polymod.train.log import read_metrics
from polymod.train.loop import Job, TrainState, fit
from polymod.train.optim import build_optimizer
from polymod.train.parallel import Ranks, joined
from polymod.train.sharding import is_hollow, shard
from polymod.train.updates import Plan, build

TAGS = ("en", "fr", "sr-Latn", "to")
PRELOAD = ("torch.distributed", "polymod.train.updates", "polymod.tasks.finetuning", "polymod.train.outcome")
PLAN = BatchPlan(block=16, batch_tokens=128, micro_tokens=64, alpha=0.0, seed=3)


def together(size: int, function: Callable[..., Any], *args: Any) -> list[Any]:
    """What ``function(ranks, *args)`` gives in each of ``size`` processes."""
    return [function(Ranks(), *args)] if size == 1 else started(size, be, function, args)


def commands(size: int, words: list[str]) -> list[int]:
    """Exit codes of a ``polymod`` command in each of ``size`` processes."""
    return started(size, _execute, words)


def started(size: int, do: Callable[..., Any], *args: Any) -> list[Any]:
    """What processes with the environment of torchrun's send."""
    context = multiprocessing.get_context("forkserver")  # which imports torch once
    context.set_forkserver_preload([*PRELOAD])
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    pairs = [context.Pipe() for _ in range(size)]
    processes = [
        context.Process(target=_told, args=((rank, size, store.port), end, do, args))
        for rank, (_, end) in enumerate(pairs)
    ]
    for process, (_, end) in zip(processes, pairs, strict=True):
        process.start()
        end.close()
    found = []
    try:
        for ours, _ in pairs:
            assert ours.poll(60), "a process gave no answer"
            found.append(ours.recv())
        assert not any(isinstance(each, _Failed) for each in found), "\n".join(map(str, found))
        return found
    finally:
        for process in processes:
            process.join(5)
            process.kill()
            process.join()


class _Failed(str):
    """The traceback of a process."""


def _told(place: tuple[int, int, int], end: Connection, do: Callable[..., Any], args: Any) -> None:
    names = ("RANK", "WORLD_SIZE", "MASTER_PORT")
    os.environ |= dict(zip(names, map(str, place), strict=True))
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    torch.set_num_threads(1)
    try:
        end.send(do(*args))
    except BaseException:
        end.send(_Failed(traceback.format_exc()))


def be(function: Callable[..., Any], args: Any, hang_after: float = 60.0) -> Any:
    """What a process does that has joined the others."""
    with joined(1, torch.device("cpu"), hang_after=hang_after) as ranks:
        return function(ranks, *args)


def _execute(words: list[str]) -> int:
    from polymod.cli import execute

    return execute(words[0], words[1:])


def trains(ranks: Ranks, cases: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Several toy trainings."""
    return {name: train(ranks, **case) for name, case in cases.items()}


def train(
    ranks: Ranks,
    update: str,
    arm: str = "modular",
    steps: int = 6,
    run: str = "",
    monitor: int = 0,
    batch_tokens: int = 128,
    poison: Any = None,
    spread: bool = False,
    shared_out: bool = False,
    compiled: bool = False,
    again: str = "",
    **treatment: Any,
) -> dict[str, Any]:
    """A toy training of four languages, from the newest checkpoint of a run if there is one: what came of it.

    ``active`` is the languages of each step, on all processes and on this one.

    Args:
        again: a run that the end is saved to as well, trained or not.
    """
    model = tiny_model(arm, languages=TAGS)
    keepers = kept_by(ranks, model) if shared_out else None
    if spread:
        shard(model, ranks)
    if compiled:
        compile_pieces(model, backend="aot_eager")
    tokens = MemoryTokens(dict.fromkeys(TAGS, 3000), VOCAB)
    masking = Masking(VOCAB - 1, (0, 1, 2, 3), VOCAB, 0.3)
    batch_plan = replace(PLAN, batch_tokens=batch_tokens)
    loader = TrainLoader(tokens, TAGS, masking, batch_plan, bos_id=0)
    options = TrainOptions(steps=50, batch_tokens=128, micro_tokens=64, block_tokens=16, seed=3)
    noted: list[StepMetrics] = []
    before = ranks.sent.copy()
    active: list[tuple[list[str], list[str]]] = []

    def at(step: int) -> GlobalBatch:
        mine = part(loader.at(step), ranks.rank, ranks.size, evenly=spread)
        active.append((list(mine.targets_of), [t or "" for m in mine.micro for t in m.route.tags]))
        return mine

    def episodes(num_tokens: int) -> Episodes:
        return Episodes(tokens, TAGS, masking, PLAN, bos_id=0, num_tokens=num_tokens)

    plan = Plan(model, options, TreatmentOptions(**treatment), torch.float32, at, episodes)
    state = TrainState(model, build_optimizer(model, options), ranks=ranks, keepers=keepers)
    if run and (saved := newest(Path(run))[0]):
        restore(state, saved)

    def keep(state: TrainState, _: bool) -> None:
        save(state, Path(run), facts={}, keep=9)

    jobs = [Job(steps, keep, on_stop=True)] if run and (ranks.first or spread or shared_out) and steps else []
    until = state.step + steps
    if poison is not None:
        model.head.norm.register_forward_hook(lambda _, __, out: out.register_hook(poison) and None)
    made = build(update, plan)
    if run and monitor:
        Path(run).mkdir(exist_ok=True)
        made = monitored(made, Path(run), every=monitor, since=0, dtype=torch.float32, ranks=ranks)
    made = lending(keepers, made)
    fit(state, made, at, until=until, seed=3, log=lambda _, m: noted.append(m), jobs=jobs)
    if again:
        save(state, Path(again), facts={}, keep=9)
    ranks.wait()  # until it is saved
    return {
        "losses": [metrics.loss for metrics in noted],
        "skipped": [metrics.skipped for metrics in noted],
        "chain": state.chain,
        "weights": digest(state),
        "sent": dict(ranks.sent - before),
        "active": active,
        "bytes": sizes(model),
        "kept": sizes(model, here=True),
    }


def kept_by(ranks: Ranks, model: torch.nn.Module) -> Keepers:
    """The processes as keepers of a model's languages."""
    keepers, named = Keepers(TAGS, ranks), dict(model.named_parameters())
    for tag, names in partition(named).items():
        if tag is not None:
            keepers.adopt(tag, [named[name] for name in names])
    return keepers


def digest(state: TrainState) -> str:
    """Hash of weights and moments."""
    total = hashlib.sha256()
    for parameter in state.model.parameters():
        total.update(plain(parameter).numpy().tobytes())
        for moment in state.optimizer.state.get(parameter, {}).values():
            total.update(plain(moment).numpy().tobytes())
    return total.hexdigest()


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """The whole of it; all processes ask for it."""
    tensor = tensor.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def assert_alike(ours: Path, theirs: Path) -> None:
    """Two runs noted the same lines, with equal losses to rounding."""
    lines, others = read_metrics(ours), read_metrics(theirs)
    assert [line["kind"] for line in lines] == [line["kind"] for line in others]
    for a, b in zip(lines, others, strict=True):
        key = "loss" if a["kind"] == "train" else "mean_loss"
        assert a[key] == pytest.approx(b[key], rel=1e-5)


def sizes(model: torch.nn.Module, *, here: bool = False) -> dict[str, int]:
    """Bytes of the trunk, under ``""``, and of what each language owns; of what this process has of them."""
    found: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        tag = "" if owner(name) is TRUNK else str(owner(name))
        mine = parameter.to_local() if here and isinstance(parameter, DTensor) else parameter
        away = here and is_hollow(mine)
        found[tag] = found.get(tag, 0) + (0 if away else mine.numel() * mine.element_size())
    return found
