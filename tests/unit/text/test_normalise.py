"""The one form of text: idempotent, NFC, single spaces, and the same inside the tokenizer."""

import re
import unicodedata

from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizers import normalizers

from _texts import tiny_tokenizer
from polymod.text.normalise import CONTROL, WHITESPACE, normalise

EVERY_CHARACTER = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]


@given(st.text())
def test_normalising_twice_is_normalising_once(text):
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert "  " not in once
    assert once == once.strip()


def test_white_space_is_what_python_calls_so():
    matched = {char for char in EVERY_CHARACTER if re.fullmatch(WHITESPACE, char)}
    assert matched == {char for char in EVERY_CHARACTER if char.isspace()}


def test_control_characters_are_those_that_are_neither_text_nor_space():
    matched = {char for char in EVERY_CHARACTER if CONTROL.search(char)}
    separators = set("\x1c\x1d\x1e\x1f")  # space to Python, and never meant in a text
    expected = {
        c for c in EVERY_CHARACTER if unicodedata.category(c) == "Cc" and not c.isspace()
    } | separators
    assert matched == expected


def test_examples():
    assert normalise(" a\u00a0\u2028b\r\n\tc\u3000") == "a b c"
    assert normalise("e\u0301") == "\u00e9"
    assert normalise("a\u2581b") == "a_b"
    assert normalise("\u200b") == "\u200b"  # no white space: languages need it


@given(st.text())
def test_the_tokenizer_normalises_alike(text):
    # Its tables of combining marks are older; see docs/data.md.
    assume(normalizers.NFC().normalize_str(text) == unicodedata.normalize("NFC", text))
    assert tiny_tokenizer().normalizer.normalize_str(text) == normalise(text)
