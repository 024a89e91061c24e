"""Words -> rows of their first tokens, and classes of rows -> a tag of every word.

M rows, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from polymod.tasks.encoded import Encoded, around, class_of, compact, room, tokenise
from polymod.tasks.tagged import Tagged

OUTSIDE = "O"


def encode_words(
    example: Tagged, tokenizer: Tokenizer, labels: tuple[str, ...], max_length: int
) -> list[Encoded]:
    """``<s> words </s>``; a sentence that is too long becomes several sequences, divided between words.

    A word without tokens has no row. Of a word that is longer than a sequence, the first tokens are kept.

    Raises:
        UserError: the model does not know a tag, or ``max_length`` is too short.
    """
    bos, eos = around(tokenizer)
    classes = [class_of(tag, labels, example.where) for tag in example.tags]
    encoding, most = tokenise(tokenizer, example.words), room(max_length, special=2)
    found = []
    for window in _windows(_pieces(encoding.ids, encoding.word_ids, most), most):
        ids, rows = [bos], []
        for _, pieces in window:
            rows.append(len(ids))
            ids += pieces
        words = [word for word, _ in window]
        targets = compact([classes[word] for word in words])
        found.append(Encoded(compact([*ids, eos]), compact(rows), targets, labels, compact(words)))
    return found


def _pieces(ids: Sequence[int], word_ids: Sequence[int | None], most: int) -> list[tuple[int, list[int]]]:
    """Words that have tokens, by number, and at most ``most`` of their tokens."""
    pieces: dict[int, list[int]] = {}
    for token, word in zip(ids, word_ids, strict=True):
        if word is not None and len(pieces.setdefault(word, [])) < most:
            pieces[word].append(token)
    return list(pieces.items())


def _windows(words: list[tuple[int, list[int]]], most: int) -> Iterator[list[tuple[int, list[int]]]]:
    """As many words at once as have at most ``most`` tokens."""
    window: list[tuple[int, list[int]]] = []
    size = 0
    for word, pieces in words:
        if size + len(pieces) > most:
            yield window
            window, size = [], 0
        window.append((word, pieces))
        size += len(pieces)
    if window:
        yield window


def decode_words(
    example: Tagged, encoded: Sequence[Encoded], logits: Sequence[NDArray[np.floating[Any]]]
) -> tuple[str, ...]:
    """The tag with the largest logit of every word, from (M, C) of each sequence.

    A word without a row gets ``O`` where that is a tag, else none, which is never right.
    """
    without_row = OUTSIDE if encoded and OUTSIDE in encoded[0].labels else ""
    tags = [without_row] * len(example.words)
    for sequence, logits_MC in zip(encoded, logits, strict=True):
        for word, best in zip(sequence.words, logits_MC.argmax(-1).tolist(), strict=True):
            tags[word] = sequence.labels[best]
    return tuple(tags)
