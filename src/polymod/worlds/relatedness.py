"""How related two languages are: words of one origin, spelling, type of grammar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from polymod.worlds.concepts import CONCEPTS
from polymod.worlds.language import Language

Matrix = NDArray[np.float64]
NGRAM = 3  # letters
WEIGHTS = {"words": 0.4, "spelling": 0.4, "grammar": 0.2}  # grammars agree in much by accident, words do not


def relatedness(languages: Sequence[Language]) -> dict[str, Matrix]:
    """Symmetric (L, L) matrices of L languages, values from 0 to 1 (a language with itself).

    ``words``: share of concepts whose words have one origin (cognates and common loans).
    ``spelling``: cosine of the counts of letter trigrams in the two written word lists.
    ``grammar``: share of typological features with the same value.
    ``all``: their mean by ``WEIGHTS``.
    """
    found = {
        "words": _agreement(
            languages, lambda language: [language.words[gloss].origin for _, gloss in CONCEPTS]
        ),
        "spelling": cosines(
            [ngrams(language.written(gloss) for _, gloss in CONCEPTS) for language in languages]
        ),
        "grammar": _agreement(languages, lambda language: list(language.typology.values())),
    }
    return found | {"all": sum((WEIGHTS[part] * matrix for part, matrix in found.items()), np.zeros(1))}


def ngrams(words: Iterable[str]) -> Counter[str]:
    """Counts of letter trigrams in words with their ends marked."""
    counts: Counter[str] = Counter()
    for word in words:
        marked = f"<{word}>"
        counts.update([marked[start : start + NGRAM] for start in range(len(marked) - NGRAM + 1)])
    return counts


def cosines(counts: Sequence[Counter[str]]) -> Matrix:
    """(L, L) cosine of every pair of L sparse counts."""
    columns = {ngram: number for number, ngram in enumerate(sorted(set().union(*counts)))}
    table_LG = np.zeros((len(counts), len(columns)), dtype=np.float32)
    for row, count in enumerate(counts):
        table_LG[row, [columns[ngram] for ngram in count]] = list(count.values())
    # Sums of whole numbers below 2**24: the same on every machine.
    products_LL = (table_LG @ table_LG.T).astype(np.float64)
    norms_L = np.sqrt(np.diag(products_LL))
    cosines_LL: Matrix = products_LL / np.outer(norms_L, norms_L)
    return cosines_LL.clip(0.0, 1.0)


def _agreement(languages: Sequence[Language], traits: Callable[[Language], list[str]]) -> Matrix:
    """Share of traits that are the same, for every pair."""
    numbers: dict[str, int] = {}
    table_LT = np.array(
        [[numbers.setdefault(trait, len(numbers)) for trait in traits(language)] for language in languages]
    )
    return np.array([(table_LT == row_T).mean(axis=1) for row_T in table_LT], dtype=np.float64)
