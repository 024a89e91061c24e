"""The likeliest tokens for every ``<mask>`` of a text.

N packed rows, M masked rows, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tokenizers import Tokenizer

from polymod.data.packing import packed
from polymod.errors import UserError
from polymod.model.heads import MaskedLM
from polymod.tasks.embedding import BUDGETS, fitting
from polymod.text.tokenizer import MASK
from polymod.text.tokenizers import Tokenizers
from polymod.train.score import evaluating

_MOST_LOGITS = 2**26  # held at a time


class Candidate(NamedTuple):
    """A token that may stand at a mask, and its probability."""

    token: str
    score: float


def fill(
    model: MaskedLM,
    texts: Sequence[str],
    tags: Sequence[str],
    tokenizers: Tokenizers,
    *,
    top_k: int,
    budget: int,
    told: Callable[[int], None] | None = None,
) -> list[list[list[Candidate]]]:
    """For each text, for each of its masks in order, the ``top_k`` likeliest tokens.

    Raises:
        UserError: a text has no mask or is too long.
    """
    found: list[list[list[Candidate]]] = [[]] * len(texts)
    by_vocabulary: dict[str, list[int]] = {}
    for index, tag in enumerate(tags):
        by_vocabulary.setdefault(tag if tag in model.config.own_vocabularies else "", []).append(index)
    sequences = _encoded(model, texts, tags, tokenizers)
    device, done = model.encoder.embeddings.tokens.weight.device, 0
    with evaluating(model):
        for indices in by_vocabulary.values():
            tokenizer, vocabulary = (
                tokenizers.of(tags[indices[0]]),
                model.config.vocabulary_of(tags[indices[0]]),
            )
            most = max(
                1, min(budget or BUDGETS.get(device.type, BUDGETS["cpu"]), _MOST_LOGITS // vocabulary.size)
            )
            chosen = [sequences[index] for index in indices]
            for places, batch in packed(chosen, [tags[index] for index in indices], budget=most):
                rows_M = (batch.ids_N == vocabulary.mask_id).nonzero()[:, 0]
                logits_MV = model.logits(batch.to(device), rows_M.to(device)).float()
                scores, ids = (
                    part.cpu() for part in logits_MV.softmax(-1).topk(min(top_k, logits_MV.shape[1]))
                )
                candidates = iter(zip(ids.tolist(), scores.tolist(), strict=True))
                for place in places:
                    count = chosen[place].count(vocabulary.mask_id)
                    found[indices[place]] = [_candidates(tokenizer, *next(candidates)) for _ in range(count)]
                done += len(places)
                if told is not None:
                    told(done)
    return found


def _encoded(
    model: MaskedLM, texts: Sequence[str], tags: Sequence[str], tokenizers: Tokenizers
) -> list[list[int]]:
    """Token ids with the masks in them."""
    sequences = []
    for index, (text, tag) in enumerate(zip(texts, tags, strict=True)):
        tokenizer, vocabulary = tokenizers.of(tag), model.config.vocabulary_of(tag)
        tokenizer.encode_special_tokens = False
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        if vocabulary.mask_id not in ids:
            raise UserError(f"text {index} has no {MASK}", fix=f"write {MASK} where a token is to be found")
        sequences.append([vocabulary.bos_id, *ids, vocabulary.eos_id])
    return fitting(sequences, model.config.architecture.max_length, truncate=False)


def _candidates(tokenizer: Tokenizer, ids: Sequence[int], scores: Sequence[float]) -> list[Candidate]:
    return [Candidate(_text_of(tokenizer, each), score) for each, score in zip(ids, scores, strict=True)]


def _text_of(tokenizer: Tokenizer, token_id: int) -> str:
    """A token as text; its name where it is only a part of a character, or no text."""
    name = tokenizer.id_to_token(token_id) or f"<{token_id}>"
    if name.startswith("<") and name.endswith(">"):
        return name
    text: str = tokenizer.decode([token_id], skip_special_tokens=False)
    return text.strip() or name
