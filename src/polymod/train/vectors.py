"""Static vectors of tokens, from the company they keep: which pieces of a new vocabulary are alike.

Positive pointwise mutual information within a window, factorised (Levy and Goldberg 2014): quick, and without
the fastText that FOCUS (Dobler and de Melo 2023, arXiv 2305.14481) takes.

N tokens, V rows of a vocabulary, K dimensions, P pairs of tokens.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WINDOW = 5
SMOOTHING = 0.75  # power of the context's frequency, which keeps rare contexts from dominating
Ids = NDArray[np.int64]


def static_vectors(ids_N: Ids, size: int, *, boundary: int, dimensions: int, seed: int) -> Tensor:
    """A unit vector for every token that occurs, zeros for the others, (V, K).

    Args:
        ids_N: a stream of documents.
        boundary: the id that ends a document; nothing is counted across it, nor for it.
        dimensions: K at most; less where fewer tokens occur.
    """
    rows_P, columns_P, values_P = pmi(*pairs(ids_N, boundary), size)
    vectors_VK = torch.zeros(size, dimensions)
    if not len(rows_P):
        return vectors_VK
    places = torch.from_numpy(np.stack([rows_P, columns_P]))
    values = torch.from_numpy(values_P).float()
    matrix = torch.sparse_coo_tensor(places, values, (size, size), check_invariants=True).coalesce()
    rank = min(dimensions, len(np.unique(rows_P)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        left_VK, strength_K, _ = torch.svd_lowrank(matrix, q=rank, niter=4)
    vectors_VK[:, :rank] = left_VK * strength_K.clamp(min=0).sqrt()
    there_V = torch.zeros(size, dtype=torch.bool)
    there_V[torch.from_numpy(rows_P)] = True
    norms_V1 = vectors_VK.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return torch.where(there_V[:, None], vectors_VK / norms_V1, 0.0)


def pairs(ids_N: Ids, boundary: int) -> tuple[Ids, Ids, Ids]:
    """Tokens that stand at most ``WINDOW`` apart, both ways: rows (P,), columns (P,), counts (P,)."""
    document_N = np.cumsum(ids_N == boundary)
    size = int(ids_N.max(initial=0)) + 1
    keys, counts = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    for distance in range(1, WINDOW + 1):
        left, right = ids_N[:-distance], ids_N[distance:]
        within = (document_N[:-distance] == document_N[distance:]) & (left != boundary) & (right != boundary)
        here = np.concatenate([left[within] * size + right[within], right[within] * size + left[within]])
        found, times = np.unique(here, return_counts=True)
        keys, places = np.unique(np.concatenate([keys, found]), return_inverse=True)
        counts = np.bincount(places, np.concatenate([counts, times]), len(keys)).astype(np.int64)
    return keys // size, keys % size, counts


def pmi(rows_P: Ids, columns_P: Ids, counts_P: Ids, size: int) -> tuple[Ids, Ids, NDArray[np.float64]]:
    """Positive pointwise mutual information of the pairs; those at or below 0 are left out."""
    total_V = np.bincount(rows_P, counts_P, size)
    context_V = total_V**SMOOTHING
    share_V = context_V / max(context_V.sum(), 1e-12)
    expected_P = total_V[rows_P] * share_V[columns_P]
    values_P = np.log(counts_P / expected_P)
    kept = values_P > 0
    return rows_P[kept], columns_P[kept], values_P[kept]
