"""Models that ``transformers`` does not have (rotary, gated, language embeddings) behind its ``Auto``
classes.

``import polymod`` registers them, so that ``AutoModel.from_pretrained(directory)`` works. Inputs are those of
X-MOD: padded ``input_ids``, ``attention_mask`` and ``lang_ids``, the index of each sequence's language in
``config.languages``.

S sequences, T tokens of the longest, D model width, V vocabulary, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
import transformers
from torch import Tensor
from transformers.modeling_outputs import (
    BaseModelOutput,
    MaskedLMOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from transformers.utils.generic import can_return_tuple

from polymod.model.heads import MaskedLMHead
from polymod.model.hf_base import PolymodPreTrainedModel
from polymod.model.hf_config import PolymodConfig
from polymod.model.tasks import LinearHead, SequenceHead


class PolymodModel(PolymodPreTrainedModel):
    """The encoder alone; padding positions come out as zeros."""

    _keys_to_ignore_on_load_unexpected = [r"^(head|classifier|qa_outputs)\."]  # noqa: RUF012

    def __init__(self, config: PolymodConfig) -> None:
        super().__init__(config)
        self.post_init()  # type: ignore[no-untyped-call]

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        lang_ids: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **other: Any,
    ) -> BaseModelOutput:
        """Last hidden states, (S, T, D)."""
        encoded = self.encode(input_ids, attention_mask, lang_ids, other)
        return BaseModelOutput(
            last_hidden_state=encoded.unpack(encoded.last_ND),
            hidden_states=self.padded_states(encoded, output_hidden_states),
        )


class PolymodForMaskedLM(PolymodPreTrainedModel):
    """Encoder and masked-LM head."""

    _keys_to_ignore_on_load_unexpected = [r"^(classifier|qa_outputs)\."]  # noqa: RUF012

    def __init__(self, config: PolymodConfig) -> None:
        super().__init__(config)
        self.head = MaskedLMHead(self.encoder.config)
        self.post_init()  # type: ignore[no-untyped-call]

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        lang_ids: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **other: Any,
    ) -> MaskedLMOutput:
        """Logits (S, T, V), and the mean loss where ``labels`` (S, T) are not -100."""
        encoded = self.encode(input_ids, attention_mask, lang_ids, other)
        tokens_VD = self.encoder.embeddings.tokens.weight
        logits_NV = F.linear(self.head(encoded.last_ND), tokens_VD, self.head.bias)
        return MaskedLMOutput(
            loss=None if labels is None else _loss(logits_NV, labels.flatten()[encoded.places_N], other),
            logits=encoded.unpack(logits_NV),
            hidden_states=self.padded_states(encoded, output_hidden_states),
        )


class PolymodForSequenceClassification(PolymodPreTrainedModel):
    """Encoder and a classifier of each sequence's first token."""

    _keys_to_ignore_on_load_unexpected = [r"^(head|qa_outputs)\."]  # noqa: RUF012

    def __init__(self, config: PolymodConfig) -> None:
        super().__init__(config)
        a = self.encoder.config.architecture
        self.classifier = SequenceHead(a.hidden_size, len(config.id2label or {}), a.dropout)
        self.post_init()  # type: ignore[no-untyped-call]

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        lang_ids: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **other: Any,
    ) -> SequenceClassifierOutput:
        """Logits (S, C), and the mean loss of ``labels`` (S,), which are classes."""
        encoded = self.encode(input_ids, attention_mask, lang_ids, other)
        logits_SC = self.classifier(encoded.last_ND[encoded.first_rows_S])
        return SequenceClassifierOutput(
            loss=None if labels is None else _loss(logits_SC, labels.flatten(), other),
            logits=logits_SC,
            hidden_states=self.padded_states(encoded, output_hidden_states),
        )


class PolymodForTokenClassification(PolymodPreTrainedModel):
    """Encoder and a classifier of every token."""

    _keys_to_ignore_on_load_unexpected = [r"^(head|qa_outputs)\."]  # noqa: RUF012

    def __init__(self, config: PolymodConfig) -> None:
        super().__init__(config)
        a = self.encoder.config.architecture
        self.classifier = LinearHead(a.hidden_size, len(config.id2label or {}), a.dropout)
        self.post_init()  # type: ignore[no-untyped-call]

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        lang_ids: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **other: Any,
    ) -> TokenClassifierOutput:
        """Logits (S, T, C), and the mean loss where ``labels`` (S, T) are not -100."""
        encoded = self.encode(input_ids, attention_mask, lang_ids, other)
        logits_NC = self.classifier(encoded.last_ND)
        return TokenClassifierOutput(
            loss=None if labels is None else _loss(logits_NC, labels.flatten()[encoded.places_N], other),
            logits=encoded.unpack(logits_NC),
            hidden_states=self.padded_states(encoded, output_hidden_states),
        )


class PolymodForQuestionAnswering(PolymodPreTrainedModel):
    """Encoder and a linear map to the logits of an answer's first and last token."""

    _keys_to_ignore_on_load_unexpected = [r"^(head|classifier)\."]  # noqa: RUF012

    def __init__(self, config: PolymodConfig) -> None:
        super().__init__(config)
        self.qa_outputs = LinearHead(self.encoder.config.architecture.hidden_size, 2, 0.0)
        self.post_init()  # type: ignore[no-untyped-call]

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        lang_ids: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **other: Any,
    ) -> QuestionAnsweringModelOutput:
        """Logits of start and end, (S, T) each, lowest at padding, and the mean loss of both positions."""
        encoded = self.encode(input_ids, attention_mask, lang_ids, other)
        logits_N2 = self.qa_outputs(encoded.last_ND)
        logits_ST2 = encoded.unpack(logits_N2, padding=torch.finfo(logits_N2.dtype).min)
        loss = None
        if start_positions is not None and end_positions is not None:
            targets_S2 = torch.stack([start_positions.flatten(), end_positions.flatten()], 1)
            outside = (targets_S2 < 0) | (targets_S2 >= input_ids.shape[1])  # answers that were cut off
            loss = F.cross_entropy(logits_ST2.float(), targets_S2.masked_fill(outside, -100))
        return QuestionAnsweringModelOutput(
            loss=loss,
            start_logits=logits_ST2[..., 0],
            end_logits=logits_ST2[..., 1],
            hidden_states=self.padded_states(encoded, output_hidden_states),
        )


def _loss(logits_MC: Tensor, labels_M: Tensor, other: Mapping[str, Any]) -> Tensor:
    """Cross-entropy of labels that are not -100: the mean, or the sum over a count that a Trainer gives."""
    if labels_M.is_floating_point():
        raise ValueError("labels must be classes (integers); these models do no regression")
    count = other.get("num_items_in_batch")
    loss = F.cross_entropy(logits_MC.float(), labels_M, reduction="mean" if count is None else "sum")
    return loss if count is None else loss / count


for _class in (
    PolymodForMaskedLM,
    PolymodForSequenceClassification,
    PolymodForTokenClassification,
    PolymodForQuestionAnswering,
):
    _auto = getattr(transformers, _class.__name__.replace("Polymod", "AutoModel"))
    _auto.register(PolymodConfig, _class, exist_ok=True)
transformers.AutoModel.register(PolymodConfig, PolymodModel, exist_ok=True)
