"""Texts -> vectors: the mean of a layer's hidden states over a text's tokens, without ``<s>`` and ``</s>``.

N packed rows, S texts, K layers, D model width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polymod.batch import Batch
from polymod.data.packing import packed
from polymod.errors import UserError
from polymod.model.config import ModelConfig
from polymod.model.encoder import Encoder
from polymod.text.tokenizers import Tokenizers
from polymod.train.score import evaluating

# Tokens of a batch. On a CPU what a layer works on must stay in the cache; a GPU must have enough to do.
BUDGETS = {"cpu": 2**11, "cuda": 2**15}
Vectors = NDArray[np.float32]


def encode(
    texts: Sequence[str], tags: Sequence[str], tokenizers: Tokenizers, config: ModelConfig, *, truncate: bool
) -> list[list[int]]:
    """Token ids of each text between ``<s>`` and ``</s>``; what looks like a special token is text.

    Args:
        tags: canonical language of each text.
        truncate: whether to cut texts that are longer than the model's positions.

    Raises:
        UserError: a text has no tokens, or is too long and not to be cut.
    """
    sequences: list[list[int]] = [[]] * len(texts)
    by_tokenizer: dict[object, list[int]] = {}
    for index, tag in enumerate(tags):
        by_tokenizer.setdefault(tokenizers.path(tag), []).append(index)
    for indices in by_tokenizer.values():
        tag = tags[indices[0]]
        tokenizer, vocabulary = tokenizers.of(tag), config.vocabulary_of(tag)
        tokenizer.encode_special_tokens = True
        encoded = tokenizer.encode_batch_fast([texts[index] for index in indices], add_special_tokens=False)
        for index, encoding in zip(indices, encoded, strict=True):
            sequences[index] = [vocabulary.bos_id, *encoding.ids, vocabulary.eos_id]
    return fitting(sequences, config.architecture.max_length, truncate=truncate)


def fitting(sequences: list[list[int]], longest: int, *, truncate: bool) -> list[list[int]]:
    """The sequences, none longer than ``longest``; those that are cut keep their last token.

    Raises:
        UserError: one has no token between the first and the last, or is too long and not to be cut.
    """
    empty = [index for index, ids in enumerate(sequences) if len(ids) == 2]
    if empty:
        fix = f"leave out {len(empty)} texts without a token" if len(empty) > 1 else "leave it out"
        raise UserError(f"text {empty[0]} is empty", fix=fix)
    long = [index for index, ids in enumerate(sequences) if len(ids) > longest]
    if long and not truncate:
        most = max(len(sequences[index]) for index in long)
        what = f"text {long[0]} has {len(sequences[long[0]]):,} tokens; the model takes at most {longest:,}"
        more = f" ({len(long):,} texts are too long, the longest has {most:,})" if len(long) > 1 else ""
        raise UserError(what + more, fix="divide it into sentences, or give truncate=True to cut it")
    for index in long:
        sequences[index] = [*sequences[index][: longest - 1], sequences[index][-1]]
    return sequences


def embed(
    encoder: Encoder,
    sequences: Sequence[Sequence[int]],
    tags: Sequence[str],
    *,
    layers: Sequence[int] = (-1,),
    via: Mapping[str, str | None] | None = None,
    budget: int = 0,
    told: Callable[[int], None] | None = None,
) -> Vectors:
    """Mean hidden states (K, S, D) of sequences that begin with ``<s>`` and end with ``</s>``, in fp32.

    Args:
        layers: 0 is the output of the embeddings, the last one that of the encoder; negative ones count from
            there.
        via: languages whose rows pass through another pack, or through none.
        budget: tokens of a batch; 0: what suits the device.
        told: called with the number of sequences done.
    """
    device = encoder.embeddings.tokens.weight.device
    layers = [layer_index(layer, encoder.config.architecture.num_layers) for layer in layers]
    vectors = np.empty((len(layers), len(sequences), encoder.config.architecture.hidden_size), np.float32)
    budget, done = budget or BUDGETS.get(device.type, BUDGETS["cpu"]), 0
    with evaluating(encoder):
        for indices, batch in packed(sequences, tags, budget=budget):
            rows_N = inner_rows(batch).to(device)
            states = encoder.hidden_states(batch.via(via or {}).to(device))
            counts_S = torch.tensor(batch.lengths, device=device) - 2
            for place, layer in enumerate(layers):
                inner_ND = states[layer].index_select(0, rows_N).float()
                mean_SD = torch.segment_reduce(inner_ND, "mean", lengths=counts_S)
                vectors[place, indices] = mean_SD.cpu().numpy()
            done += len(indices)
            if told is not None:
                told(done)
    return vectors


def inner_rows(batch: Batch) -> Tensor:
    """Rows of a batch without the first and the last one of each sequence."""
    keep_N = torch.ones(batch.num_tokens, dtype=torch.bool)
    keep_N[batch.starts_S1[:-1]] = False
    keep_N[batch.starts_S1[1:] - 1] = False
    return keep_N.nonzero()[:, 0]


def layer_index(layer: int, num_layers: int) -> int:
    """The layer from 0 (embeddings) to ``num_layers`` that a number means; negative ones count from the end.

    Raises:
        UserError: there is no such layer.
    """
    if not -num_layers - 1 <= layer <= num_layers:
        fix = f"0 is the embeddings, {num_layers} or -1 the last layer"
        raise UserError(f"no layer {layer} in a model of {num_layers} layers", fix=fix)
    return layer % (num_layers + 1)


def normalised(vectors: Vectors) -> Vectors:
    """The vectors with length 1, along the last axis; a vector of zeros stays."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Vectors = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit
