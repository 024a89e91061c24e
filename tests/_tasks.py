"""Tokenizers for tests of tasks: ours and one in the manner of XLM-R, on pieces in several scripts."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from polymod.text.tokenizer import SPECIAL_TOKENS, build_tokenizer

# Marks that combine and marks that compose, no spaces between words, conjuncts, one character a word.
SAMPLE = (
    "the answer is here who stands at the café Çeşme naïve Việt Nam? ที่นี่ประเทศไทย 中国的首都是北京。"
    " हिन्दी में क्या है नई दिल्ली भारत की राजधानी है عاصمة مصر القاهرة ABC 1789, (x) -"
    " </s> <mask> 日本の首都は東京です"
)


def pieces(sample: str = SAMPLE) -> list[tuple[str, float]]:
    """Every character of a text, and its pairs of ASCII letters, which are likelier than both alone."""
    text = unicodedata.normalize("NFC", sample).replace(" ", "▁")
    singles = dict.fromkeys(sorted({*text, "▁"}), -8.0)
    pairs = {a + b: -10.0 for a, b in sorted({*pairwise(text)}) if a.isascii() and b.isascii()}
    return [*singles.items(), *pairs.items()]


def our_tokenizer(sample: str = SAMPLE) -> Tokenizer:
    """As ``prepare`` makes them."""
    return build_tokenizer(pieces(sample))


def xlmr_tokenizer(sample: str = SAMPLE) -> Tokenizer:
    """NFKC, spaces dropped before words are marked, unknown characters as one token."""
    names = [(token, 0.0) for token in SPECIAL_TOKENS[:4]]
    tokenizer = Tokenizer(models.Unigram([*names, *pieces(sample), (SPECIAL_TOKENS[4], 0.0)], unk_id=3))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="always")]
    )
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer
