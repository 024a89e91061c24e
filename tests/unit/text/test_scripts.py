"""Scripts of letters, against what Unicode says of every letter of living scripts."""

import unicodedata

import pytest

from polymod.text.scripts import Characters, scripts_of

SAMPLES = {
    "Latn": "Stra\u00dfe \u1e5b \uff21 na\u00efve \u0131 \u1ecd\u0300",
    "Cyrl": "\u041f\u0440\u0438\u0432\u0435\u0442 \u049b",
    "Grek": "\u039a\u03b1\u03bb\u03b7\u03bc\u03ad\u03c1\u03b1 \u1f00",
    "Arab": "\u0645\u0631\u062d\u0628\u0627 \u06a9",
    "Deva": "\u0928\u092e\u0938\u094d\u0924\u0947",
    "Hani": "\u6f22\u5b57\u3007\U00020000",
    "Hira": "\u3072\u3089\u304c\u306a",
    "Kana": "\u30ab\u30bf\u30ab\u30ca\uff76",
    "Hang": "\ud55c\uad6d\uc5b4",
    "Thai": "\u0e44\u0e17\u0e22",
    "Ethi": "\u12a0\u121b\u122d\u129b",
    "Cans": "\u1403\u14c4\u1483",
    "Tfng": "\u2d5c\u2d49\u2d3c",
    "Olck": "\u1c65\u1c5f\u1c71",
    "Mtei": "\uabc3\uabe4",
}


def scripts(text: str) -> dict[str, int]:
    characters = Characters()
    characters.add([text])
    return dict(characters.scripts())


@pytest.mark.parametrize(("script", "text"), SAMPLES.items(), ids=SAMPLES)
def test_letters_of_a_script(script, text):
    letters = sum(unicodedata.category(char).startswith("L") and char != "\u3007" for char in text)
    assert scripts(text) == {script: letters}


def test_what_every_script_uses_is_not_counted():
    assert scripts("123 ,.!? \u0301 \u02bc \U0001f600 \u2070 \U0001d400") == {}


def test_characters_add_up():
    characters = Characters()
    for texts in (["ab", "a"], ["\U0010ffff"], [], ["b \u0431"]):
        characters.add(texts)
    assert dict(characters.items()) == {"a": 2, "b": 2, " ": 1, "\u0431": 1, "\U0010ffff": 1}


EXPECTED = {
    "en": ("Latn",),
    "sr": ("Cyrl",),
    "sr-Latn": ("Latn",),
    "ja": ("Hani", "Hira", "Kana"),
    "ko": ("Hang", "Hani"),
    "zh": ("Hani",),
    "zh-Hant": ("Hani",),
    "grc": ("Grek",),
    "qaa-x-001": (),
    "tdx": (),
}


@pytest.mark.parametrize(("tag", "expected"), EXPECTED.items(), ids=EXPECTED)
def test_scripts_of_languages(tag, expected):
    assert scripts_of(tag) == expected
