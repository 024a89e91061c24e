"""Token and position embeddings, and the rows that languages have of their own.

N packed rows, D model width, V rows of a vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from polymod.batch import Batch
from polymod.model.config import ModelConfig, OwnVocabulary
from polymod.model.packs import KEY


class OwnRows(nn.Module):
    """Embedding rows and output biases of one language's own pieces."""

    def __init__(self, rows: int, hidden_size: int) -> None:
        super().__init__()
        self.tokens_VD = nn.Parameter(torch.empty(rows, hidden_size))
        self.bias_V = nn.Parameter(torch.zeros(rows))


class OwnVocabularies(nn.Module):
    """The rows of languages that have some of their own, by tag."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.shared_rows: dict[str, int] = {}
        self.by_key = nn.ModuleDict()

    def add(self, tag: str, vocabulary: OwnVocabulary) -> OwnRows:
        """Install a language's rows, which are still to be set."""
        rows = OwnRows(vocabulary.own_rows, self.hidden_size)
        self.by_key[KEY + tag] = rows
        self.shared_rows[tag] = vocabulary.shared_rows
        return rows

    def drop(self, tag: str) -> None:
        """Uninstall a language's rows if it has any."""
        if self.shared_rows.pop(tag, None) is not None:
            del self.by_key[KEY + tag]

    def __contains__(self, tag: str | None) -> bool:
        return tag in self.shared_rows

    def __getitem__(self, tag: str) -> OwnRows:
        rows = self.by_key[KEY + tag]
        assert isinstance(rows, OwnRows)
        return rows


class Embeddings(nn.Module):
    """Token embeddings, learned positions where the architecture has them, then norm and dropout."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        a = config.architecture
        self.first_position = config.pad_id + 1  # as in RoBERTa: position rows up to the pad id are unused
        self.tokens = nn.Embedding(config.vocab_size, a.hidden_size)
        if a.positions == "learned":
            self.positions = nn.Embedding(a.max_length + self.first_position, a.hidden_size)
        self.learned = a.positions == "learned"
        self.norm = nn.LayerNorm(a.hidden_size, eps=a.norm_eps)
        self.dropout = nn.Dropout(a.dropout)
        self.own = OwnVocabularies(a.hidden_size)
        for tag, vocabulary in config.own_vocabularies.items():
            self.own.add(tag, vocabulary)

    def sum(self, batch: Batch) -> Tensor:
        """Token plus position embeddings, (N, D), before norm and dropout."""
        x_ND = self._tokens(batch)
        return x_ND + self.positions(batch.positions_N + self.first_position) if self.learned else x_ND

    def by_vocabulary(
        self, tags: Sequence[str | None], counts: Sequence[int]
    ) -> list[tuple[str | None, int]]:
        """Neighbouring spans with one vocabulary, merged: its language (``None``: the trunk's), its rows."""
        own = [tag if tag in self.own else None for tag in tags]
        groups = groupby(zip(own, counts, strict=True), key=lambda pair: pair[0])
        return [(tag, sum(count for _, count in group)) for tag, group in groups] or [(None, 0)]

    def output(self, tag: str | None, bias_V: Tensor) -> tuple[Tensor, Tensor]:
        """Output matrix (V, D), tied to the embeddings, and biases (V,) of a language's vocabulary.

        Args:
            bias_V: the trunk's.
        """
        if tag is None or tag not in self.own:
            return self.tokens.weight, bias_V
        rows, shared = self.own[tag], self.own.shared_rows[tag]
        if not shared:
            return rows.tokens_VD, rows.bias_V
        return torch.cat([self.tokens.weight, rows.tokens_VD]), torch.cat([bias_V, rows.bias_V])

    def _tokens(self, batch: Batch) -> Tensor:
        sizes = [stop - start for _, start, stop in batch.route.spans]
        groups = self.by_vocabulary(batch.route.tags, sizes)
        parts = zip(groups, batch.ids_N.split([size for _, size in groups]), strict=True)
        outs = [self._look_up(tag, ids_N) for (tag, _), ids_N in parts]
        return outs[0] if len(outs) == 1 else torch.cat(outs)

    def _look_up(self, tag: str | None, ids_N: Tensor) -> Tensor:
        if tag is None:
            out: Tensor = self.tokens(ids_N)
            return out
        rows, shared = self.own[tag], self.own.shared_rows[tag]
        if not shared:
            return F.embedding(ids_N, rows.tokens_VD)
        own_ND = F.embedding((ids_N - shared).clamp(min=0), rows.tokens_VD)
        return torch.where((ids_N < shared)[:, None], self.tokens(ids_N.clamp(max=shared - 1)), own_ND)
