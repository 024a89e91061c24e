"""Several processes that train one model: who this one is among them, and what they tell each other.

Every process holds the whole model and does the same steps; each computes its part of a batch, and sums are
taken over all. ``torchrun`` says in the environment who is who, and so does ``--nproc`` (train/launch.py).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from polymod.data.random import key
from polymod.errors import Lost, Stopped, UserError
from polymod.metrics import LossSum
from polymod.train.launch import LAUNCHED, LOST
from polymod.train.watchdog import common_store, watched

_SINGLE = hasattr(dist, "all_gather_single")  # torch >= 2.13 has new names
_LONGEST = timedelta(days=1)  # of one exchange: who waits for whom is the watchdog's business


class Ranks:
    """This process among those that train a model together; alone if nothing else is said.

    Whatever sums or tells is called by all of them in the same order. What they get is the same bit for bit,
    so that their models stay the same.

    Attributes:
        rank: of this process, from 0.
        size: how many there are.
        device: where this one computes.
        sent: bytes that this one handed to sums and copies so far, by what they were.
        calls: exchanges begun so far.
        in_step: whether a training step goes on, in which nobody keeps the others waiting for long.
    """

    def __init__(self, rank: int = 0, size: int = 1, device: torch.device | None = None) -> None:
        self.rank, self.size, self.device = rank, size, device or torch.device("cpu")
        self.sent: Counter[str] = Counter()
        self.calls = 0
        self.in_step = False

    @property
    def alone(self) -> bool:
        """Whether there is no other."""
        return self.size == 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files and speaks to people."""
        return self.rank == 0

    def seed(self, *parts: object) -> None:
        """Seed torch with a function of ``parts``, of its own for each of several processes."""
        torch.manual_seed(int(key(*parts) if self.alone else key(*parts, "rank", self.rank)) >> 1)

    def seed_alike(self, *parts: object) -> None:
        """Seed torch of several processes with the same number, for what each of them does; not one alone."""
        if not self.alone:
            torch.manual_seed(int(key(*parts)) >> 1)

    def begin_sum(self, flat: Tensor, kind: str, *, to: int | None = None) -> dist.Work | None:
        """Begin to replace a tensor by the sum over all, in one process or everywhere; it is there after
        ``finish``.
        """
        self.sent[kind] += flat.numel() * flat.element_size()
        with self.contact():
            work: dist.Work | None = (
                dist.all_reduce(flat, async_op=True) if to is None else dist.reduce(flat, to, async_op=True)
            )
            return work

    def begin_copy(self, flat: Tensor, source: int) -> dist.Work | None:
        """Begin to replace a tensor by that of one process; it is there after ``finish``."""
        self.sent["lent"] += flat.numel() * flat.element_size() * (source == self.rank)
        with self.contact():
            work: dist.Work | None = dist.broadcast(flat, source, async_op=True)
            return work

    def finish(self, works: Sequence[dist.Work | None]) -> None:
        """Wait for what was begun."""
        with self.contact():
            for work in works:
                if work is not None:
                    work.wait()

    def sum_(self, tensors: Sequence[Tensor], kind: str) -> None:
        """Replace tensors of one kind, all shapes known to all, by their sums over all, in one exchange."""
        if self.alone or not any(tensor.numel() for tensor in tensors):
            return
        if len(tensors) == 1 and tensors[0].is_contiguous():
            self.finish([self.begin_sum(tensors[0].detach(), kind)])
            return
        flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
        self.finish([self.begin_sum(flat, kind)])
        sizes = [tensor.numel() for tensor in tensors]
        for tensor, values in zip(tensors, flat.split(sizes), strict=True):
            tensor.detach().copy_(values.view_as(tensor))

    def gather(self, output: Tensor, mine: Tensor, group: dist.ProcessGroup, later: bool) -> dist.Work | None:
        """Put each one's piece of a spread tensor into ``output``, one after the other.

        Args:
            later: return at once something to wait for.
        """
        self.sent["gathered"] += mine.numel() * mine.element_size()
        with self.contact():
            gather = dist.all_gather_single if _SINGLE else dist.all_gather_into_tensor
            work: dist.Work | None = gather(output, mine, group=group, async_op=later)
            return work

    def scatter_sum(
        self, output: Tensor, full: Tensor, group: dist.ProcessGroup, later: bool
    ) -> dist.Work | None:
        """Put this one's piece of the sum of a trunk gradient into ``output``."""
        self.sent["trunk"] += full.numel() * full.element_size()
        with self.contact():
            scatter = dist.reduce_scatter_single if _SINGLE else dist.reduce_scatter_tensor
            work: dist.Work | None = scatter(output, full, group=group, async_op=later)
            return work

    def sum_losses(self, losses: dict[str, LossSum], counts: dict[str, int]) -> None:
        """Replace losses by those of all, in this order.

        Args:
            counts: predicted tokens of all of them by language.
        """
        if self.alone or not counts:
            return
        zero = torch.zeros((), device=self.device)
        mine = (losses[tag].total if tag in losses else zero for tag in counts)
        totals_K = torch.stack([torch.as_tensor(total, device=self.device).double() for total in mine])
        self.sum_([totals_K], "losses")
        losses.clear()
        for total, (tag, count) in zip(totals_K, counts.items(), strict=True):
            losses[tag] = LossSum(total, count)

    def gather_losses(self, losses: dict[str, LossSum], tags: Sequence[str]) -> None:
        """Complete losses of languages, each of which one of the processes has."""
        if self.alone:
            return
        mine = [losses.get(tag, LossSum()) for tag in tags]
        pairs = [(float(each.total), float(each.count)) for each in mine]
        totals_K2 = torch.tensor(pairs, dtype=torch.float64, device=self.device)
        self.sum_([totals_K2], "losses")
        for tag, (total, count) in zip(tags, totals_K2.tolist(), strict=True):
            if count:
                losses[tag] = LossSum(total, int(count))

    def most(self, numbers: Sequence[int]) -> list[int]:
        """The largest of all, place by place. Between hosts only; no device waits for it."""
        if self.alone or not numbers:
            return list(numbers)
        tensor = torch.tensor(list(numbers), dtype=torch.int64)
        with self.contact():
            dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
        return tensor.tolist()

    def wait(self) -> None:
        """Until all have come here."""
        self.most([0])

    def told(self, document: Any, source: int = 0) -> Any:
        """What one of them gives, the first if nothing is said, to all: anything that JSON can hold."""
        if self.alone:
            return document
        said = json.dumps(document).encode() if self.rank == source else b""
        (length,) = self.most([len(said)])
        text = torch.zeros(length, dtype=torch.uint8)
        if self.rank == source:
            text = torch.frombuffer(bytearray(said), dtype=torch.uint8)
        with self.contact():
            dist.broadcast(text, src=source)
        return json.loads(bytes(text.tolist()))

    @contextmanager
    def all_or_none(self) -> Iterator[None]:
        """Work of which each does a part: what the user has to mend in one process ends it in all.

        Raises:
            UserError: that of this process, or what another one says.
        """
        mine: UserError | None = None
        try:
            yield
        except UserError as error:
            mine = error
        (failed,) = self.most([0 if mine is None else self.rank + 1])
        if not failed:
            return
        said = self.told(mine and {"what": mine.what, "where": mine.where, "fix": mine.fix}, failed - 1)
        raise mine or UserError(f"rank {failed - 1}: {said['what']}", where=said["where"], fix=said["fix"])

    @contextmanager
    def contact(self) -> Iterator[None]:
        """An exchange, counted for the watchdog; who loses contact in it leaves with the message for that."""
        self.calls += 1
        try:
            yield
        except RuntimeError as error:
            if LAUNCHED in os.environ:
                raise SystemExit(LOST) from error  # who started this process says why
            what = f"rank {self.rank} of {self.size} lost contact with the others: {error}"
            raise Lost(what, fix="run the same command to go on from the last checkpoint") from error


