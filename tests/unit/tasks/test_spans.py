"""Questions as windows of tokens, and answers read from the logits of their rows."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from _asserts import assert_user_error
from _tasks import our_tokenizer, xlmr_tokenizer
from polymod.tasks.encoded import Encoded, tokenise
from polymod.tasks.spans import LONGEST_ANSWER, decode_answer, encode_question, places
from polymod.tasks.squad import Answer, Question

TOKENIZERS = {"ours": our_tokenizer(), "xlmr": xlmr_tokenizer()}
each_tokenizer = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
CONTEXTS = {
    "combining marks": ("the cafe\u0301 of C\u0327es\u0327me is here", "C\u0327es\u0327me"),
    "a mark at the end": ("who stands at the cafe\u0301", "cafe\u0301"),
    "Thai": ("ประเทศไทย ที่นี่", "ไทย"),
    "Chinese": ("中国的首都是北京。", "北京"),
    "Hindi": ("भारत की राजधानी नई दिल्ली है", "नई दिल्ली"),
    "Arabic": ("عاصمة مصر القاهرة", "القاهرة"),
    "Japanese": ("日本の首都は東京です", "東京"),
    "wide spaces": ("  the\u3000\u00a0answer \n\n is\there ", "answer"),
    "bytes of unknown Greek": ("the answer is Αθήνα here", "Αθήνα"),
    "bytes of one unknown word in a run": ("中国ΑθήναΣπ中国", "中国"),
    "special tokens in a text": ("the <mask> is </s> here", "</s>"),
}


def question(context: str, answer: str = "", asked: str = "who is here?") -> Question:
    start = context.rindex(answer) if answer else None
    return Question("file: question", context, asked, (Answer(answer, start),))


def certain(encoded: list[Encoded]) -> list[np.ndarray]:
    """Logits that are sure of the targets, also of those that say that the answer is elsewhere."""
    logits = []
    for window in encoded:
        of_window = np.zeros((len(window.ids), 2), np.float32)
        (start, end) = window.targets[0]
        of_window[start, 0] += 5
        of_window[end, 1] += 5
        logits.append(of_window)
    return logits


@each_tokenizer
@pytest.mark.parametrize("name", CONTEXTS)
@pytest.mark.parametrize("max_length", [32, 512])
def test_what_is_encoded_is_decoded(tokenizer: Tokenizer, name: str, max_length: int) -> None:
    context, answer = CONTEXTS[name]
    example = question(context, answer)
    encoded = encode_question(example, tokenizer, (), max_length)
    assert any(window.targets[0] != (0, 0) for window in encoded)
    told = decode_answer(example, encoded, certain(encoded))
    if name.startswith("bytes") and tokenizer is TOKENIZERS["xlmr"]:
        assert answer in told  # one unknown token
    else:
        assert told == answer


@given(
    words=st.lists(st.text("ae\u0301hé中国ไทยที่हिन्दीΣθx,. ", min_size=1, max_size=6), min_size=1, max_size=12),
    data=st.data(),
)
def test_any_words_come_back_from_their_tokens(words: list[str], data: st.DataObject) -> None:
    words = [word for word in ("".join(word.split()) for word in words) if word]
    if not words or any(word[0] in "\u0301ิ่ี्" for word in words):
        return  # a mark at the start belongs to the space before it
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, len(words) - 1))
    context, answer = " ".join(words), " ".join(words[first : last + 1])
    start = len(" ".join([*words[:first], ""]))
    example = Question("", context, "who", (Answer(answer, start),))
    for tokenizer in TOKENIZERS.values():
        encoded = encode_question(example, tokenizer, (), 512)
        begin, end = encoded[0].targets[0]
        if 0 < begin <= end < begin + LONGEST_ANSWER:
            assert decode_answer(example, encoded, certain(encoded)) == answer


@each_tokenizer
def test_windows_cover_the_context_and_overlap(tokenizer: Tokenizer) -> None:
    context = " ".join(random.Random(0).choices(["the", "answer", "is", "here", "中国", "café"], k=200))
    example = question(context, "answer")
    whole = tokenise(tokenizer, context).ids
    encoded = encode_question(example, tokenizer, (), 48)
    asked = tokenise(tokenizer, example.question).ids
    seen: list[int] = []
    for number, window in enumerate(encoded):
        ids = list(window.ids)
        assert len(ids) <= 48
        assert ids[: window.context] == [0, *asked, 2, 2]
        assert ids[-1] == 2
        part = ids[window.context : -1]
        assert len(part) == len(window.offsets_C2)
        overlap = 0 if number == 0 else min(16, (48 - 4 - len(asked)) // 2)
        assert part[:overlap] == seen[len(seen) - overlap :]
        seen += part[overlap:]
    assert seen == whole
    assert len(encoded) > 4


@pytest.mark.parametrize("before", range(8, 40))
def test_a_window_without_the_whole_answer_points_to_its_first_row(before: int) -> None:
    """Wherever the answer stands: also where a window ends within it or just before it."""
    tokenizer, start = TOKENIZERS["ours"], 4 * before
    context = "the " * before + "answer" + " is" * 30
    encoded = encode_question(question(context, "answer"), tokenizer, (), 40)
    for window in encoded:
        first, last = window.targets[0]
        characters = window.offsets_C2
        holds = characters[0, 0] <= start and characters[-1, 1] >= start + 6
        assert (last > 0) == holds
        if holds:
            assert window.context <= first <= last < len(window.ids) - 1
            rows = characters[first - window.context : last - window.context + 1]
            assert context[rows[0, 0] : rows[-1, 1]].strip() == "answer"
    assert {window.targets[0] == (0, 0) for window in encoded} == {True, False}
    nowhere = Question("", context, "who", (Answer("else", None, misplaced=True),))
    assert {window.targets[0] for window in encode_question(nowhere, tokenizer, (), 40)} == {(0, 0)}


def slow_decode(example: Question, encoded: list[Encoded], logits: list[np.ndarray]) -> str:
    """Every span, one by one."""
    found = []
    for window, of_rows in zip(encoded, logits, strict=True):
        rows = range(window.context, window.context + len(window.offsets_C2))
        for start, end in itertools.product(rows, rows):
            if start <= end < start + LONGEST_ANSWER:
                score = float(of_rows[start, 0]) + float(of_rows[end, 1])
                characters = window.offsets_C2[[start - window.context, end - window.context]]
                if example.context[characters[0, 0] : characters[1, 1]].strip():
                    found.append((score, int(characters[0, 0]), int(characters[1, 1])))
    _, start, end = max(found)
    return example.context[start:end].strip()


def test_the_best_span_is_that_of_an_obvious_search() -> None:
    generator = np.random.default_rng(0)
    example = question("the answer is here at the café 中国的首都是北京。 who stands " * 3, "answer")
    for _ in range(20):
        encoded = encode_question(example, TOKENIZERS["ours"], (), 64)
        logits = [generator.normal(size=(len(window.ids), 2)).astype(np.float32) for window in encoded]
        assert decode_answer(example, encoded, logits) == slow_decode(example, encoded, logits)


def test_a_span_without_text_is_no_answer() -> None:
    example = question("a b", "b")
    encoded = encode_question(example, TOKENIZERS["ours"], (), 64)
    texts = [example.context[start:stop] for start, stop in encoded[0].offsets_C2]
    logits = np.full((len(encoded[0].ids), 2), -5.0)
    logits[encoded[0].context + texts.index(" ")] = 100
    logits[-2, 1] = 0
    assert decode_answer(example, encoded, [logits]) == "b"


def test_rows_of_question_and_special_tokens_are_never_answers() -> None:
    example = question("the answer", "answer")
    encoded = encode_question(example, TOKENIZERS["ours"], (), 64)
    logits = np.full((len(encoded[0].ids), 2), 100.0)
    inside = slice(encoded[0].context, -1)
    logits[inside] = -5
    logits[encoded[0].context, 0] = logits[-2, 1] = 0
    assert decode_answer(example, encoded, [logits]) == "the answer"


def test_bytes_of_a_run_have_their_own_characters() -> None:
    text = "the ΑθΣπ is"
    encoding = tokenise(TOKENIZERS["ours"], text)
    offsets = places(encoding, text)
    of_bytes = [
        tuple(row) for row, token in zip(offsets.tolist(), encoding.tokens, strict=True) if token[:3] == "<0x"
    ]
    assert of_bytes == [(4, 5), (4, 5), (5, 6), (5, 6), (6, 7), (6, 7), (7, 8), (7, 8)]


def test_a_long_question_leaves_room_and_short_sequences_are_refused() -> None:
    example = question("the answer is here", "answer", asked="who " * 100)
    encoded = encode_question(example, TOKENIZERS["ours"], (), 32)
    assert all(len(window.ids) <= 32 for window in encoded)
    assert encoded[0].context == 14 + 3
    assert_user_error(lambda: encode_question(example, TOKENIZERS["ours"], (), 8), "8 tokens", "at least 16")
