"""A question and its context -> windows of tokens, and logits of their rows -> the answer's text.

C context tokens of a window, N rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from polymod.tasks.encoded import Encoded, Offsets, around, compact, room, tokenise
from polymod.tasks.squad import Question

LONGEST_ANSWER = 30  # tokens


def encode_question(
    example: Question, tokenizer: Tokenizer, _: tuple[str, ...], max_length: int
) -> list[Encoded]:
    """``<s> question </s></s> part of the context </s>``, as many of these as cover the context.

    A part shares ``max_length // 3`` tokens with the one before, at most half of its own. A question keeps so
    many tokens that at least half of the room is the context's.

    Raises:
        UserError: ``max_length`` is too short.
    """
    bos, eos = around(tokenizer)
    most = room(max_length, special=4)
    head = [bos, *tokenise(tokenizer, example.question).ids[: most // 2], eos, eos]
    encoding = tokenise(tokenizer, example.context)
    ids, offsets_C2 = encoding.ids, places(encoding, example.context)
    answer = _rows_of(example.span, offsets_C2)
    size = max_length - len(head) - 1
    found = []
    for start in _starts(len(ids), size, overlap=min(max_length // 3, size // 2)):
        stop = min(start + size, len(ids))
        inside = answer is not None and start <= answer[0] and answer[1] < stop
        target = (
            (answer[0] - start + len(head), answer[1] - start + len(head)) if inside and answer else (0, 0)
        )
        window = compact([*head, *ids[start:stop], eos])
        found.append(Encoded(window, (0,), (target,), (), (), len(head), offsets_C2[start:stop]))
    return found


def _starts(length: int, size: int, overlap: int) -> Iterator[int]:
    """First tokens of the windows; one window even of nothing."""
    start = 0
    while start + size < length:
        yield start
        start += size - overlap
    yield start


def _rows_of(span: tuple[int, int] | None, offsets_C2: Offsets) -> tuple[int, int] | None:
    """First and last token that share a character with the span."""
    if span is None:
        return None
    touched = np.flatnonzero((offsets_C2[:, 1] > span[0]) & (offsets_C2[:, 0] < span[1]))
    return (int(touched[0]), int(touched[-1])) if len(touched) else None


def places(encoding: Encoding, text: str) -> Offsets:
    """Which characters of the text each token stands for: the first and the one behind the last, (C, 2).

    What normalisation drops, or merges into the character before (combining marks), goes to the token before.
    A run of unknown characters becomes bytes that all name the whole run; each gets its own character here.
    """
    offsets_C2 = np.array(encoding.offsets, np.int32).reshape(-1, 2)
    _place_bytes(offsets_C2, encoding)
    firsts, which_C = np.unique(offsets_C2[:, 0], return_inverse=True)
    next_C = np.append(firsts[1:], len(text))[which_C]
    offsets_C2[:, 1] = np.maximum(offsets_C2[:, 1], next_C)
    return offsets_C2


def _place_bytes(offsets_C2: Offsets, encoding: Encoding) -> None:
    """Give the bytes of a run of several characters the place of their own character, if it can be told."""
    tokens, offsets = encoding.tokens, encoding.offsets
    of_bytes = [row for row, token in enumerate(tokens) if token[:3] == "<0x" and len(token) == 6]
    for (start, stop), run in groupby(of_bytes, offsets.__getitem__):
        rows = list(run)
        data = [int(tokens[row][3:5], 16) for row in rows]
        character = np.cumsum([byte & 0xC0 != 0x80 for byte in data]) - 1
        if character[-1] + 1 == stop - start:
            offsets_C2[rows, 0] = start + character
            offsets_C2[rows, 1] = start + character + 1


def decode_answer(
    example: Question, encoded: Sequence[Encoded], logits: Sequence[NDArray[np.floating[Any]]]
) -> str:
    """The text between the start and the end whose logits have the largest sum, over all windows.

    Both lie in the context, in order, at most ``LONGEST_ANSWER`` tokens.

    Args:
        logits: start and end of each row, (N, 2), of each window.
    """
    return best_answer(example, encoded, logits)[0]


def best_answer(
    example: Question, encoded: Sequence[Encoded], logits: Sequence[NDArray[np.floating[Any]]]
) -> tuple[str, float]:
    """The answer of ``decode_answer``, and the sum of its logits. What has no text is no answer."""
    best, answer = -np.inf, (0, 0)
    for window, logits_N2 in zip(encoded, logits, strict=True):
        count = len(window.offsets_C2)
        told_C = [bool(example.context[start:stop].strip()) for start, stop in window.offsets_C2]
        before_C1 = np.cumsum([0, *told_C])
        starts_C, ends_C = logits_N2[window.context : window.context + count].astype(np.float64).T
        for more in range(min(LONGEST_ANSWER, count)):
            scores = starts_C[: count - more] + ends_C[more:]
            scores[before_C1[more + 1 :] == before_C1[: count - more]] = -np.inf
            first = int(scores.argmax())
            if scores[first] > best:
                best = scores[first]
                answer = (int(window.offsets_C2[first, 0]), int(window.offsets_C2[first + more, 1]))
    return example.context[slice(*answer)].strip(), float(best)
