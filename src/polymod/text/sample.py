"""The first documents of a corpus, before it is prepared: enough to judge a tokenizer by, or to train one."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from polymod.errors import UserError
from polymod.text.corpus import read
from polymod.text.inventory import Corpus
from polymod.text.normalise import digest
from polymod.text.split import SPLITS, SplitRule

_AT_ONCE = 4096
_TRAIN = SPLITS.index("train")


def first_documents(corpus: Corpus, characters: int, *, max_characters: int = 1_000_000) -> list[str]:
    """Normalised documents of the training split, in the order of the corpus, about ``characters`` long.

    Left out is what a small corpus would hold out, which every large one's held-out splits are part of.

    Raises:
        UserError: there is none.
    """
    documents: list[str] = []
    left = characters
    for text in _training(corpus, max_characters):
        documents.append(text)
        left -= len(text)
        if left <= 0:
            break
    if not documents:
        where = str(corpus.sources[0].path)
        fix = "give text in UTF-8; polymod check-data says what is wrong with it"
        raise UserError(f"no text to learn the language {corpus.tag!r} from", where=where, fix=fix)
    return documents


def _training(corpus: Corpus, max_characters: int) -> Iterator[str]:
    rule = SplitRule(small=True)
    for source in corpus.sources:
        stream = read(source, 0, 0, max_characters=max_characters)
        texts = (record.text for record in stream if not record.reason)
        while chunk := list(islice(texts, _AT_ONCE)):
            digests = b"".join(digest(text.encode()) for text in chunk)
            words_N2 = np.frombuffer(digests, dtype=">u8").reshape(-1, 2).astype(np.uint64)
            for text, split in zip(chunk, rule.of_digests(words_N2), strict=True):
                if split == _TRAIN:
                    yield text