ALONE = Ranks()


@contextmanager
def joined(nproc: int, device: torch.device, *, hang_after: float) -> Iterator[Ranks]:
    """The processes that the environment tells of, connected; alone if it tells of none.

    Args:
        nproc: how many the user asked for; 1 takes as many as there are.
        hang_after: seconds after which all end if one does not go on.

    Raises:
        UserError: there are others than asked for, or fewer GPUs here than processes.
        Lost: another one is gone.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if nproc not in (1, size):
        what = f"--nproc {nproc}, and {size} started"
        raise UserError(what, fix="leave --nproc out under torchrun; from Python call polymod in a process")
    if size == 1:
        yield Ranks(device=device)
        return
    if device.type == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            what = f"process {local} of this machine has no GPU: there are {torch.cuda.device_count()}"
            raise UserError(what, where="--nproc", fix="start as many processes as there are GPUs")
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"  # nccl: not run on a GPU
    ranks = Ranks(rank, size, device)
    store = common_store(rank, _LONGEST)
    try:
        with watched(ranks, hang_after):
            with ranks.contact():
                dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_LONGEST)
            yield ranks
            ranks.wait()
        ranks.wait()  # nobody watches any more
    except Stopped:
        ranks.wait()
        dist.destroy_process_group()
        raise
    dist.destroy_process_group()  # else a communicator may be stuck, and would hang in its destruction
