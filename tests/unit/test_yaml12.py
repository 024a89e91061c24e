"""YAML 1.2: every language code stays a text, every key has a line, nothing hostile is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _asserts import assert_user_error
from polymod.errors import UserError
from polymod.yaml12 import DEEPEST, LARGEST, parse_yaml, read_yaml


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *[("no", "no"), ("on", "on"), ("off", "off"), ("yes", "yes"), ("y", "y"), ("n", "n"), ("NO", "NO")],
        *[("true", True), ("True", True), ("FALSE", False), ("null", None), ("~", None), ("", None)],
        *[
            ("012", 12),
            ("0o14", "0o14"),
            ("0x1F", 31),
            ("-5", -5),
            ("+5", 5),
            ("1_000", "1_000"),
            ("1:30", "1:30"),
        ],
        *[("1e-4", 1e-4), ("1E4", 1e4), (".5", 0.5), ("5.", 5.0), ("-.5e1", -5.0), (".", "."), ("e", "e")],
        *[
            ("nan", "nan"),
            (".nan", ".nan"),
            (".inf", ".inf"),
            ("2020-01-01", "2020-01-01"),
            ("=", "="),
            ("<<", "<<"),
        ],
        *[("'12'", "12"), ("[en, no, on, to]", ["en", "no", "on", "to"]), ("{a: no}", {"a": "no"})],
    ],
)
def test_a_scalar_has_its_meaning_in_yaml_1_2(written: str, value: object) -> None:
    tree, _ = parse_yaml(f"key: {written}\n")
    assert tree["key"] == value
    assert type(tree["key"]) is type(value)


def test_every_key_has_its_line() -> None:
    tree, places = parse_yaml("data: d\n\ntrain:\n  batch-tokens: 5\n  seed: 1\n", where="a.yaml")
    assert tree == {"data": "d", "train": {"batch_tokens": 5, "seed": 1}}
    assert places == {
        "data": "a.yaml:1",
        "train": "a.yaml:3",
        "train.batch_tokens": "a.yaml:4",
        "train.seed": "a.yaml:5",
    }


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n"])
def test_an_empty_file_is_an_empty_mapping(text: str) -> None:
    assert parse_yaml(text)[0] == {}


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: 1\nb: [1", 2, "not YAML"),
        ("a: 1\nb: 2\na: 3\n", 3, "given twice"),
        ("a-b: 1\na_b: 3\n", 2, "given twice"),
        ("a: 1\ntrain.seed: 3\n", 2, "write 'seed' below 'train'"),
        ("a: 1\n? [x]\n: 1\n", 2, "a key is a word"),
        ("a: 1\n---\nb: 2\n", 2, "single document"),
        ("a: &x 1\nb: *x\n", 1, "anchors and aliases"),
        ("a: 1\nb: &x 1\n", 2, "anchors and aliases"),
        ("a: 1\nb: *x\n", 2, "undefined alias"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]\n", 2, "tags"),
        ("a: !!binary aGk=\n", 1, "tags"),
        ("a: !!set {x}\n", 1, "tags"),
        ("a: !!bool maybe\n", 1, "cannot read 'maybe'"),
        ("a: !!int many\n", 1, "cannot read 'many'"),
        ("a: " + "9" * 5000, 1, "cannot read '999"),
        ("a: 1\nb: \x00\n", 2, "special characters"),
        ("a: 1\nb: \x1b[31m\n", 2, "special characters"),
        ("a:\tb: c\n", 1, "not YAML"),
        ("a: " + "[" * (DEEPEST + 2) + "]" * (DEEPEST + 2), 1, f"deeper than {DEEPEST}"),
    ],
)
def test_what_is_not_read_is_refused_with_its_line(text: str, line: int, reason: str) -> None:
    error = assert_user_error(lambda: parse_yaml(text, where="a.yaml"), f"a.yaml:{line}: ", reason)
    assert len(str(error)) < 400


@pytest.mark.parametrize("text", ["- a\n- b\n", "just a text", "12"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    assert_user_error(lambda: parse_yaml(text, where="a.yaml"), "a.yaml: ", "a mapping of keys to values")


@pytest.mark.parametrize("bracket", ["[", "{a: ", "- ", "? "])
def test_a_bottomless_file_is_refused_and_does_not_crash(bracket: str) -> None:
    assert_user_error(lambda: parse_yaml(bracket * 600, where="a.yaml"), "a.yaml")


def test_aliases_that_would_grow_exponentially_are_refused_before_they_grow() -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))]
    assert_user_error(lambda: parse_yaml("\n".join(lines)), "anchors and aliases")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("a: é".encode("latin-1"), "not UTF-8"),
        ("a: b".encode("utf-16"), "not UTF-8"),
        (b"a: b\n" * LARGEST, "bytes"),
    ],
)
def test_a_file_in_the_wrong_encoding_or_size_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    assert_user_error(lambda: read_yaml(path), str(path), reason)


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("a: ü".encode("utf-8-sig"))
    assert read_yaml(path)[0] == {"a": "ü"}


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    assert_user_error(lambda: read_yaml(tmp_path / "none.yaml"), "none.yaml: ", "No such file")
    assert_user_error(lambda: read_yaml(tmp_path), str(tmp_path), "cannot read")


PIECES = [*"a[]{}'\"|>#\t\né\x00?,", ": ", "  ", "- ", "&x", "*x", "!!int "]


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=30).map("".join)))
def test_any_text_is_a_mapping_or_a_user_error(text: str) -> None:
    try:
        tree, places = parse_yaml(text, where="a.yaml")
    except UserError:
        return
    assert set(tree) <= set(places)
