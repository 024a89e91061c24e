"""Languages of a run that a new text is like, by the tokens that they have in common.

No table of families: what is compared is what the model has seen. V rows of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from polymod.text.tokenizer import Vocabulary

LEAST = 0.1  # of overlap; languages of one script without kinship come to 0.2 to 0.3 in small vocabularies
NEAR = 0.9  # of the best one's overlap


@dataclass(frozen=True)
class Relatives:
    """How like each language of the run is.

    Attributes:
        overlap: by tag, the largest first.
        chosen: the best and those near to it; empty if none is like the text.
        why: the reason in a sentence.
    """

    overlap: dict[str, float]
    chosen: tuple[str, ...]
    why: str


def with_letters(tokenizer: Tokenizer) -> NDArray[np.bool_]:
    """Which tokens are pieces of words (V,): neither special, nor bytes, nor digits and punctuation."""
    vocabulary = Vocabulary.of(tokenizer)
    pieces = (tokenizer.id_to_token(index) or "" for index in range(vocabulary.size))
    letters_V = np.array([any(map(str.isalpha, piece)) for piece in pieces])
    letters_V[[*vocabulary.special, *vocabulary.bytes]] = False
    return letters_V


def overlap(a_V: NDArray[np.int64], b_V: NDArray[np.int64], letters_V: NDArray[np.bool_]) -> float:
    """``sum(min(p, q))`` over tokens with letters, where p and q are each text's shares of all its tokens.

    1 is the same distribution. Bytes count in the shares and not in the sum, so that two texts of which the
    tokenizer knows nothing are not alike.
    """
    shares = (counts_V / max(1, int(counts_V.sum())) for counts_V in (a_V, b_V))
    return float(np.minimum(*shares)[letters_V].sum())


def relatives(
    new_V: NDArray[np.int64], others: Mapping[str, NDArray[np.int64]], letters_V: NDArray[np.bool_]
) -> Relatives:
    """The languages whose tokens are most like those of a new text.

    Args:
        new_V: how often each token occurs in it.
        others: the same for the languages of the run, in a vocabulary that may have more rows.
    """
    size = len(new_V)
    found = {tag: overlap(new_V, counts_V[:size], letters_V) for tag, counts_V in others.items()}
    ranked = dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))
    best = max(ranked.values(), default=0.0)
    if best < LEAST:
        said = f"no language of the run is like the text: the best overlap of tokens is {best:.2f}"
        return Relatives(ranked, (), f"{said}, at least {LEAST} is needed")
    chosen = tuple(tag for tag, value in ranked.items() if value >= NEAR * best)
    shown = ", ".join(f"{tag} {ranked[tag]:.2f}" for tag in chosen)
    return Relatives(ranked, chosen, f"the largest overlap of tokens: {shown}")
