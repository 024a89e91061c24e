"""Tokenizers of a language that is added later: one of its own, or the run's with more pieces.

Every piece of the run's tokenizer keeps its id, ``<mask>`` included; new pieces come after them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from tokenizers import Tokenizer

from polymod.errors import UserError
from polymod.text.options import Sample
from polymod.text.tokenizer import RESERVED, UNUSED_SCORE, Vocabulary, build_tokenizer
from polymod.text.training import ASCII, covered, train

Pieces = list[tuple[str, float]]
DISTINCT = 1_000_000  # characters of distinct words that a tokenizer is trained on
ROWS = {"extend": 4_000, "new": 8_000}  # of the language's own, where the user does not say


def own_pieces(documents: Sequence[str], size: int, *, exact: bool) -> Pieces:
    """At most ``size`` pieces for a language, trained on normalised documents, by falling score.

    Raises:
        UserError: the alphabet does not fit, or the text is too small and ``exact`` is true.
    """
    documents = enough(documents)
    letters = covered(documents, Sample().coverage)
    return train([(documents, letters)], letters | ASCII, size, exact=exact)


def enough(documents: Sequence[str], characters: int = DISTINCT) -> Sequence[str]:
    """The first documents whose distinct words have about so many characters.

    The trainer's time goes by these. Where no spaces divide words, nearly every stretch of text is distinct.
    """
    seen: set[str] = set()
    for number, document in enumerate(documents, 1):
        new = {*document.split(" ")} - seen
        seen |= new
        characters -= sum(map(len, new))
        if characters <= 0:
            return documents[:number]
    return documents


def new_tokenizer(documents: Sequence[str], rows: int | None) -> Tokenizer:
    """A tokenizer of the language's own in ``rows`` rows; without a wish as many as the text allows."""
    size = (rows or ROWS["new"]) - RESERVED
    return build_tokenizer(own_pieces(documents, size, exact=rows is not None))


def can_extend(tokenizer: Tokenizer) -> bool:
    """Whether pieces can be appended: only to a Unigram model, whose ids are the places in its list."""
    document = json.loads(tokenizer.to_str())
    return document["model"]["type"] == "Unigram" and all(
        token["id"] < len(document["model"]["vocab"]) for token in document["added_tokens"]
    )


def extended_tokenizer(
    base: Tokenizer, documents: Sequence[str], pieces: int | None, *, rows: int
) -> Tokenizer:
    """The run's tokenizer and the best pieces of the language that it lacks.

    Missing characters come first, then pieces by their score. Pieces that both have take the score of the
    language's own training, because the language's text is all that this tokenizer is for.

    Args:
        pieces: how many at most.
        rows: of the run's embedding, after which the new ids begin; ids that it has to spare are filled up.

    Raises:
        UserError: the run's tokenizer is no Unigram model.
    """
    if not can_extend(base):
        raise UserError("only a Unigram tokenizer can be extended", fix="give --vocab new")
    most = pieces or ROWS["extend"]
    own = own_pieces(documents, 2 * most, exact=False)
    return appended(base, own, most, rows=rows)


def appended(base: Tokenizer, own: Pieces, most: int, *, rows: int) -> Tokenizer:
    """``base`` with at most ``most`` of the pieces ``own`` that it lacks, from id ``rows`` on."""
    document = json.loads(base.to_str())
    old, scores = document["model"]["vocab"], dict(own)
    vocabulary = Vocabulary.of(base)
    fixed = {*vocabulary.special, *vocabulary.bytes}
    kept = [
        (piece, score if index in fixed else scores.get(piece, score))
        for index, (piece, score) in enumerate(old)
    ]
    there = {piece for piece, _ in old}
    lacking = [(piece, score) for piece, score in own if piece not in there]
    lacking.sort(key=lambda pair: (len(pair[0]) > 1, -pair[1], pair[0]))
    filler = [(f"<unused {index}>", UNUSED_SCORE) for index in range(len(old), rows)]
    document["model"]["vocab"] = [*kept, *filler, *lacking[:most]]
    return Tokenizer.from_str(json.dumps(document))
