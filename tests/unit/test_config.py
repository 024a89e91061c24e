"""Config trees: what wins over what, where each value came from, and what a user is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from langcodes.data_dicts import LANGUAGE_ALPHA3

from _asserts import assert_user_error
from _toys import ToyConfig, ToySizes
from polymod.config import Resolved, difference, fields, fingerprint, load
from polymod.languages import LanguageError


def resolved(tmp_path: Path, yaml: str = "", *options: tuple[str, str | None]) -> Resolved[ToyConfig]:
    """``load`` with a file that says ``yaml``, and a path as option."""
    file = tmp_path / "a.yaml"
    file.write_text(yaml, encoding="utf-8")
    return load(ToyConfig, file, [("path", "p"), *options])


def test_an_option_wins_over_the_file_over_the_preset_over_the_class(tmp_path: Path) -> None:
    default = resolved(tmp_path)
    preset = resolved(tmp_path, "sizes: {preset: large}")
    file = resolved(tmp_path, "sizes: {preset: large, width: 40}")
    option = resolved(tmp_path, "sizes: {preset: large, width: 40}", ("sizes.width", "50"))
    widths = [each.value.sizes.width for each in (default, preset, file, option)]
    assert widths == [4, 400, 40, 50]
    assert [each.value.sizes.height for each in (default, preset, file, option)] == [2, 300, 300, 300]
    origins = [each.origins.get("sizes.width") for each in (default, preset, file, option)]
    assert origins == [None, "preset large", f"{tmp_path}/a.yaml:1", "--sizes.width"]


def test_an_option_may_ask_for_the_preset(tmp_path: Path) -> None:
    assert resolved(tmp_path, "", ("sizes.preset", "large")).value.sizes.width == 400


def test_of_an_option_given_twice_the_last_one_wins(tmp_path: Path) -> None:
    assert resolved(tmp_path, "", ("limit", "1"), ("limit", "2")).value.limit == 2


def test_dashes_and_underscores_are_the_same_in_options_and_files(tmp_path: Path) -> None:
    class Dashed(ToyConfig):
        two_words: int = 0

    for key in ("two-words", "two_words"):
        assert load(Dashed, None, [("path", "p"), (key, "3")]).value.two_words == 3
    file = tmp_path / "a.yaml"
    file.write_text("two-words: 4\npath: p\n")
    assert load(Dashed, file).value.two_words == 4


def test_print_config_shows_every_leaf_with_its_origin(tmp_path: Path) -> None:
    lines = resolved(tmp_path, "languages: [en, no]\n", ("sizes.preset", "large")).lines()
    shown = {line.split(":")[0]: line for line in lines}
    assert set(shown) == set(fields(ToyConfig))
    assert shown["path"].endswith("# --path")
    assert shown["languages"].startswith('languages: ["en", "no"]')
    assert shown["languages"].endswith("a.yaml:1")
    assert shown["sizes.width"].endswith("# preset large")
    assert shown["sizes.gap"].endswith("# default")


@pytest.mark.parametrize("code", sorted(code for code in LANGUAGE_ALPHA3 if len(code) == 2))
def test_every_iso_639_1_code_is_a_text_in_a_list_a_line_and_an_option(tmp_path: Path, code: str) -> None:
    for yaml in (f"languages: [{code}]", f"languages: {code}", f"languages:\n- {code}"):
        assert resolved(tmp_path, yaml).value.languages == (code,)
    assert resolved(tmp_path, f"name: {code}").value.name == code
    assert resolved(tmp_path, "", ("languages", code)).value.languages == (code,)


def test_names_are_separated_by_commas(tmp_path: Path) -> None:
    assert resolved(tmp_path, "", ("languages", "en, de,fr,")).value.languages == ("en", "de", "fr")
    assert resolved(tmp_path, "", ("languages", "")).value.languages == ()


@pytest.mark.parametrize(
    ("yaml", "where", "unknown", "suggestion"),
    [
        ("name: x\nlanguage: en\n", ":2: ", "'language'", "--languages"),
        ("sizes:\n  widht: 4\n", ":2: ", "'sizes.widht'", "--sizes.width"),
        ("sizs:\n  width: 4\n", ":1: ", "'sizs'", "--sizes.NAME"),
        ("width: 4\n", ":1: ", "'width'", "--sizes.width"),
        ("gap: 4\n", ":1: ", "'gap'", "--sizes.gap"),
        ("jsn: 4\n", ":1: ", "'jsn'", "--json"),
        ("zzz: 4\n", ":1: ", "'zzz'", "see --help"),
    ],
)
def test_a_misspelt_key_is_named_with_its_line_and_a_suggestion(
    tmp_path: Path, yaml: str, where: str, unknown: str, suggestion: str
) -> None:
    assert_user_error(lambda: resolved(tmp_path, yaml), f"a.yaml{where}unknown option {unknown}", suggestion)


def test_a_misspelt_option_is_named_even_where_another_is_missing() -> None:
    assert_user_error(lambda: load(ToyConfig, None, [("pth", "x")]), "--pth: unknown option 'pth'", "--path")
    error = assert_user_error(
        lambda: load(ToyConfig, None, [("sizs.width", "4")]), "--sizs.width: unknown option"
    )
    assert "--sizes.NAME" in error.fix


@pytest.mark.parametrize(
    ("yaml", "parts"),
    [
        ("limit: many\n", (":1: limit 'many': ", "valid integer")),
        ("limit: 1.5\n", (":1: limit 1.5: ", "integer")),
        ("\nsizes:\n  width: -2\n", (":3: sizes.width -2: ", "greater than 0", "columns")),
        ("sizes: {gap: 1e999}\n", (":1: sizes.gap inf: ", "finite")),
        ("sizes: {preset: huge}\n", (":1: sizes.preset 'huge': ", "'small' or 'large'")),
        ("sizes: {width: 5}\n", (":1: width 5 is odd",)),
        ("loud: maybe\n", (":1: loud 'maybe': ", "boolean")),
        ("name: [a]\n", (":1: name ['a']: ", "string")),
        ("languages: [en, 1]\n", (":1: languages 1: ", "string")),
        ("sizes: 3\n", (":1: 'sizes' is a section",)),
        ("sizes:\n", (":1: 'sizes' is a section",)),
        ("limit: {a: 1}\n", (":1: limit ", "integer")),
        ("path: ''\n", ("path '': this is no path",)),
        ('path: "a\\0b"\n', (r"path 'a\x00b': this is no path",)),
        (f"name: [{'x' * 999}]\n", ("xxx: ",)),
    ],
)
def test_a_wrong_value_is_told_with_place_value_and_reason(
    tmp_path: Path, yaml: str, parts: tuple[str, ...]
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(yaml)
    options = [] if "path" in yaml else [("path", "p")]
    error = assert_user_error(lambda: load(ToyConfig, file, options), str(file), *parts)
    assert len(str(error)) < 300 + len(str(file))


def test_a_wrong_option_is_named_once(tmp_path: Path) -> None:
    error = assert_user_error(
        lambda: resolved(tmp_path, "", ("sizes.width", "many")), "--sizes.width: 'many': "
    )
    assert str(error).count("sizes.width") == 1


def test_a_value_where_a_section_is_names_who_wrote_it(tmp_path: Path) -> None:
    what = "'sizes' is a section"
    assert_user_error(lambda: resolved(tmp_path, "", ("sizes", "x")), f"--sizes: {what}")
    assert_user_error(lambda: resolved(tmp_path, "sizes: 3\n", ("sizes.width", "4")), f"a.yaml:1: {what}")


def test_an_option_without_a_value_is_true_or_refused(tmp_path: Path) -> None:
    assert resolved(tmp_path, "", ("loud", None)).value.loud is True
    assert_user_error(lambda: resolved(tmp_path, "", ("limit", None)), "--limit needs a value")
    assert_user_error(
        lambda: resolved(tmp_path, "", ("languages", None)), "--languages needs a value", "to take"
    )


def test_what_is_missing_is_named_as_it_is_written() -> None:
    assert_user_error(lambda: load(ToyConfig), "PATH is missing", "a folder")

    class Needy(ToyConfig):
        path: Path = Path()
        two_words: int

    assert_user_error(lambda: load(Needy), "--two-words is missing")


def test_an_error_of_a_field_keeps_its_words_and_gets_a_place() -> None:
    error = LanguageError("unknown language 'jp'", fix="did you mean 'ja' (Japanese)?")

    class Checked(ToyConfig):
        def model_post_init(self, _: object) -> None:
            raise error

    caught = assert_user_error(lambda: load(Checked, None, [("path", "p")]), str(error))
    assert isinstance(caught, LanguageError)


def test_a_config_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        ToySizes().width = 3


def test_the_fingerprint_changes_with_a_value_and_not_with_what_is_left_out() -> None:
    small, wide = ToySizes(), ToySizes(width=8)
    assert fingerprint(small) == fingerprint(ToySizes())
    assert fingerprint(small) != fingerprint(wide)
    assert fingerprint(small, without=["width"]) == fingerprint(wide, without=["width"])


def test_a_difference_names_changed_new_and_absent_leaves() -> None:
    old = {"a": 1, "b": {"c": 2, "d": 3}}
    new = {"a": 1, "b": {"c": 4}, "e": None}
    assert difference(old, new) == ["b.c: 2 -> 4", "b.d: 3 -> (absent)", "e: (absent) -> left out"]
