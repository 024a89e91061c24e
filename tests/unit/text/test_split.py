"""The split of a document is a function of its text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from _texts import sentences
from polymod.text.normalise import digest
from polymod.text.split import SPLITS, SplitRule

LINES = sentences(20_000)
DIGESTS = np.frombuffer(b"".join(digest(line.encode()) for line in LINES), dtype=">u8").astype(np.uint64)
DIGESTS = DIGESTS.reshape(-1, 2)


def shares(rule: SplitRule) -> list[float]:
    return (np.bincount(rule.of_digests(DIGESTS), minlength=3) / len(LINES)).tolist()


@given(st.text(), st.text(max_size=3))
def test_the_split_does_not_depend_on_spacing(text, space):
    spaced = f" {text}\n".replace(" ", "  ")
    assert SplitRule().of_text(spaced) == SplitRule().of_text(text)


def test_all_at_once_is_one_by_one():
    for rule in (SplitRule(), SplitRule(0.1, 0.2), SplitRule(small=True), SplitRule(0.2, 0.0)):
        together = [SPLITS[index] for index in rule.of_digests(DIGESTS[:300])]
        assert together == [rule.of_text(line) for line in LINES[:300]]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (SplitRule(), [0.98, 0.01, 0.01]),
        (SplitRule(0.05, 0.1), [0.85, 0.05, 0.1]),
        (SplitRule(0.01, 0.0), [0.99, 0.01, 0.0]),
        (SplitRule(small=True), [0.85, 0.1, 0.05]),
        (SplitRule(0.2, 0.0, small=True), [0.8, 0.2, 0.0]),
        (SplitRule(0.15, 0.1, small=True), [0.75, 0.15, 0.1]),
    ],
)
def test_shares(rule, expected):
    assert shares(rule) == pytest.approx(expected, abs=0.012)


def test_what_a_large_corpus_holds_out_a_small_one_holds_out_in_the_same_split():
    large, small = SplitRule().of_digests(DIGESTS), SplitRule(small=True).of_digests(DIGESTS)
    held_out = large != 0
    assert (small[held_out] == large[held_out]).all()


def test_three_hundred_lines_give_a_usable_valid_split():
    for start in range(0, 15_000, 300):
        split = SplitRule(small=True).of_digests(DIGESTS[start : start + 300])
        assert (split == 1).sum() >= 12


def test_golden_splits():
    """They must never change: models would be scored on what they were trained on."""
    lines = ["The cat sleeps.", "\u041a\u043e\u0442 \u0441\u043f\u0438\u0442.", *map(str, range(400))]
    held_out = {line: split for line in lines if (split := SplitRule().of_text(line)) != "train"}
    assert held_out == {"89": "meta", "213": "valid", "251": "meta", "324": "valid", "371": "valid"}
