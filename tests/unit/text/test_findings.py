"""Findings: each rule at its bound."""

import pytest

from polymod.text.findings import about_data, about_scripts, about_text, remedy, too_many_bad
from polymod.text.records import DAMAGED, NO_TEXT, NOT_JSON, NOT_UTF8

GOOD_TEXT = {
    "lines": 5000,
    "documents": 5000,
    "characters": 500_000,
    "duplicates": 0,
    "bad": {},
    "first_bad": [],
    "dropped": {},
    "scripts": {"Latn": 400_000, "Grek": 10},
}
GOOD_DATA = {
    "overlap": 0,
    "tokens": {"train": 100_000, "valid": 2_000, "meta": 2_000},
    "documents": {"train": 4_900, "valid": 50, "meta": 50},
    "characters": 500_000,
    "byte_fallback_rate": 0.01,
    "unknown_rate": 0.0,
    "scripts": {"Latn": 400_000},
}
FIRST = [{"file": "en.txt", "line": 7, "reason": "not UTF-8"}]


def levels(findings) -> list[tuple[str, str]]:
    return [(finding.level, finding.message) for finding in findings]


def test_nothing_is_said_of_what_is_in_order():
    assert levels(about_text("en", GOOD_TEXT, 0.001)) == []
    assert levels(about_data("en", GOOD_DATA)) == []


TEXT = {
    "few bad lines": ({"bad": {"x": 10}, "first_bad": FIRST}, "warn", "10 of 5,000 lines cannot be read"),
    "many bad lines": ({"bad": {"x": 11}, "first_bad": FIRST}, "fail", "en.txt:7: not UTF-8"),
    "no documents": ({"documents": 0}, "fail", "no document in 5,000 lines"),
    "repetitions": ({"duplicates": 1001}, "warn", "20% of the documents are repetitions"),
    "too long": ({"dropped": {"too long": 51}}, "warn", "51 documents are too long"),
    "few documents": ({"documents": 999}, "warn", "very little text: 999 documents"),
    "few characters": ({"characters": 99_999}, "warn", "very little text"),
    "some other script": ({"scripts": {"Latn": 79, "Cyrl": 21}}, "warn", "21% of the letters are not Latn"),
    "other script": ({"scripts": {"Latn": 49, "Cyrl": 51}}, "fail", "51% of the letters are not Latn"),
}


@pytest.mark.parametrize(("change", "level", "message"), TEXT.values(), ids=TEXT)
def test_findings_about_text(change, level, message):
    (found,) = about_text("en", {**GOOD_TEXT, **change}, 0.001)
    assert found.level == level
    assert message in found.message
    assert found.language == "en"
    assert found.fix


DATA = {
    "overlap": ({"overlap": 1}, "fail", "1 documents of the valid or meta split"),
    "few held-out tokens": ({"tokens": {**GOOD_DATA["tokens"], "valid": 999}}, "warn", "only 999 tokens"),
    "no training tokens": ({"tokens": {**GOOD_DATA["tokens"], "train": 0}}, "fail", "no training tokens"),
    "bytes": ({"byte_fallback_rate": 0.06}, "warn", "6% of the tokens are bytes"),
    "unknown": ({"unknown_rate": 0.011}, "warn", "1.1% of the tokens are unknown"),
    "other script": ({"scripts": {"Grek": 1}}, "fail", "most are Grek"),
}


@pytest.mark.parametrize(("change", "level", "message"), DATA.values(), ids=DATA)
def test_findings_about_data(change, level, message):
    (found,) = about_data("en", {**GOOD_DATA, **change})
    assert found.level == level
    assert message in found.message
    assert found.fix


def test_a_script_in_the_tag_is_the_one_expected():
    assert levels(about_scripts("sr-Latn", {"Latn": 100})) == []
    (found,) = about_scripts("sr", {"Latn": 100})
    assert "name the file sr-Latn" in found.fix
    assert levels(about_scripts("qaa-x-001", {"Grek": 100})) == []
    assert levels(about_scripts("ja", {"Hira": 60, "Hani": 20, "Kana": 15, "Latn": 5})) == []


def test_ten_bad_lines_are_always_tolerated():
    assert not too_many_bad({NOT_JSON: 10}, 10, 0.0)
    assert too_many_bad({NOT_JSON: 6, NO_TEXT: 5}, 11, 0.0)
    assert not too_many_bad({NOT_JSON: 100}, 100_000, 0.001)
    assert too_many_bad({NOT_JSON: 101}, 100_000, 0.001)
    assert too_many_bad({DAMAGED: 1}, 100_000, 0.5)


@pytest.mark.parametrize(
    ("bad", "lines"), [(1112, 1500), (21, 604), (101, 100_000), (7, 7), (1, 3), (10, 1000)]
)
def test_the_share_that_is_advised_is_enough_and_not_much_more(bad: int, lines: int) -> None:
    share = float(remedy({NOT_JSON: bad}, lines).split("--max-bad ")[1])
    assert bad / lines <= share <= 1.11 * bad / lines
    assert "iconv" in remedy({NOT_UTF8: bad}, lines)
    assert "--max-bad" not in remedy({NOT_JSON: bad, DAMAGED: 1}, lines)
