"""A fine-tuned model: an encoder and a head of one of three kinds, those of ``transformers``' X-MOD.

N packed rows, S sequences, M target rows, D model width, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from polymod.batch import Batch
from polymod.config import Config
from polymod.model.config import ModelConfig
from polymod.model.encoder import Encoder
from polymod.model.packs import generator

Kind = Literal["sequence", "token", "span"]


class TaskSpec(Config):
    """What a head predicts; stored with every checkpoint."""

    task: str = Field(min_length=1)
    kind: Kind
    labels: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_labels(self) -> Self:
        if (self.kind == "span") != (not self.labels) or len(set(self.labels)) < len(self.labels):
            raise ValueError(f"labels {self.labels} do not fit a head of the kind {self.kind!r}")
        return self


class SequenceHead(nn.Module):
    """RoBERTa's classifier of the row of ``<s>``: dropout, linear, tanh, dropout, linear."""

    def __init__(self, hidden_size: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.out_proj = nn.Linear(hidden_size, classes)

    def forward(self, x_SD: Tensor) -> Tensor:
        """Logits, (S, C)."""
        h_SD = torch.tanh(self.dense(self.dropout(x_SD)))
        out: Tensor = self.out_proj(self.dropout(h_SD))
        return out


class LinearHead(nn.Module):
    """Dropout and a linear map: classes of tokens, or start and end of a span (which has no dropout)."""

    def __init__(self, hidden_size: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden_size, classes)

    def forward(self, x_MD: Tensor) -> Tensor:
        """Logits, (M, C)."""
        out: Tensor = self.linear(self.dropout(x_MD))
        return out


class TaskModel(nn.Module):
    """Encoder and head. Its batches are those of pre-training with classes as targets, so that the same
    update, loop and checkpoints serve both.
    """

    def __init__(self, config: ModelConfig, spec: TaskSpec) -> None:
        super().__init__()
        a = config.architecture
        self.spec = spec
        self.encoder = Encoder(config)
        self.head: SequenceHead | LinearHead = (
            SequenceHead(a.hidden_size, len(spec.labels), a.dropout)
            if spec.kind == "sequence"
            else LinearHead(a.hidden_size, len(spec.labels), a.dropout)
            if spec.kind == "token"
            else LinearHead(a.hidden_size, 2, 0.0)
        )

    @property
    def config(self) -> ModelConfig:
        """What the encoder is made of."""
        return self.encoder.config

    def forward(self, batch: Batch, *, scale: float = 1.0) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the targets of a batch, as ``MaskedLM.forward`` gives it.

        A target is a class: one per sequence or one per target row. For spans it is a pair of rows, counted
        from the start of the sequence, (S, 2), and its loss is the mean of the losses of start and end, each
        a softmax over the rows of the sequence.

        Args:
            scale: factor of the summed loss, usually one over the number of targets of the global batch.

        Returns:
            ``scale`` times the summed loss, and each target's own loss in nats, (M,) or (S,), without
            gradient.
        """
        logits = self.logits(batch)
        if self.spec.kind == "span":
            losses = span_losses(logits, batch.lengths, batch.targets_M)
        else:
            losses = F.cross_entropy(_precise(logits), batch.targets_M, reduction="none")
        return losses.sum() * scale, losses.detach()

    def logits(self, batch: Batch) -> Tensor:
        """Logits: (S, C) of sequences, (M, C) of tokens at the target rows,
        (N, 2) of spans.
        """
        x_ND = self.encoder(batch)
        if self.spec.kind == "sequence":
            x_ND = x_ND.index_select(0, batch.starts_S1[:-1])
        elif self.spec.kind == "token":
            x_ND = x_ND.index_select(0, batch.target_rows_M)
        out: Tensor = self.head(x_ND)
        return out


def span_losses(logits_N2: Tensor, lengths: Sequence[int], targets_S2: Tensor) -> Tensor:
    """Mean of the cross-entropies of start and end of each sequence, (S,)."""
    padded_ST2 = nn.utils.rnn.pad_sequence(
        list(_precise(logits_N2).split(list(lengths))), batch_first=True, padding_value=-torch.inf
    )
    # The rows of a sequence are the classes, which cross_entropy wants on the second axis.
    return F.cross_entropy(padded_ST2, targets_S2, reduction="none").mean(-1)


def _precise(logits: Tensor) -> Tensor:
    """At least fp32, also under autocast."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def initialise_task(model: TaskModel, encoder: Encoder, seed: int) -> None:
    """Take the weights of a pre-trained encoder; the head draws N(0, initializer_range), its biases are 0."""
    model.encoder.load_state_dict(encoder.state_dict())
    std, numbers = model.config.architecture.initializer_range, generator(seed, "task head")
    with torch.no_grad():
        for name, parameter in model.head.named_parameters():
            parameter.zero_() if name.endswith("bias") else parameter.normal_(0.0, std, generator=numbers)
