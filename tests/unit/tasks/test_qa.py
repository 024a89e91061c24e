"""Scores of answers, compared with the definitions of SQuAD 1.1 and MLQA, written down again."""

from __future__ import annotations

import random
import string
import unicodedata

import numpy as np
import pytest

from polymod.tasks.qa import exact_and_f1, qa_metrics, qa_statistics, words_of
from polymod.tasks.squad import Answer, Question

# Words, articles of several languages, marks of several scripts, letters that combine, nothing.
PARTS = (
    *(
        "the",
        "The",
        "a",
        "an",
        "A",
        "answer",
        "Answer",
        "theatre",
        "an-other",
        "1,000",
        "U.S.",
        "it's",
        "",
        " ",
        "_a_",
    ),
    *(
        "der",
        "Die",
        "ein",
        "eine",
        "el",
        "la",
        "Los",
        "una",
        "là",
        "của",
        "những",
        "ال",
        "القاهرة",
        "بالكتاب",
    ),
    *(
        "«a»",
        "“the”",
        "—",
        "…",
        "\uff01",
        "北京",
        "。",
        "中国a",
        "東京です",
        "ไทย",
        "นี่",
        "है",
        "नई",
        "।",
        "a\u0301",
        "é",
        "\u00a0",
        "\n",
    ),
)


def texts(count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [
        chance.choice(["", " "]).join(chance.choices(PARTS, k=chance.randint(0, 5))) for _ in range(count)
    ]


def alike(gold: list[str], seed: int) -> list[str]:
    """Predictions that often share words with the gold answers."""
    chance = random.Random(seed)
    return [
        chance.choice([text, text.upper(), f"the {text}.", f"{text} answer", other])
        for text, other in zip(gold, texts(len(gold), seed), strict=True)
    ]


def is_word_character(char: str) -> bool:
    return char.isalnum() or char == "_"


def without_words(text: str, dropped: set[str]) -> str:
    """Runs of letters that are articles become a space: the same as a search for whole words."""
    runs: list[str] = []
    for char in text:
        if runs and is_word_character(char) and is_word_character(runs[-1][-1]):
            runs[-1] += char
        else:
            runs.append(char)
    return "".join(" " if run in dropped else run for run in runs)


def squad_words(text: str) -> list[str]:
    """SQuAD 1.1: lower case, no ASCII punctuation, no English articles, white space divides."""
    kept = "".join(char for char in text.lower() if char not in string.punctuation)
    return without_words(kept, {"a", "an", "the"}).split()


MLQA_ARTICLES = {
    "es": {"un", "una", "unos", "unas", "el", "la", "los", "las"},
    "vi": {"của", "là", "cái", "chiếc", "những"},
    "de": {"ein", "eine", "einen", "einem", "eines", "einer", "der", "die", "das", "den", "dem", "des"},
}


def mlqa_words(text: str, language: str) -> list[str]:
    """MLQA: also Unicode's punctuation goes; articles by language; Chinese characters stand alone."""
    marks = {char for char in text if unicodedata.category(char).startswith("P")} | set(string.punctuation)
    kept = "".join(char for char in text.lower() if char not in marks)
    kept = without_words(kept, MLQA_ARTICLES.get(language, set()))
    if language == "ar":
        kept = " ".join(kept.split("ال"))
    if language == "zh":
        kept = "".join(f" {char} " if 0x4E00 <= ord(char) <= 0x9FA5 else char for char in kept)
    return kept.split()


def reference(told: list[str], gold: list[str]) -> tuple[float, float]:
    """Exact match and F1 from the words, by taking out common words one by one."""
    left, common = list(gold), 0
    for word in told:
        if word in left:
            left.remove(word)
            common += 1
    if not common:
        return float(told == gold), 0.0
    precision, recall = common / len(told), common / len(gold)
    return float(told == gold), 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("language", ["en", "de", "es", "vi", "ar", "hi", "zh"])
def test_scores_are_those_of_the_definition_in_ten_thousand_cases(language: str) -> None:
    count = 10_000 if language == "en" else 1_000
    gold = texts(count, seed=1)
    seen = set()
    for prediction, text in zip(alike(gold, seed=2), gold, strict=True):
        told, right = (
            squad_words(each) if language == "en" else mlqa_words(each, language)
            for each in (prediction, text)
        )
        assert words_of(prediction, language) == told
        exact, f1 = exact_and_f1(words_of(prediction, language), words_of(text, language))
        expected = reference(told, right)
        assert (exact, f1) == pytest.approx(expected, abs=1e-12)
        seen.add((exact, round(f1, 1)))
    assert {(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)} <= seen  # (1, 0): both empty, as the scripts have it
    assert len(seen) > 6


@pytest.mark.parametrize(
    ("tag", "text", "words"),
    [
        ("en", "The U.S. «army», an army", ["us", "«army»", "army"]),
        ("de", "Die «Armee» der a the", ["armee", "a", "the"]),
        ("zh", "在北京abc。", ["在", "北", "京", "abc"]),
        ("zh-Hant", "北京", ["北", "京"]),
        ("ja", "東京です", ["東", "京", "です"]),
        ("th", "ประเทศ ไทย", ["ประเทศ", "ไทย"]),
        ("ru", "дом the", ["дом", "the"]),
        ("pt", "o la rio", ["o", "la", "rio"]),
    ],
)
def test_words_of_a_language(tag: str, text: str, words: list[str]) -> None:
    assert words_of(text, tag) == words


def test_the_best_answer_counts_for_each_metric() -> None:
    answers = tuple(Answer(text, 0) for text in ("red house", "house"))
    questions = [Question("", "red house", "which", answers)] * 3
    of_EK = qa_statistics(questions, ["the house", "red house there", ""], "en")
    np.testing.assert_allclose(of_EK, [[1, 1, 1], [1, 0, 0.8], [1, 0, 0]])
    metrics = qa_metrics(np.stack([of_EK.sum(0), of_EK[0]]))
    np.testing.assert_allclose(metrics["exact"], [1 / 3, 1])
    np.testing.assert_allclose(metrics["f1"], [0.6, 1])
    assert qa_statistics([], [], "en").shape == (0, 3)
