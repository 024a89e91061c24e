"""BERT's masking: 15 % of the tokens are predicted; of those 80 % are masked, 10 % random, 10 % left as they
are.

Each block's choices follow from its own key, whatever batch it lies in.

B blocks, T tokens of a block, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from polymod.data.random import U64, mix

_MASKED, _RANDOM = 0.8, 0.1
_BITS = 24  # of the random word decide one question


class Masking:
    """What to predict and what may stand in its place.

    Args:
        mask_id: the mask token.
        special: ids that are never predicted and never put in.
        vocab_size: V.
        probability: share of the ordinary tokens that is predicted.
    """

    def __init__(
        self, mask_id: int, special: Sequence[int], vocab_size: int, probability: float = 0.15
    ) -> None:
        self.mask_id, self.special, self.probability = mask_id, tuple(special), probability
        self._ordinary = np.delete(np.arange(vocab_size), self.special)

    def __call__(self, ids_BT: NDArray[np.int64], key_B: U64) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Ids after masking, and where tokens are to be predicted."""
        places_T: U64 = np.arange(ids_BT.shape[1], dtype=np.uint64)
        bits_BT = mix(key_B[:, None] + places_T)
        predicted_BT = (bits_BT >> np.uint64(64 - _BITS)) < np.uint64(self.probability * 2**_BITS)
        for special in self.special:
            predicted_BT &= ids_BT != special
        bits_M = bits_BT[predicted_BT]
        choice_M = (bits_M & np.uint64(2**_BITS - 1)).astype(np.float64) / 2**_BITS
        random_M = self._ordinary[(mix(bits_M) % np.uint64(len(self._ordinary))).astype(np.int64)]
        kept_M = ids_BT[predicted_BT]
        replaced_M = np.where(
            choice_M < _MASKED, self.mask_id, np.where(choice_M < _MASKED + _RANDOM, random_M, kept_M)
        )
        masked_BT = ids_BT.copy()
        masked_BT[predicted_BT] = replaced_M
        return masked_BT, predicted_BT
