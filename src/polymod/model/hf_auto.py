"""Models that ``transformers`` does not have (rotary, gated, language embeddings) behind its ``Auto``
classes.

``import polymod`` registers them, so that ``AutoModel.from_pretrained(directory)`` works. Inputs are those of
X-MOD: padded ``input_ids``, ``attention_mask`` and ``lang_ids``, the index of each sequence's language in
``config.languages``.

S sequences, T tokens of the longest, N real tokens, D model width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoModel, AutoModelForMaskedLM, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, MaskedLMOutput

from polymod.batch import Batch
from polymod.languages import resolve
from polymod.model.attention import Rotary, rotary_table
from polymod.model.config import ModelConfig
from polymod.model.encoder import Encoder
from polymod.model.heads import MaskedLM
from polymod.model.hf_config import PolymodConfig


class PolymodPreTrainedModel(PreTrainedModel):
    """What both classes share: routing of padded input."""

    config_class = PolymodConfig
    base_model_prefix = "encoder"
    _supports_sdpa = True

    def _init_weights(self, module: torch.nn.Module) -> None:
        """Called for what a file does not hold: the rotary table is not a weight."""
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if isinstance(module, Rotary):
            with torch.no_grad():
                module.table.copy_(rotary_table(*module.sizes))

    def set_default_language(self, language: str) -> None:
        """Language of inputs that come without ``lang_ids``; any alias of an installed language."""
        self.config.default_language = resolve(language, self.config.languages)

    def _pack(
        self, ids_ST: Tensor, mask_ST: Tensor | None, lang_ids_S: Tensor | None
    ) -> tuple[Batch, Tensor]:
        """Packed batch of the real tokens, sorted by language, and the place of every row in (S, T)."""
        mask_ST = ids_ST != self.config.pad_token_id if mask_ST is None else mask_ST.bool()
        tags = self._tags(len(ids_ST), lang_ids_S)
        order = sorted(range(len(tags)), key=lambda row: tags[row])
        sequences = [ids_ST[row][mask_ST[row]].cpu() for row in order]
        batch = Batch.pack(sequences, [tags[row] for row in order]).to(ids_ST.device)
        places_ST = torch.arange(ids_ST.numel(), device=ids_ST.device).view(ids_ST.shape)
        return batch, torch.cat([places_ST[row][mask_ST[row]] for row in order])

    def _tags(self, count: int, lang_ids_S: Tensor | None) -> list[str]:
        languages: list[str] = list(self.config.languages)
        if lang_ids_S is not None:
            indices = [int(index) for index in lang_ids_S.tolist()]
            if len(indices) != count or not all(0 <= index < len(languages) for index in indices):
                raise ValueError(f"lang_ids must be {count} indices into the languages {languages}")
            return [languages[index] for index in indices]
        if self.config.default_language is None:
            raise ValueError(f"give lang_ids or call set_default_language(); languages: {languages}")
        return [self.config.default_language] * count


def _unpack(rows_N: Tensor, places_N: Tensor, ids_ST: Tensor) -> Tensor:
    padded = rows_N.new_zeros(ids_ST.numel(), rows_N.shape[-1]).index_copy(0, places_N, rows_N)
    return padded.view(*ids_ST.shape, -1)


class PolymodModel(PolymodPreTrainedModel):
    """The encoder alone; padding positions come out as zeros."""

    _keys_to_ignore_on_load_unexpected = [r"^head\."]  # noqa: RUF012

    def __init__(self, config: PolymodConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(ModelConfig.model_validate(config.polymod))
        self.post_init()  # type: ignore[no-untyped-call]

    def get_input_embeddings(self) -> torch.nn.Module:
        """The token embedding."""
        return self.encoder.embeddings.tokens

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        lang_ids: Tensor | None = None,
        output_hidden_states: bool = False,
        **_: Any,
    ) -> BaseModelOutput:
        """Last hidden states, (S, T, D)."""
        batch, places_N = self._pack(input_ids, attention_mask, lang_ids)
        states = [_unpack(state, places_N, input_ids) for state in self.encoder.hidden_states(batch)]
        return BaseModelOutput(
            last_hidden_state=states[-1], hidden_states=tuple(states) if output_hidden_states else None
        )


class PolymodForMaskedLM(PolymodPreTrainedModel):
    """Encoder and masked-LM head."""

    def __init__(self, config: PolymodConfig) -> None:
        super().__init__(config)
        model = MaskedLM(ModelConfig.model_validate(config.polymod))
        self.encoder, self.head = model.encoder, model.head
        self.post_init()  # type: ignore[no-untyped-call]

    def get_input_embeddings(self) -> torch.nn.Module:
        """The token embedding, which is the output matrix too."""
        return self.encoder.embeddings.tokens

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        lang_ids: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool = False,
        **_: Any,
    ) -> MaskedLMOutput:
        """Logits (S, T, V), and the mean loss where ``labels`` are not -100."""
        batch, places_N = self._pack(input_ids, attention_mask, lang_ids)
        states = self.encoder.hidden_states(batch)
        logits_NV = F.linear(self.head(states[-1]), self.encoder.embeddings.tokens.weight, self.head.bias)
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits_NV.float(), labels.reshape(-1)[places_N])
        hidden = (
            tuple(_unpack(state, places_N, input_ids) for state in states) if output_hidden_states else None
        )
        return MaskedLMOutput(loss=loss, logits=_unpack(logits_NV, places_N, input_ids), hidden_states=hidden)


AutoModel.register(PolymodConfig, PolymodModel, exist_ok=True)
AutoModelForMaskedLM.register(PolymodConfig, PolymodForMaskedLM, exist_ok=True)
