"""How the rows of a language's own vocabulary begin: copied, averaged, combined, or as they were drawn.

X-MOD copies the rows of pieces that the trunk's tokenizer has too (arXiv 2205.06266, after arXiv 2012.15562);
FOCUS (arXiv 2305.14481) combines rows of those for the others.

V rows of a vocabulary, D model width, A anchors (pieces whose rows the trunk knows), Q pieces whose rows it
does not know, C nearest anchors, K dimensions of the static vectors, N tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from polymod.model.heads import MaskedLM
from polymod.text.tokenizer import Vocabulary
from polymod.train.vectors import static_vectors

EmbeddingInit = Literal["overlap", "focus", "random"]
NEIGHBOURS = 10
DIMENSIONS = 64
_AT_ONCE = 1024


def begin_rows(
    model: MaskedLM,
    tag: str,
    tokenizers: tuple[Tokenizer, Tokenizer],
    *,
    how: EmbeddingInit,
    ids_N: NDArray[np.int64],
) -> dict[str, int]:
    """Set the embedding rows of a language that is installed with a vocabulary of its own.

    Args:
        tokenizers: the trunk's and the language's.
        ids_N: the language's training text, each document ended by ``</s>``; only ``focus`` reads it.

    Returns:
        How many rows began in which way: ``copied``, ``averaged``, ``combined``, ``random``.
    """
    base, own = tokenizers
    vocabulary = model.config.vocabulary_of(tag)
    first, trunk_VD = vocabulary.shared_rows, model.encoder.embeddings.tokens.weight.detach()
    rows_VD = model.encoder.embeddings.own[tag].tokens_VD
    if how == "random":
        return {"random": len(rows_VD)}
    sources = pieces_of(base, own, first) if first else same_pieces(base, own, len(trunk_VD))
    began = dict.fromkeys(range(first, vocabulary.size), "random")
    began |= dict.fromkeys(sources, "averaged" if first else "copied")
    with torch.no_grad():
        for index, places in sources.items():
            rows_VD[index - first] = trunk_VD[places].mean(0)
        if how == "focus":
            known = {index: index for index in range(first)} or {id_: ids[0] for id_, ids in sources.items()}
            eos_id = Vocabulary.of(own).eos_id
            vectors_VK = static_vectors(
                ids_N, vocabulary.size, boundary=eos_id, dimensions=DIMENSIONS, seed=0
            )
            for index, row_D in combined(vectors_VK, known, trunk_VD).items():
                rows_VD[index - first] = row_D
                began[index] = "combined"
    return dict(sorted(Counter(began.values()).items()))


def same_pieces(base: Tokenizer, own: Tokenizer, rows: int) -> dict[int, list[int]]:
    """The trunk's row of every piece that both have, by its id in the language's tokenizer."""
    old = base.get_vocab()
    return {index: [old[piece]] for piece, index in own.get_vocab().items() if old.get(piece, rows) < rows}


def pieces_of(base: Tokenizer, own: Tokenizer, first: int) -> dict[int, list[int]]:
    """The trunk's rows of the pieces into which its tokenizer cuts each new piece, by the new one's id."""
    unknown = Vocabulary.of(base).unk_id
    cut = {
        index: [token.id for token in base.model.tokenize(piece) if token.id != unknown]
        for piece, index in own.get_vocab().items()
        if index >= first
    }
    return {index: ids for index, ids in cut.items() if ids}


def combined(vectors_VK: Tensor, known: Mapping[int, int], trunk_VD: Tensor) -> dict[int, Tensor]:
    """Rows of pieces that the trunk does not know: convex combinations of the rows of those most like them.

    Args:
        vectors_VK: static vectors, zeros for pieces that do not occur; these get nothing and give nothing.
        known: pieces whose rows the trunk knows, with the number of the row.
    """
    occurs_V = vectors_VK.any(1)
    anchors_A = torch.tensor([index for index in known if occurs_V[index]], dtype=torch.int64)
    anchor_set = set(known)
    queries = [index for index in torch.nonzero(occurs_V).flatten().tolist() if index not in anchor_set]
    if not len(anchors_A):
        return {}
    rows_AD = trunk_VD[[known[index] for index in anchors_A.tolist()]]
    found: dict[int, Tensor] = {}
    for start in range(0, len(queries), _AT_ONCE):
        here = queries[start : start + _AT_ONCE]
        similarity_QA = vectors_VK[here] @ vectors_VK[anchors_A].T
        best_QC, place_QC = similarity_QA.topk(min(NEIGHBOURS, len(anchors_A)), dim=1)
        rows_QD = torch.einsum("qc,qcd->qd", sparsemax(best_QC).to(rows_AD.dtype), rows_AD[place_QC])
        found |= dict(zip(here, rows_QD, strict=True))
    return found


def sparsemax(z_QC: Tensor) -> Tensor:
    """The point of the simplex nearest to each row (Martins and Astudillo 2016), mostly exact zeros."""
    sorted_QC = z_QC.sort(dim=1, descending=True).values
    above_QC = sorted_QC.cumsum(1) - 1
    places_C = torch.arange(1, z_QC.shape[1] + 1)
    support_Q1 = (places_C * sorted_QC > above_QC).sum(1, keepdim=True)
    threshold_Q1 = above_QC.gather(1, support_Q1 - 1) / support_Q1
    return (z_QC - threshold_Q1).clamp(min=0)


def begin_bias(model: MaskedLM, tag: str, counts_V: NDArray[np.int64]) -> None:
    """Set the output biases of a language's own rows to the log frequencies of its training text.

    Args:
        counts_V: how often each piece of the language's whole vocabulary occurs.
    """
    first = model.config.vocabulary_of(tag).shared_rows
    shares_V = (counts_V + 1.0) / (counts_V.sum() + len(counts_V))
    with torch.no_grad():
        model.encoder.embeddings.own[tag].bias_V.copy_(torch.from_numpy(np.log(shares_V[first:])))
