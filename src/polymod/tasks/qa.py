"""How right an answer is: exact match and F1 over words, as the scripts of SQuAD 1.1 and MLQA measure them.

English is measured as SQuAD does (arXiv 1606.05250), every other language as MLQA does (arXiv 1910.07475):
Unicode's punctuation is dropped, articles only where MLQA lists them, and Chinese characters count as words.
Languages that MLQA does not have are measured by its rules without articles, Japanese by those of Chinese.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np

from polymod.tasks.squad import Question
from polymod.tasks.totals import Statistics, ratio

# What is dropped of a text in lower case and without punctuation. The article of Arabic is a prefix; MLQA
# drops its letters wherever they stand.
ARTICLES = {
    "en": r"\b(?:a|an|the)\b",
    "es": r"\b(?:un|una|unos|unas|el|la|los|las)\b",
    "vi": r"\b(?:của|là|cái|chiếc|những)\b",
    "de": r"\b(?:ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b",
    "ar": "ال",
}
CHARACTERS = re.compile("([\u4e00-\u9fa5])")  # words of their own
BY_CHARACTER = ("zh", "ja")


def words_of(text: str, tag: str) -> list[str]:
    """The words of an answer that count, in the language of ``tag``."""
    language = tag.split("-")[0]
    text = "".join(char for char in text.lower() if not _is_punctuation(char, english=language == "en"))
    if language in ARTICLES:
        text = re.sub(ARTICLES[language], " ", text)
    if language in BY_CHARACTER:
        text = CHARACTERS.sub(r" \1 ", text)
    return text.split()


def _is_punctuation(char: str, *, english: bool) -> bool:
    return char in string.punctuation or (not english and unicodedata.category(char)[0] == "P")


def exact_and_f1(told: Sequence[str], gold: Sequence[str]) -> tuple[float, float]:
    """Whether two answers have the same words in the same order, and the F1 of their words."""
    same = (Counter(told) & Counter(gold)).total()
    return float(told == gold), 2 * same / (len(told) + len(gold)) if same else 0.0


def qa_statistics(examples: Sequence[Question], predictions: Sequence[str], tag: str) -> Statistics:
    """1, exact match and F1 of each question, both the best over its answers; (E, 3)."""
    rows = []
    for example, prediction in zip(examples, predictions, strict=True):
        told = words_of(prediction, tag)
        scores = [exact_and_f1(told, words_of(answer.text, tag)) for answer in example.answers]
        exact, f1 = zip(*scores, strict=True)
        rows.append([1.0, max(exact), max(f1)])
    return np.array(rows, np.float64).reshape(-1, 3)


def qa_metrics(totals_K: Statistics) -> dict[str, Statistics]:
    """Means over questions; ``f1`` is the main one of XQuAD, MLQA and TyDiQA-GoldP."""
    count = totals_K[..., 0]
    return {"exact": ratio(totals_K[..., 1], count), "f1": ratio(totals_K[..., 2], count)}
