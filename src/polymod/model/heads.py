"""The masked-LM head, on predicted rows only, and the model that pre-training trains.

N packed rows, M masked rows, D model width, V vocabulary.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polymod.batch import Batch
from polymod.model.config import ModelConfig
from polymod.model.encoder import Encoder
from polymod.model.loss import SoftmaxGradient, masked_lm_loss, masked_lm_loss_naive
from polymod.model.packs import generator, initial_


class MaskedLMHead(nn.Module):
    """RoBERTa's head: linear, GELU, norm; the output matrix is the token embedding, plus a bias."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        a = config.architecture
        self.dense = nn.Linear(a.hidden_size, a.hidden_size)
        self.norm = nn.LayerNorm(a.hidden_size, eps=a.norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, x_MD: Tensor) -> Tensor:
        """Features whose products with the token embeddings are the logits, (M, D)."""
        out: Tensor = self.norm(F.gelu(self.dense(x_MD)))
        return out


class MaskedLM(nn.Module):
    """Encoder and masked-LM head with tied token embeddings."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.head = MaskedLMHead(config)
        self.fused: SoftmaxGradient | None = None  # see compiled.py

    @property
    def config(self) -> ModelConfig:
        """What the model is made of; languages can be added to it."""
        return self.encoder.config

    def forward(self, batch: Batch, *, scale: float = 1.0, twice: bool = False) -> tuple[Tensor, Tensor]:
        """Masked-LM loss of a batch.

        Args:
            scale: factor of the summed loss, usually one over the number of targets of the global batch.
            twice: use the definition instead of the chunked loss, so that the result has second derivatives.

        Returns:
            ``scale`` times the summed loss, and each target's own loss in nats (M,), without gradient.
        """
        x_ND = self.encoder(batch)
        features_MD = self.head(x_ND.index_select(0, batch.target_rows_M))
        groups = self.encoder.embeddings.by_vocabulary(batch.route.tags, batch.target_counts)
        sizes = [count for _, count in groups]
        parts = zip(groups, features_MD.split(sizes), batch.targets_M.split(sizes), strict=True)
        lossy = masked_lm_loss_naive if twice else partial(masked_lm_loss, fused=self.fused)
        losses = [
            lossy(h_MD, *self.encoder.embeddings.output(tag, self.head.bias), targets_M, scale=scale)
            for (tag, _), h_MD, targets_M in parts
        ]
        if len(losses) == 1:
            return losses[0]
        return torch.stack([loss for loss, _ in losses]).sum(), torch.cat([each for _, each in losses])

    def logits(self, batch: Batch, rows_M: Tensor | None = None) -> Tensor:
        """Logits at some rows, or at all of them: (M, V) or (N, V).

        Raises:
            ValueError: the languages of the batch have several vocabularies.
        """
        tags = batch.route.tags
        groups = self.encoder.embeddings.by_vocabulary(tags, (1,) * len(tags))
        if len(groups) > 1:
            raise ValueError("languages with several vocabularies have no logits of one width")
        x_ND = self.encoder(batch)
        features = self.head(x_ND if rows_M is None else x_ND.index_select(0, rows_M))
        return F.linear(features, *self.encoder.embeddings.output(groups[0][0], self.head.bias))


def initialise(model: MaskedLM, seed: int, unigrams_V: Tensor | None = None) -> None:
    """Set all parameters as X-MOD does: weights N(0, initializer_range), biases 0, norms 1, pad row 0.

    Trunk and packs draw from generators of their own, keyed by seed and tag: two arms with one seed begin
    with the same trunk, and a language begins with the same pack whatever else is installed.

    Args:
        unigrams_V: counts of the training tokens. The output bias then starts at their log probabilities, so
            that training does not begin by learning word frequencies.
    """
    std = model.config.architecture.initializer_range
    trunk = generator(seed, "trunk")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".by_key." in name:  # below, each from a generator of its own
                continue
            if "norm" in name:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
            elif name.endswith("bias"):
                parameter.zero_()
            else:
                parameter.normal_(0.0, std, generator=trunk)
        tokens = model.encoder.embeddings
        tokens.tokens.weight[model.config.pad_id].zero_()
        if tokens.learned:
            tokens.positions.weight[model.config.pad_id].zero_()
        if unigrams_V is not None:
            model.head.bias.copy_(((unigrams_V.double() + 1) / (unigrams_V.sum() + len(unigrams_V))).log())
    for tag in model.encoder.packs.tags:
        initial_(model.encoder.packs[tag], std, generator(seed, tag))
    if model.config.language_embedding:
        with torch.no_grad():
            for key, parameter in model.encoder.language_embeddings.by_key.items():
                parameter.normal_(0.0, std, generator=generator(seed, f"embedding {key}"))
