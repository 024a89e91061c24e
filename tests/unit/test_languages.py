"""Languages: any alias in, one canonical tag out, safe as file name, module key and YAML value."""

from __future__ import annotations

import string
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langcodes.data_dicts import LANGUAGE_ALPHA3, LANGUAGE_REPLACEMENTS
from torch import nn

from _asserts import assert_user_error
from polymod.files import language_name
from polymod.languages import (
    LONGEST_TAG,
    LanguageError,
    canonical,
    canonical_all,
    describe,
    name,
    resolve,
)
from polymod.model.packs import KEY
from polymod.yaml12 import parse_yaml

TEXT = Path(__file__).parents[3] / "shared" / "data" / "text"
DEPRECATED = {
    "iw": "he",
    "in": "id",
    "ji": "yi",
    "jw": "jv",
    "mo": "ro",
    "sh": "sr-Latn",
    "tl": "fil",
    "tw": "ak",
}
TWO_LETTERS = sorted(code for code in LANGUAGE_ALPHA3 if len(code) == 2 and code not in {*DEPRECATED, "bh"})
ALL_TAGS = st.sampled_from(TWO_LETTERS)


@pytest.mark.parametrize("code", TWO_LETTERS)
def test_an_iso_639_1_code_is_its_own_tag_under_every_alias(code: str) -> None:
    three = LANGUAGE_ALPHA3[code]
    for alias in (code, code.upper(), three, f"{three}_XX", f"{code}_XX", f"{code}-001"):
        assert canonical(alias) == code, alias
    assert name(code), "the table of names lacks it"


def test_there_are_about_180_two_letter_codes() -> None:
    assert len(TWO_LETTERS) == 181


@pytest.mark.parametrize("code", [*TWO_LETTERS, *DEPRECATED])
def test_an_iso_639_1_code_survives_yaml_files_and_module_keys(code: str) -> None:
    tree, _ = parse_yaml(f"languages: [{code}]\n{code}: {code}\n")
    assert tree == {"languages": [code], code: code}
    tag = canonical(code)
    assert language_name(tag) == f"lang-{tag}"
    assert list(nn.ModuleDict({KEY + tag: nn.Identity()})) == [KEY + tag]


@pytest.mark.parametrize(
    ("alias", "tag"),
    [
        *DEPRECATED.items(),
        *[
            ("eng_Latn", "en"),
            ("en-US", "en"),
            ("EN_us", "en"),
            ("eN-lAtN", "en"),
            ("swh", "sw"),
            ("swa", "sw"),
        ],
        *[
            ("zh_CN", "zh"),
            ("zh_TW", "zh-Hant"),
            ("zh-HK", "zh-Hant"),
            ("zho_Hans", "zh"),
            ("zho_Hant", "zh-Hant"),
        ],
        *[("cmn", "zh"), ("zh-yue", "yue"), ("yue_Hant", "yue"), ("zh-Hans-TW", "zh"), ("zh-min-nan", "nan")],
        *[
            ("sr_Latn", "sr-Latn"),
            ("srp_Cyrl", "sr"),
            ("sr-ME", "sr-Latn"),
            ("hbs", "sr-Latn"),
            ("kor_Hang", "ko"),
        ],
        *[
            ("arb_Arab", "ar"),
            ("arb_Latn", "ar-Latn"),
            ("arz", "arz"),
            ("ar-arz", "arz"),
            ("nob", "nb"),
            ("nor", "no"),
        ],
        *[
            ("lvs", "lv"),
            ("ekk", "et"),
            ("zsm", "ms"),
            ("npi", "ne"),
            ("ory", "or"),
            ("pes", "fa"),
            ("ydd", "yi"),
        ],
        *[
            ("azj", "az"),
            ("khk", "mn"),
            ("plt", "mg"),
            ("als", "sq"),
            ("uzn", "uz"),
            ("pbt", "ps"),
            ("fuv", "ff"),
        ],
        *[
            ("kmr", "ku"),
            ("ckb", "ckb"),
            ("lim", "li"),
            ("tgl", "fil"),
            ("gaz", "om"),
            ("ff-fuc", "ff"),
            ("dik", "din"),
        ],
        *[("ace_Arab", "ace-Arab"), ("mni_Beng", "mni"), ("mni_Mtei", "mni-Mtei"), ("hin_Latn", "hi-Latn")],
        *[("i-klingon", "tlh"), ("no-nyn", "nn"), ("ca-valencia", "ca-valencia"), ("de-CH-1996", "de-1996")],
        *[
            ("pt-x-br", "pt-x-br"),
            ("qaa", "qaa"),
            ("qtz", "qtz"),
            ("en-u-co-phonebk", "en"),
            ("en-Zyyy", "en"),
        ],
    ],
)
def test_an_alias_has_this_tag(alias: str, tag: str) -> None:
    assert canonical(alias) == tag


@pytest.mark.parametrize(
    "code",
    [
        "to",
        "pop",
        "cpu",
        "xpu",
        "con",
        "prn",
        "aux",
        "nul",
        "nan",
        "is",
        "as",
        "or",
        "del",
        "def",
        "not",
        "for",
    ],
)
def test_a_code_that_is_a_word_elsewhere_is_a_language_like_any_other(code: str) -> None:
    tag = canonical(code)
    assert len(tag) in (2, 3)
    assert language_name(tag).startswith("lang-")
    assert list(nn.ModuleDict({KEY + tag: nn.Identity()})) == [KEY + tag]


def test_every_code_of_two_and_three_letters_is_stable_and_safe() -> None:
    pairs = [f"{a}{b}" for a in string.ascii_lowercase for b in string.ascii_lowercase]
    triples = [f"{pair}{c}" for pair in pairs for c in string.ascii_lowercase]
    known = 0
    for code in [*pairs, *triples[::11]]:
        try:
            tag = canonical(code)
        except LanguageError:
            continue
        known += 1
        assert canonical(tag) == tag
        assert language_name(tag)
    assert known > 900


