"""Options that do not go together, refused before anything is built. No torch here."""

from __future__ import annotations

from polymod.errors import UserError
from polymod.model.config import Arm
from polymod.train.config import ResidencyOptions, TrainOptions, UpdateName


def check_modules(arm: Arm) -> None:
    """Refuse to meta-learn where languages have no modules (``UserError``)."""
    if arm != "modular":
        what = f"the {arm} arm has no modules of languages, which are what is meta-learned"
        raise UserError(what, where="--update", fix="give --arm modular")


def _check_packs(arm: Arm, where: str) -> None:
    if arm != "modular":
        fix = "leave it out, or give --arm modular"
        raise UserError(f"languages have no packs in the {arm} arm", where=where, fix=fix)


def check_mapped(arm: Arm, update: UpdateName) -> None:
    """Refuse to keep idle languages out of memory where they own nothing, or where the update reads text of
    other languages than those of a step (``UserError``).
    """
    where = "--residency.mapped"
    _check_packs(arm, where)
    if update.startswith("meta"):
        what = f"--update {update} reads text of other languages than those of a step"
        raise UserError(what, where=where, fix="leave it out, or give another --update")


def check_shard(size: int, update: UpdateName, residency: ResidencyOptions, *, monitored: bool) -> None:
    """Refuse to spread the trunk over one process, or with what needs all of it in one place (``UserError``).

    Args:
        size: processes.
    """
    if size == 1:
        what = "one process has nobody to share the trunk with"
        raise UserError(what, where="--shard", fix="give --nproc or use torchrun, or leave --shard out")
    for given, option, why in (
        (update != "joint", f"--update {update}", "it needs gradients of the whole trunk in one place"),
        (monitored, "--monitor.gradients", "it compares gradients of the whole trunk"),
        (residency.mapped, "--residency.mapped", "the two have not been tried together"),
    ):
        if given:
            what = f"a trunk spread over processes does not go with {option}: {why}"
            raise UserError(what, where="--shard", fix="leave out one of the two")


def check_shard_packs(size: int, arm: Arm, update: UpdateName) -> None:
    """Refuse to share out packs to one process, or where an update reads those of other languages than a
    step's, or after it (``UserError``).

    Args:
        size: processes.
    """
    where = "--shard-packs"
    if size == 1:
        what = "one process has nobody to share the packs out to"
        raise UserError(what, where=where, fix=f"give --nproc or use torchrun, or leave {where} out")
    _check_packs(arm, where)
    if update.startswith("meta") or update == "balance":
        what = f"--update {update} reads packs that are not lent to it"
        raise UserError(what, where=where, fix="leave it out, or give another --update")


def check_processes(size: int, sequences: int, option: str) -> None:
    """Refuse processes that get nothing of a batch (``UserError``).

    Args:
        size: how many there are.
        sequences: of a batch.
        option: what says how large a batch is.
    """
    if size > max(1, sequences):
        idle = f"{size - sequences} of {size} processes would have nothing to do"
        what = f"{idle}: a batch has {sequences} sequences"
        raise UserError(what, where="--nproc", fix=f"lower --nproc or raise {option}")


def check_blocks(size: int, train: TrainOptions, update: UpdateName = "joint") -> None:
    """``check_processes`` for blocks of text. A meta step has queries for every process."""
    if update != "meta":
        check_processes(size, train.batch_tokens // train.block_tokens, "--train.batch-tokens")
