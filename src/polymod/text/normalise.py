"""The one form in which text is counted, compared and tokenised: NFC, words with one space between them."""

from __future__ import annotations

import hashlib
import re
import unicodedata

# What Python's str.split and Unicode call white space.
WHITESPACE = "[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+"
SPACE_MARK, SPACE_MARK_STAND_IN = "\u2581", "_"  # the tokenizer writes a space as this mark
CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
DIGEST_BYTES = 16


def normalise(text: str) -> str:
    """Text in NFC, white space of any kind and length as one space, none at the ends; ``\u2581`` as ``_``.

    Idempotent. The tokenizer does the same to what it is given, so that text is treated alike everywhere.
    """
    return " ".join(unicodedata.normalize("NFC", text).replace(SPACE_MARK, SPACE_MARK_STAND_IN).split())


def digest(normalised: bytes) -> bytes:
    """16 bytes that stand for a normalised document in UTF-8: equal documents are found and split by them."""
    return hashlib.blake2b(normalised, digest_size=DIGEST_BYTES).digest()