@pytest.mark.parametrize("code", sorted(LANGUAGE_REPLACEMENTS))
def test_a_replaced_code_is_refused_or_has_a_stable_tag(code: str) -> None:
    try:
        tag = canonical(code)
    except LanguageError:
        return
    assert canonical(tag) == tag


LANGUAGES = st.one_of(ALL_TAGS, st.text(string.ascii_letters, min_size=1, max_size=3))
SCRIPTS = st.sampled_from(["", "-Latn", "_latn", "-Cyrl", "_Arab", "-Hant", "-Zzzz", "-Qaaa"])
REGIONS = st.sampled_from(["", "-US", "_XX", "-tw", "-001", "_RS"])
RESTS = st.sampled_from(["", "-x-a", "-x-b-c", "-1996", "-valencia", "-u-nu-latn", "-x-"])


@given(st.one_of(st.tuples(LANGUAGES, SCRIPTS, REGIONS, RESTS).map("".join), st.text(max_size=30)))
def test_a_tag_is_stable_short_and_safe_in_any_case(code: str) -> None:
    try:
        tag = canonical(code)
    except LanguageError:
        return
    assert canonical(tag) == tag
    assert canonical(tag.lower()) == canonical(tag.upper()) == tag, "two tags would differ in case only"
    assert canonical(tag.replace("-", "_")) == tag
    assert len(tag) <= LONGEST_TAG
    assert language_name(tag) == f"lang-{tag}"
    assert list(nn.ModuleDict({KEY + tag: nn.Identity()})) == [KEY + tag]


@pytest.mark.parametrize(
    "code",
    [
        *[
            "",
            "-",
            "_",
            " ",
            "en ",
            " en",
            "en\n",
            "en\x00",
            "en.",
            "en--us",
            "en-x-",
            "x",
            "i",
            "x-foo",
            "1",
            "12",
        ],
        *[
            "../../etc",
            "en/../..",
            "..",
            "C:\\en",
            "lang-en",
            "en,de",
            "None",
            "null",
            "\x1b[31men",
            "\u202een",
        ],
        *[
            "日本",
            "é",
            "\uff45\uff4e",
            "\ud800",
            "a" * 10_000,
            "en-x-" + "-".join(["abcdefgh"] * 20),
            "mul-Latn",
        ],
        *["und", "mul", "mis", "zxx", "xx", "jp", "English", "en-eng", "nl_NL_foo"],
    ],
)
def test_a_hostile_code_is_refused_in_one_printable_message(code: str) -> None:
    error = assert_user_error(lambda: canonical(code, where="--languages"), "--languages: ", "fix: ")
    assert "\n" not in error.what
    assert all(char.isprintable() for char in error.what)
    assert len(str(error)) < 400


@pytest.mark.parametrize(
    ("code", "suggestion"),
    [
        *[("jp", "'ja' (Japanese)"), ("dk", "'da' (Danish)"), ("cz", "'cs' (Czech)"), ("gr", "'el' (Greek)")],
        *[("English", "'en' (English)"), ("Swahilli", "'sw' (Swahili)"), ("Tongan", "'to' (Tongan)")],
        *[("en_foo_bar", "'en' (English)"), ("nl_NL_foo", "'nl' (Dutch)"), ("mul", "names no language")],
    ],
)
def test_an_unknown_code_comes_with_a_suggestion(code: str, suggestion: str) -> None:
    assert_user_error(lambda: canonical(code), suggestion)


def test_two_codes_of_one_language_are_refused_and_both_are_named() -> None:
    assert_user_error(
        lambda: canonical_all(["de", "en", "eng_Latn"]), "'en'", "'eng_Latn'", "the language 'en'"
    )
    assert canonical_all(["sr", "sr-Latn", "en-x-a", "en-x-b"]) == ("sr", "sr-Latn", "en-x-a", "en-x-b")


def test_the_order_given_is_kept() -> None:
    assert canonical_all(["tr", "eng", "ar"]) == ("tr", "en", "ar")


def test_an_alias_resolves_to_what_is_installed() -> None:
    assert resolve("eng_Latn", ("de", "en")) == "en"
    assert resolve("sr_RS", ("sr", "sr-Latn")) == "sr"


def test_a_language_that_is_not_installed_is_refused_with_what_is() -> None:
    assert_user_error(lambda: resolve("ja", ("de", "en")), "'ja' (Japanese) is not installed", "de, en")
    assert_user_error(lambda: resolve("sr", ("sr-Latn",)), "spelt like it: sr-Latn")
    with pytest.raises(LanguageError) as told:
        resolve("fr", ("de", "en", "ru"))
    assert "spelt" not in str(told.value), "ru is no neighbour of fr"
    for code in ("ja", "bogus"):
        with_words = partial(resolve, code, ("de", "en"), where="--module", besides=("target", "none"))
        assert_user_error(with_words, "--module", "fix: target, none, or one language")
    many = tuple(f"en-x-{number}" for number in range(100))
    assert_user_error(lambda: resolve("ja", many), "and 60 more")


def test_a_tag_is_described_by_its_english_name() -> None:
    assert describe("sr-Latn") == "'sr-Latn' (Serbian)"
    assert describe("tlh") == "'tlh'"


@pytest.mark.skipif(not TEXT.is_dir(), reason=f"no real text at {TEXT}")
def test_the_files_of_the_real_corpus_are_as_many_languages() -> None:
    codes = sorted(path.name.split(".")[0] for path in TEXT.glob("*.txt.zst"))
    assert len(canonical_all(codes)) == len(codes) > 100
