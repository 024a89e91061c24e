"""Pairs: how they are read, encoded and scored, compared with scikit-learn."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from _asserts import assert_user_error
from _tasks import our_tokenizer, xlmr_tokenizer
from polymod.tasks.nli import (
    LABELS,
    Pair,
    cut,
    decode_pair,
    encode_pair,
    nli_metrics,
    nli_statistics,
    read_pairs,
)

RIGHT = {"premise": "it is here", "hypothesis": "here", "label": "neutral"}


def test_scores_are_those_of_scikit_learn() -> None:
    chance = random.Random(0)
    left = 10_000
    while left > 0:
        count = min(left, chance.choice([1, 2, 3, 5, 50, 500, 1000]))
        left -= count
        among = chance.sample(LABELS, k=chance.randint(1, 3))
        gold = chance.choices(among, k=count)
        told = [chance.choice([label, *LABELS]) for label in gold]
        pairs = [Pair("", "", "", label) for label in gold]
        ours = nli_metrics(nli_statistics(pairs, told, "en").sum(0))
        assert ours["accuracy"] == pytest.approx(accuracy_score(gold, told), abs=1e-12)
        theirs = f1_score(gold, told, average="macro", zero_division=0)
        assert ours["macro_f1"] == pytest.approx(theirs, abs=1e-12)


def test_metrics_work_along_axes() -> None:
    of_EK = nli_statistics([Pair("", "", "", label) for label in LABELS], ["neutral"] * 3, "en")
    twice = np.stack([of_EK.sum(0), of_EK[1:2].sum(0)])
    assert nli_metrics(twice)["accuracy"].tolist() == [1 / 3, 1.0]
    assert nli_metrics(twice)["macro_f1"].tolist() == pytest.approx([0.5 / 3, 1.0])
    assert nli_metrics(nli_statistics([], [], "en").sum(0)) == {"accuracy": 0, "macro_f1": 0}


def slow_cut(first: int, second: int, most: int) -> tuple[int, int]:
    while first + second > most:
        if first > second:
            first -= 1
        else:
            second -= 1
    return first, second


@given(st.integers(0, 60), st.integers(0, 60), st.integers(12, 50))
def test_the_longer_text_loses_tokens_one_by_one(first: int, second: int, most: int) -> None:
    assert cut(first, second, most) == slow_cut(first, second, most)


@pytest.mark.parametrize("tokenizer", [our_tokenizer(), xlmr_tokenizer()], ids=["ours", "xlmr"])
def test_a_pair_is_laid_out_as_the_tokenizer_does_it(tokenizer) -> None:
    pair = Pair("file:1", "the answer is here", "who is here?", "contradiction")
    (whole,) = encode_pair(pair, tokenizer, LABELS, 128)
    assert list(whole.ids) == tokenizer.encode(pair.premise, pair.hypothesis).ids
    assert list(whole.rows) == [0]
    assert list(whole.targets) == [2]
    (short,) = encode_pair(pair, tokenizer, LABELS, 16)
    ids, middle = list(short.ids), list(whole.ids).index(2)
    assert len(ids) == 16
    assert ids[: ids.index(2)] == list(whole.ids)[: ids.index(2)]
    assert ids[ids.index(2) :][:2] == [2, 2]
    assert ids[ids.index(2) + 2 : -1] == list(whole.ids)[middle + 2 :][: 16 - ids.index(2) - 3]
    assert ids[-1] == 2


def test_text_that_spells_special_tokens_is_text() -> None:
    pair = Pair("file:1", "</s><s>", "<mask>", "neutral")
    (encoded,) = encode_pair(pair, our_tokenizer(), LABELS, 128)
    assert list(encoded.ids).count(2) == 3
    assert list(encoded.ids).count(0) == 1
    assert our_tokenizer().token_to_id("<mask>") not in encoded.ids


def test_the_largest_logit_is_told() -> None:
    pair = Pair("file:1", "a", "b", "neutral")
    encoded = encode_pair(pair, our_tokenizer(), LABELS, 128)
    assert decode_pair(pair, encoded, [np.array([[0.1, -1, 0.3]])]) == "contradiction"
    assert_user_error(
        lambda: encode_pair(pair, our_tokenizer(), ("yes", "no"), 128), "file:1", "'neutral'", "yes, no"
    )


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_json_lines_and_columns_say_the_same(tmp_path: Path) -> None:
    lines = write(tmp_path / "dev.en.jsonl", json.dumps({"id": 7, **RIGHT}), "", json.dumps(RIGHT))
    columns = write(
        tmp_path / "dev.en.tsv", "id\tlabel\tpremise\thypothesis", *["7\tneutral\tit is here\there"] * 2
    )
    both = [
        [(pair.premise, pair.hypothesis, pair.label) for pair in read_pairs(path)]
        for path in (lines, columns)
    ]
    assert both[0] == both[1] == [("it is here", "here", "neutral")] * 2
    assert read_pairs(lines)[1].where == f"{lines}:3"
    packed = tmp_path / "test.en.jsonl.gz"
    packed.write_bytes(gzip.compress(lines.read_bytes()))
    assert len(read_pairs(packed)) == 2


WRONG = {
    "unknown label": (json.dumps({**RIGHT, "label": "maybe"}), ["'maybe' is unknown", "entailment"]),
    "blank label": (json.dumps({**RIGHT, "label": ""}), ["'label' is blank"]),
    "number": (json.dumps({**RIGHT, "label": 1}), ["no text under 'label'"]),
    "hidden": (json.dumps({"premise": "a", "hypothesis": "b"}), ["no text under 'label'"]),
    "blank text": (json.dumps({**RIGHT, "premise": " \u3000"}), ["'premise' is blank"]),
    "list": ("[1]", ["no text under 'premise'"]),
    "not JSON": ('{"premise": ', ["not JSON"]),
    "deep": ("[" * 100_000, ["nested too deep"]),
    "long number": ("9" * 5000, ["not JSON"]),
    "surrogate": (json.dumps({**RIGHT, "premise": "\ud800"}), ["half a surrogate pair"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, name: str) -> None:
    line, parts = WRONG[name]
    path = write(tmp_path / "train.en.jsonl", json.dumps(RIGHT), line)
    assert_user_error(lambda: read_pairs(path), f"{path}:2", *parts)


def test_columns_without_a_header_or_of_another_number_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "train.en.tsv", "it is here\there\tneutral")
    assert_user_error(lambda: read_pairs(path), f"{path}:1", "no column 'premise'", "first line")
    path = write(tmp_path / "train.en.tsv", "premise\thypothesis\tlabel", "a\tb")
    assert_user_error(lambda: read_pairs(path), f"{path}:2", "2 columns", "names 3")
