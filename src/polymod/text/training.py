"""Training of the tokenizer on a sample of the training split, smoothed over the languages.

A language's share of the sample is its number of characters to the power ``exponent``. One that has less text
than its share is repeated, up to eight times. Characters beyond the coverage of their language get no row of
their own. The result depends on the documents and the options, not on the number of processes.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from polymod.errors import UserError
from polymod.files import atomic
from polymod.text.dedup import Duplicates, first_documents
from polymod.text.normalise import SPACE_MARK
from polymod.text.options import Sample
from polymod.text.parts import Part, parts_of
from polymod.text.scripts import Characters
from polymod.text.split import SPLITS, SplitRule
from polymod.text.tokenizer import RESERVED, build_tokenizer

MOST_REPEATS = 8
ASCII = frozenset(chr(code) for code in range(0x21, 0x7F))  # always have rows
RARE = "\0"  # stands for characters without a row while training; documents cannot contain it
DIGITS = 4  # of scores; sums in the trainer differ in the last bits from run to run
# The trainer gives characters that it does not use scores that differ by this much in an order of chance.
PENALTY_STEP = 1e-4
TRAIN = SPLITS.index("train")


@dataclass(frozen=True)
class Text:
    """Cleaned documents of one language.

    Attributes:
        characters: in all documents.
    """

    tag: str
    parts: Path
    duplicates: Path
    rule: SplitRule
    characters: int


@dataclass(frozen=True)
class Training:
    """What a tokenizer is trained on, and where it is written."""

    texts: tuple[Text, ...]
    vocab_size: int
    sample: Sample
    path: Path


def train_tokenizer(task: Training) -> Generator[int, None, None]:
    """Train and write a tokenizer of exactly ``vocab_size`` rows; yields characters of the sample.

    Raises:
        UserError: the alphabet does not fit into the vocabulary, or there is too little text for it.
    """
    quotas = shares(task.texts, task.sample)
    alphabet, samples = set(ASCII), []
    for text in task.texts:
        documents = list(sampled(text, quotas[text.tag]))
        letters = covered(documents, task.sample.coverage)
        alphabet |= letters
        samples.append((documents, letters))
        yield sum(map(len, documents))
    pieces = train(samples, alphabet, task.vocab_size - RESERVED)
    with atomic(task.path) as file:
        file.write(build_tokenizer(pieces).to_str(pretty=False).encode())


def shares(texts: Sequence[Text], sample: Sample) -> dict[str, float]:
    """Characters that each language should give to the sample."""
    total = min(sample.characters, sum(text.characters for text in texts))
    weights = {
        text.tag: float(text.characters) ** sample.exponent if text.characters else 0.0 for text in texts
    }
    return {tag: total * weight / (sum(weights.values()) or 1.0) for tag, weight in weights.items()}


def sampled(text: Text, quota: float) -> Iterator[str]:
    """Documents of the training split, about ``quota`` characters of them, chosen by their digests.

    Of a large corpus every n-th part is read, so that the time depends on the quota.
    """
    parts, duplicates = parts_of(text.parts), Duplicates(text.duplicates)
    firsts = first_documents(parts)
    stride = min(len(parts), max(1, int(text.characters / (4 * max(1.0, quota)))))
    times = min(MOST_REPEATS, quota * stride / max(1, text.characters))
    for number in range(0, len(parts), stride):
        mask = duplicates.mask(firsts[number], firsts[number + 1])
        yield from _chosen(parts[number], mask, text.rule, times)


def _chosen(part: Part, duplicate_N: NDArray[np.bool_], rule: SplitRule, times: float) -> Iterator[str]:
    digests_N2 = part.digests_in_order()
    chance_N = digests_N2[:, 0].astype(np.float64) / 2**64
    repeats_N = np.where(chance_N < times % 1, 1, 0) + int(times)
    repeats_N[duplicate_N | (rule.of_digests(digests_N2) != TRAIN)] = 0
    documents = part.documents()
    for index in np.flatnonzero(repeats_N):
        document = documents[index].decode()
        for _ in range(repeats_N[index]):
            yield document


def covered(documents: Sequence[str], coverage: float) -> set[str]:
    """The most frequent characters that make up the share ``coverage`` of the text."""
    characters = Characters()
    for start in range(0, len(documents), 4096):
        characters.add(documents[start : start + 4096])
    counts = sorted(((count, -ord(c)) for c, count in characters.items() if c != " "), reverse=True)
    needed = coverage * sum(count for count, _ in counts)
    letters, reached = set(), 0
    for count, negative in counts:
        if reached >= needed:
            break
        letters.add(chr(-negative))
        reached += count
    return letters


def train(
    samples: Sequence[tuple[Sequence[str], set[str]]], alphabet: set[str], size: int, *, exact: bool = True
) -> list[tuple[str, float]]:
    """``size`` pieces with their log-probabilities, in a settled order.

    Args:
        samples: documents of each language, and its characters that get rows.
        exact: whether fewer are an error.
    """
    if len(alphabet) + 1 >= size:
        fix = f"give --vocab-size {2 * len(alphabet) + RESERVED} or more, or a lower --sample.coverage"
        raise UserError(
            f"the languages have {len(alphabet):,} characters, too many for {size:,} pieces", fix=fix
        )
    tokenizer = Tokenizer(models.Unigram())
    words = pre_tokenizers.Metaspace(replacement=SPACE_MARK, prepend_scheme="always")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.Split(RARE, "removed")])
    trainer = trainers.UnigramTrainer(
        vocab_size=size, show_progress=False, special_tokens=[], initial_alphabet=sorted(alphabet)
    )
    tokenizer.train_from_iterator(_without_rare(samples), trainer)
    pieces: list[tuple[str, float]] = json.loads(tokenizer.to_str())["model"]["vocab"]
    if exact and len(pieces) < size:
        what = f"there is too little text for a vocabulary of {size + RESERVED:,} rows"
        raise UserError(what, fix=f"give --vocab-size {len(pieces) + RESERVED} or less, or more text")
    return settled(pieces)


def _without_rare(samples: Sequence[tuple[Sequence[str], set[str]]]) -> Iterator[str]:
    for documents, letters in samples:
        characters = set().union(*documents) - letters - {" "}
        table = dict.fromkeys(map(ord, characters), RARE)
        for document in documents:
            yield document.translate(table) if characters else document


def settled(pieces: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """Pieces without what differs from run to run: the last digits, and the order of unused characters."""
    lowest = min((score for piece, score in pieces if len(piece) > 1), default=min(s for _, s in pieces))
    unused_below = lowest + PENALTY_STEP * (1 + sum(len(piece) == 1 for piece, _ in pieces))
    scores = {piece: lowest if len(piece) == 1 and score < unused_below else score for piece, score in pieces}
    rounded = ((piece, round(score, DIGITS)) for piece, score in scores.items())
    return sorted(rounded, key=lambda pair: (-pair[1], pair[0]))
