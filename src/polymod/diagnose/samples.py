"""Several batches of one language's text that have nothing in common, with masks that never change.

T tokens of a block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polymod.batch import Batch
from polymod.data.loader import Tokens, pack_blocks
from polymod.data.masking import Masking
from polymod.data.random import key, mix
from polymod.diagnose.options import FEWEST_BATCHES
from polymod.errors import UserError

MICRO_TOKENS = 2**13


@dataclass(frozen=True)
class SamplePlan:
    """Equally many tokens of every language.

    Attributes:
        block: T.
        batches: how many for each language.
        batch_tokens: of each, rounded down to whole blocks.
        split: of the data.
    """

    block: int
    batches: int
    batch_tokens: int
    split: str


def samples(
    tokens: Tokens, tag: str, masking: Masking, plan: SamplePlan, *, bos_id: int
) -> list[tuple[Batch, ...]]:
    """Batches from as many stretches, spread over the split, each in micro-batches.

    A block has the masks that ``score`` gives it.

    Raises:
        UserError: the split is too short, or a batch smaller than a block.
    """
    size, blocks = plan.block - 1, plan.batch_tokens // plan.block
    whole, wanted = tokens.num_tokens(tag, plan.split) // size, blocks * plan.batches
    if not blocks:
        what = f"a batch of {plan.batch_tokens} tokens holds no block of {plan.block}"
        raise UserError(what, fix="raise --gradients.batch-tokens, or lower --block-tokens")
    if whole < wanted:
        what = (
            f"{tag!r} has {whole:,} blocks in its {plan.split} split; {plan.batches} batches need {wanted:,}"
        )
        raise UserError(what, fix=_fix(tokens, tag, plan, whole))
    starts = [np.arange(blocks) + number * whole // plan.batches for number in range(plan.batches)]
    per_micro = max(1, MICRO_TOKENS // plan.block)
    return [
        tuple(
            _batch(tokens, tag, masking, plan, bos_id, first_B[cut : cut + per_micro] * size)
            for cut in range(0, blocks, per_micro)
        )
        for first_B in starts
    ]


def _fix(tokens: Tokens, tag: str, plan: SamplePlan, whole: int) -> str:
    """Which options the blocks that a split has would do for; too few batches are none."""
    size, blocks = plan.block - 1, plan.batch_tokens // plan.block
    in_train = tokens.num_tokens(tag, "train") // size if plan.split != "train" else 0
    ways = {
        "--gradients.split train": in_train >= blocks * plan.batches,
        f"--gradients.batches {whole // blocks}": whole // blocks >= FEWEST_BATCHES,
        f"--gradients.batch-tokens {whole // plan.batches * plan.block}": whole >= plan.batches,
    }
    given = " or ".join(way for way, helps in ways.items() if helps)
    leave = "leave the language out with --languages"
    return f"give {given}, or {leave}" if given else leave


def _batch(
    tokens: Tokens, tag: str, masking: Masking, plan: SamplePlan, bos_id: int, starts_B: NDArray[np.int64]
) -> Batch:
    stream_BT = tokens.take(tag, plan.split, starts_B, plan.block - 1).astype(np.int64)
    ids_BT = np.concatenate([np.full((len(starts_B), 1), bos_id), stream_BT], axis=1)
    masked_BT, predicted_BT = masking(ids_BT, mix(starts_B.astype(np.uint64) ^ key(0, plan.split, tag)))
    return pack_blocks([tag] * len(starts_B), masked_BT, ids_BT, predicted_BT)
