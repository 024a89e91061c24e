"""Data of a meta step: batches of one language from the train or the meta split, by number.

Never from the valid split, which is for reporting: what a model was tuned on says little about it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polymod.batch import Batch
from polymod.data.loader import BatchPlan, Tokens, pack_blocks
from polymod.data.masking import Masking
from polymod.data.mixture import Blocks
from polymod.data.random import key, mix
from polymod.errors import UserError

SPLITS = ("train", "meta")
_SHORTEST = 16  # tokens of a block


class Episodes:
    """``at(tag, split, number)`` is a pure function; an epoch visits every block of a split once.

    Args:
        num_tokens: of a batch, rounded down to whole blocks, at least one.

    Raises:
        UserError: a language has too little text for a block in its meta split.
    """

    def __init__(
        self,
        tokens: Tokens,
        tags: Sequence[str],
        masking: Masking,
        plan: BatchPlan,
        *,
        bos_id: int,
        num_tokens: int,
    ) -> None:
        self.tokens, self.masking, self.seed, self.bos_id = tokens, masking, plan.seed, bos_id
        self.tags, self.num_tokens = tuple(tags), num_tokens
        self._blocks: dict[tuple[str, str], Blocks] = {}
        for tag in tags:
            for split in SPLITS:
                there = tokens.num_tokens(tag, split)
                if there < _SHORTEST:
                    what = f"language {tag!r} has {there} tokens in its {split} split"
                    fix = "prepare the data with a larger meta share, or leave the language out"
                    raise UserError(f"{what}; meta-learning needs {_SHORTEST}", fix=fix)
                size = min(plan.block - 1, there)  # a small split has shorter blocks
                self._blocks[tag, split] = Blocks(there, size, plan.seed, f"{split} episodes {tag}")

    def at(self, tag: str, split: str, number: int) -> Batch:
        """The batch of that number."""
        blocks = self._blocks[tag, split]
        count = max(1, self.num_tokens // (blocks.size + 1))
        number_B = np.arange(number * count, (number + 1) * count)
        stream_BT = self.tokens.take(tag, split, blocks.starts(number_B), blocks.size).astype(np.int64)
        ids_BT = np.concatenate([np.full((count, 1), self.bos_id), stream_BT], axis=1)
        key_B = mix(number_B.astype(np.uint64) ^ key(self.seed, f"{split} episode masks", tag))
        masked_BT, predicted_BT = self.masking(ids_BT, key_B)
        return pack_blocks([tag] * count, masked_BT, ids_BT, predicted_BT)
