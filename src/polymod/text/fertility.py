"""Fertility: into how many tokens a tokenizer cuts a language, and whether it knows its characters.

A tokenizer that was made for other languages cuts a new one into more and shorter pieces, down to bytes. What
that costs is measured before anything is trained (Rust et al. 2021, arXiv 2012.15613; Pfeiffer et al. 2021,
arXiv 2012.15562). V rows of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from polymod.text.encode import Encoder
from polymod.text.tokenizer import Vocabulary

Mode = Literal["keep", "extend", "new"]
MODES: tuple[Mode, ...] = ("keep", "extend", "new")
UNKNOWN_SCRIPT = 0.5  # share of bytes and unknown tokens from which on hardly anything is left of the text
MANY_UNSEEN = 0.05  # from which on characters are missing, not only rare ones
MUCH_SHORTER = 1.5  # tokens for one text, in comparison with the run's languages
LONGEST_WORD = 20  # characters; a language whose words are longer does not divide them by spaces


@dataclass(frozen=True)
class Fertility:
    """How a tokenizer cuts a text.

    Attributes:
        tokens_per_word: words are divided by spaces.
        byte_share, unknown_share: of the tokens.
    """

    tokens_per_word: float
    characters_per_token: float
    byte_share: float
    unknown_share: float

    @property
    def unseen(self) -> float:
        """Share of the tokens that stand for characters without a row."""
        return self.byte_share + self.unknown_share

    @property
    def has_words(self) -> bool:
        """Whether words are divided by spaces."""
        return self.tokens_per_word * self.characters_per_token <= LONGEST_WORD


def measure(tokenizer: Tokenizer, documents: Sequence[str]) -> tuple[Fertility, NDArray[np.int64]]:
    """Fertility on normalised documents, and how often each token occurs (V,)."""
    vocabulary = Vocabulary.of(tokenizer)
    encoder = Encoder(Tokenizer.from_str(tokenizer.to_str()))  # which changes the tokenizer it is given
    counts_V = np.zeros(vocabulary.size, dtype=np.int64)
    for start in range(0, len(documents), 2048):
        ids = np.array([*chain.from_iterable(encoder(documents[start : start + 2048]))], dtype=np.int64)
        counts_V += np.bincount(ids, minlength=vocabulary.size)
    tokens = max(1, int(counts_V.sum()))
    words = sum(text.count(" ") + 1 for text in documents)
    fertility = Fertility(
        tokens_per_word=tokens / max(1, words),
        characters_per_token=sum(map(len, documents)) / tokens,
        byte_share=float(counts_V[list(vocabulary.bytes)].sum()) / tokens,
        unknown_share=float(counts_V[vocabulary.unk_id]) / tokens,
    )
    return fertility, counts_V


def of_entry(entry: Mapping[str, Any]) -> Fertility:
    """Fertility of a language of a data folder, from its entry in ``data.json``."""
    per_character = entry["tokens_per_character"]
    return Fertility(
        tokens_per_word=entry["tokens_per_word"],
        characters_per_token=1 / per_character if per_character else 0.0,
        byte_share=entry["byte_fallback_rate"],
        unknown_share=entry["unknown_rate"],
    )


@dataclass(frozen=True)
class Advice:
    """Which vocabulary a new language should have, and why."""

    vocab: Mode
    why: str


def advise(new: Fertility, others: Mapping[str, Fertility], possible: Sequence[Mode] = MODES) -> Advice:
    """What to do about a language's vocabulary.

    Args:
        others: the run's own languages; may be empty.
        possible: what the run allows, in the order of ``MODES``. The first that goes far enough is advised.
    """
    wanted, why = _wanted(new, others)
    if wanted in possible:
        return Advice(wanted, why)
    vocab = next((mode for mode in possible if MODES.index(mode) > MODES.index(wanted)), possible[-1])
    return Advice(vocab, f"{why}, but {wanted!r} is not possible in this run")


def _wanted(new: Fertility, others: Mapping[str, Fertility]) -> tuple[Mode, str]:
    unseen = f"{new.unseen:.0%} of the tokens are bytes or unknown"
    if new.unseen >= UNKNOWN_SCRIPT:
        return "new", f"{unseen}: the tokenizer does not know the script"
    if new.unseen >= MANY_UNSEEN:
        return "extend", f"{unseen}: the tokenizer lacks characters of the language"
    known = [other.characters_per_token for other in others.values() if other.has_words]
    if not known or not new.has_words:
        return "keep", f"{unseen}: the tokenizer knows the characters"
    times = median(known) / max(new.characters_per_token, 1e-9)
    said = f"a text takes {times:.1f} times as many tokens as in the run's languages"
    return ("extend", said) if times >= MUCH_SHORTER else ("keep", said)
