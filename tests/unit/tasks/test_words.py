"""Tagged words as rows of first tokens, and tags of every word from the logits of the rows; tagged files."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from _asserts import assert_user_error
from _tasks import our_tokenizer, xlmr_tokenizer
from polymod.tasks.pos import UPOS, pos_labels, pos_metrics, pos_report, pos_statistics, read_parts_of_speech
from polymod.tasks.tagged import Tagged
from polymod.tasks.words import decode_words, encode_words

LABELS = ("O", "B-X", "I-X")
TOKENIZERS = {"ours": our_tokenizer(), "xlmr": xlmr_tokenizer()}
each_tokenizer = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)


def sentence(*words: str, seed: int = 0) -> Tagged:
    return Tagged("file:1", words, tuple(random.Random(seed).choices(LABELS, k=len(words))))


def one_hot(classes: list[int], count: int) -> np.ndarray:
    return np.eye(count)[classes]


@each_tokenizer
def test_a_row_is_the_first_token_of_its_word(tokenizer) -> None:
    example = sentence("the", "answer", "中国", "1 789", "हिन्दी", "café", "<mask>", "ไทย")
    (encoded,) = encode_words(example, tokenizer, LABELS, 128)
    tokenizer.encode_special_tokens = True
    expected, rows = [0], []
    for word in example.words:
        rows.append(len(expected))
        expected += tokenizer.encode(word, add_special_tokens=False).ids
    assert list(encoded.ids) == [*expected, 2]
    assert list(encoded.rows) == rows
    assert [LABELS[target] for target in encoded.targets] == list(example.tags)
    assert decode_words(example, [encoded], [one_hot(list(encoded.targets), 3)]) == example.tags


@each_tokenizer
@pytest.mark.parametrize("max_length", [16, 20, 33])
def test_long_sentences_are_divided_between_words_and_nothing_is_lost(tokenizer, max_length: int) -> None:
    chance = random.Random(max_length)
    words = chance.choices(["the", "answer", "stands", "中国的首都", "café", "ประเทศไทย", "who"], k=60)
    example = sentence(*words)
    encoded = encode_words(example, tokenizer, LABELS, max_length)
    assert len(encoded) > 3
    assert [word for window in encoded for word in window.words] == list(range(60))
    for window in encoded:
        assert (window.ids[0], window.ids[-1]) == (0, 2)
        assert len(window.ids) <= max_length
    for window, following in pairwise(encoded):
        first = [*following.rows, len(following.ids) - 1][1] - 1
        assert len(window.ids) + first > max_length, "there was room for another word"
    whole = encode_words(example, tokenizer, LABELS, 10_000)[0]
    assert [i for window in encoded for i in window.ids[1:-1]] == list(whole.ids[1:-1])
    logits = [one_hot(list(window.targets), 3) for window in encoded]
    assert decode_words(example, encoded, logits) == example.tags


def test_a_word_longer_than_a_sequence_keeps_its_first_tokens() -> None:
    example = sentence("the", "中国的首都是北京" * 5, "who")
    encoded = encode_words(example, TOKENIZERS["ours"], LABELS, 16)
    assert [list(window.words) for window in encoded] == [[0], [1], [2]]
    assert len(encoded[1].ids) == 16


def test_a_word_without_tokens_has_no_row_and_is_outside_or_wrong() -> None:
    tokenizer = TOKENIZERS["ours"]
    example = Tagged("file:1", ("the", " ", "who"), ("B-X", "I-X", "I-X"))
    (encoded,) = encode_words(example, tokenizer, LABELS, 64)
    assert list(encoded.words) == [0, 2]
    assert decode_words(example, [encoded], [one_hot([1, 2], 3)]) == ("B-X", "O", "I-X")
    example = Tagged("file:1", ("the", " ", "who"), ("ADJ", "ADJ", "ADJ"))
    (encoded,) = encode_words(example, tokenizer, UPOS, 64)
    told = decode_words(example, [encoded], [one_hot([0, 0], 17)])
    assert told == ("ADJ", "", "ADJ")
    assert pos_metrics(pos_statistics([example], [told], "en").sum(0))["accuracy"] == pytest.approx(2 / 3)
    empty = Tagged("file:1", (" ",), ("ADJ",))
    assert encode_words(empty, tokenizer, UPOS, 64) == []
    assert decode_words(empty, [], []) == ("",)


def test_a_tag_that_the_model_does_not_know_is_named() -> None:
    example = Tagged("test.am.conll:17", ("the",), ("B-DATE",))
    call = lambda: encode_words(example, TOKENIZERS["ours"], LABELS, 64)  # noqa: E731
    assert_user_error(call, "test.am.conll:17", "'B-DATE'", "O, B-X, I-X")


CONLLU = """\
# sent_id = 1
# text = it's here
1-2\tit's\t_\t_\t_\t_\t_\t_\t_\t_
1\tit\tit\tPRON\tPRP\t_\t4\tnsubj\t_\t_
2\t's\tbe\tAUX\tVBZ\t_\t4\tcop\t_\t_
2.1\tgone\tgo\tVERB\tVBN\t_\t_\t_\t_\t_
3\t#\t#\tSYM\tSYM\t_\t4\tdep\t_\t_

