"""A language's own vocabulary made that of the whole model, for formats that know one vocabulary only.

V rows of the vocabulary, D model width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from polymod.model.config import ModelConfig
from polymod.model.heads import MaskedLM
from polymod.model.install import HasEncoder, changed


def vocabularies(config: ModelConfig, tags: Sequence[str]) -> list[tuple[str, ...]]:
    """Languages that can stand in one model with one vocabulary: those with the trunk's, each other alone."""
    common = tuple(tag for tag in tags if tag not in config.own_vocabularies)
    alone: list[tuple[str, ...]] = [(tag,) for tag in tags if tag in config.own_vocabularies]
    return [common, *alone] if common else alone


def fold_vocabulary(model: HasEncoder) -> None:
    """Make the vocabulary of a model's only language that of its trunk; the outputs stay what they were.

    A model whose languages have no rows of their own stays as it is.
    """
    encoder, config = model.encoder, model.encoder.config
    if not config.own_vocabularies:
        return
    (tag,) = config.languages
    vocabulary, embeddings = config.own_vocabularies[tag], encoder.embeddings
    with torch.no_grad():
        bias_V = model.head.bias if isinstance(model, MaskedLM) else torch.zeros(config.vocab_size)
        weight_VD, bias_V = (tensor.clone() for tensor in embeddings.output(tag, bias_V))
        embeddings.tokens = nn.Embedding(*weight_VD.shape)
        embeddings.tokens.weight.copy_(weight_VD)
        if isinstance(model, MaskedLM):
            model.head.bias = nn.Parameter(bias_V)
        if embeddings.learned:  # the first position follows the id of the padding
            used = embeddings.positions.weight[embeddings.first_position :].clone()
            embeddings.first_position = vocabulary.pad_id + 1
            embeddings.positions = nn.Embedding(len(used) + embeddings.first_position, used.shape[1])
            embeddings.positions.weight.zero_()
            embeddings.positions.weight[embeddings.first_position :] = used
    embeddings.own.drop(tag)
    ids = {name: getattr(vocabulary, name) for name in ("bos_id", "pad_id", "eos_id", "mask_id")}
    encoder.config = changed(config, vocab_size=vocabulary.size, own_vocabularies={}, **ids)
