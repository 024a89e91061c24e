"""A sequence of an example: what a model is given, what it shall predict, what reading its answer needs."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from polymod.errors import UserError
from polymod.text.tokenizer import BOS, EOS

SHORTEST = 16  # tokens that a sequence may have; fewer leave no room for a pair of texts
Offsets = NDArray[np.int32]


@dataclass(frozen=True, eq=False, slots=True)
class Encoded:
    """One sequence; a long example has several.

    Attributes:
        ids: token ids, special ones included.
        rows: rows at which something is predicted, counted from the start of the sequence, ascending: that of
            ``<s>`` for the kinds ``sequence`` and ``span``, the first token of each word for ``token``.
        targets: a class for each row; for ``span`` one pair of rows, start and end of the answer, (0, 0)
            where the sequence does not hold it.
        labels: names of the classes.
        words: index of the word of each row, for ``token``.
        context: row of the first token of the context, for ``span``.
        offsets_C2: first character of each context token and the one behind its last, for ``span``.
    """

    ids: Sequence[int]
    rows: Sequence[int]
    targets: Sequence[int] | Sequence[tuple[int, int]]
    labels: tuple[str, ...] = ()
    words: Sequence[int] = ()
    context: int = 0
    offsets_C2: Offsets = field(default_factory=lambda: np.zeros((0, 2), np.int32))


def compact(numbers: Sequence[int]) -> array[int]:
    """Integers in four bytes each; a data set has many."""
    return array("i", numbers)


def tokenise(tokenizer: Tokenizer, text: str | Sequence[str]) -> Encoding:
    """Tokens of a text or of words, without special ones around; a text that spells ``<mask>`` is text."""
    tokenizer.encode_special_tokens = True
    return tokenizer.encode(text, is_pretokenized=not isinstance(text, str), add_special_tokens=False)


def around(tokenizer: Tokenizer) -> tuple[int, int]:
    """Ids of ``<s>`` and ``</s>``.

    Raises:
        UserError: the tokenizer has none.
    """
    bos, eos = tokenizer.token_to_id(BOS), tokenizer.token_to_id(EOS)
    if bos is None or eos is None:
        raise UserError(f"the tokenizer has no {BOS} and {EOS}")
    return bos, eos


def room(max_length: int, special: int) -> int:
    """Tokens of text that fit beside ``special`` tokens.

    Raises:
        UserError: sequences are too short.
    """
    if max_length < SHORTEST:
        what = f"sequences of {max_length} tokens are too short for a task"
        raise UserError(what, where="--train.max-length", fix=f"take at least {SHORTEST}")
    return max_length - special


def class_of(label: str, labels: tuple[str, ...], where: str) -> int:
    """The class of a label.

    Raises:
        UserError: the head has no such class.
    """
    try:
        return labels.index(label)
    except ValueError:
        what = f"label {label!r} is none that the model knows: {', '.join(labels)}"
        fix = "fine-tune on examples that have it, or leave these examples out"
        raise UserError(what, where=where, fix=fix) from None