1\tthere\tthere\tADV\tRB\t_\t0\troot\t_\t_
"""


def test_columns_and_conllu_are_read_alike(tmp_path: Path) -> None:
    full, short = tmp_path / "train.en.conllu", tmp_path / "train.en.tsv"
    full.write_text(CONLLU, encoding="utf-8")
    short.write_text("\ufeffit\tPRON\r\n's\tAUX\r\n#\tSYM\r\n\r\nthere\tADV", encoding="utf-8", newline="")
    found = [[(each.words, each.tags) for each in read_parts_of_speech(path)] for path in (full, short)]
    assert found[0] == found[1] == [(("it", "'s", "#"), ("PRON", "AUX", "SYM")), (("there",), ("ADV",))]
    assert pos_report(read_parts_of_speech(full)) == {"examples": 2, "words": 4}
    assert read_parts_of_speech(full)[0].where == f"{full}:4"
    assert pos_labels([]) == UPOS
    assert len(UPOS) == 17


def test_a_line_separator_of_unicode_divides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "train.en.tsv"
    path.write_text("a\u2028b\tNOUN\n", encoding="utf-8")
    assert read_parts_of_speech(path)[0].words == ("a\u2028b",)


WRONG = {
    "one column": ("a", "1 columns, not 2"),
    "spaces": ("a NOUN", "a tab and its tag"),
    "three columns": ("a\tNOUN\tx", "3 columns, not 2"),
    "no word": ("\tNOUN", "no word"),
    "blank word": ("\u3000\tNOUN", "no word"),
    "no tag": ("a\t", "tag '' is no UPOS"),
    "other tag": ("a\tNN", "tag 'NN' is no UPOS"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, name: str) -> None:
    line, part = WRONG[name]
    path = tmp_path / "dev.en.tsv"
    path.write_text(f"it\tPRON\n\n{line}\n", encoding="utf-8")
    assert_user_error(lambda: read_parts_of_speech(path), f"{path}:3", part)


@pytest.mark.parametrize(
    ("line", "part"),
    [("1\ta\ta\tNOUN", "4 columns"), ("x\t" + "_\t" * 8 + "_", "'x'"), ("1\ta\ta\t_" + "\t_" * 6, "tag '_'")],
)
def test_what_is_wrong_in_conllu_is_named_with_its_line(tmp_path: Path, line: str, part: str) -> None:
    path = tmp_path / "dev.en.conllu"
    path.write_text(f"# comment\n{line}\n", encoding="utf-8")
    assert_user_error(lambda: read_parts_of_speech(path), f"{path}:2", part)


def test_accuracy_is_over_words_not_sentences() -> None:
    examples = [Tagged("", ("a",), ("X",)), Tagged("", ("a", "b", "c"), ("X", "X", "X"))]
    of_EK = pos_statistics(examples, [("ADJ",), ("X", "X", "ADJ")], "en")
    assert of_EK.tolist() == [[1, 0], [3, 2]]
    assert pos_metrics(of_EK.sum(0))["accuracy"] == 0.5
    assert pos_metrics(of_EK)["accuracy"].tolist() == pytest.approx([0, 2 / 3])
