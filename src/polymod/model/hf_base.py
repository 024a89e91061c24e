"""What polymod's classes for ``transformers`` share: the encoder over padded input, languages, first weights.

S sequences, T tokens of the longest, N real tokens, D model width, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, initialization

from polymod.batch import Batch
from polymod.languages import resolve
from polymod.model.attention import Rotary, rotary_table
from polymod.model.config import ModelConfig
from polymod.model.encoder import Encoder
from polymod.model.hf_config import PolymodConfig

_UNUSED = (
    "token_type_ids",
    "use_cache",
    "num_items_in_batch",
)  # what callers give and an encoder need not know


@dataclass(frozen=True)
class Encoded:
    """States of the real tokens, and where they stood in the padded input."""

    states: list[Tensor]  # of every layer, (N, D)
    first_rows_S: Tensor  # row of each sequence's first token, in the order of the input
    places_N: Tensor  # place of every row in the flattened (S, T)
    shape: torch.Size

    @property
    def last_ND(self) -> Tensor:
        """States after the last layer."""
        return self.states[-1]

    def unpack(self, rows_NC: Tensor, padding: float = 0.0) -> Tensor:
        """Rows at their places, (S, T, C)."""
        flat = rows_NC.new_full((self.shape.numel(), rows_NC.shape[-1]), padding)
        return flat.index_copy(0, self.places_N, rows_NC).view(*self.shape, -1)


class PolymodPreTrainedModel(PreTrainedModel):
    """What all classes share: the encoder, and routing of padded input."""

    config_class = PolymodConfig
    base_model_prefix = "encoder"
    _supports_sdpa = True

    def __init__(self, config: PolymodConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(ModelConfig.model_validate(config.polymod))

    def _init_weights(self, module: nn.Module) -> None:
        """Called for what a file does not hold: the rotary table is not a weight, a new head has none yet."""
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if isinstance(module, Rotary):
            initialization.copy_(module.table, rotary_table(*module.sizes))
        elif not isinstance(module, nn.Linear | nn.Embedding | nn.LayerNorm):
            for name, parameter in module.named_parameters(recurse=False):
                if "bias" in name:
                    initialization.zeros_(parameter)
                else:
                    initialization.normal_(parameter, 0.0, self.config.initializer_range)

    def get_input_embeddings(self) -> nn.Module:
        """The token embedding, which is the masked-LM output matrix too."""
        return self.encoder.embeddings.tokens

    def set_default_language(self, language: str) -> None:
        """Language of inputs that come without ``lang_ids``; any alias of an installed language."""
        self.config.default_language = resolve(language, self.config.languages)

    def encode(
        self, ids_ST: Tensor, mask_ST: Tensor | None, lang_ids_S: Tensor | None, other: Mapping[str, Any]
    ) -> Encoded:
        """States of the real tokens, packed by language and length; padding may stand anywhere.

        Raises:
            ValueError: an input that these models do not take, a sequence without tokens, no language.
        """
        given = (key for key, value in other.items() if value is not None and value is not False)
        if wrong := [key for key in given if key not in _UNUSED]:
            raise ValueError(f"these models take no {', '.join(wrong)}")
        mask_ST = (ids_ST != self.config.pad_token_id if mask_ST is None else mask_ST.bool()).cpu()
        lengths, tags = mask_ST.sum(1).tolist(), self._tags(len(ids_ST), lang_ids_S)
        if not all(lengths):
            raise ValueError("a sequence has no tokens; each needs one at least")
        order = sorted(range(len(tags)), key=lambda row: (tags[row], lengths[row]))
        ids_on_host, device = ids_ST.cpu(), ids_ST.device
        sequences = [ids_on_host[row][mask_ST[row]] for row in order]
        batch = Batch.pack(sequences, [tags[row] for row in order])
        places_ST = torch.arange(ids_ST.numel()).view(ids_ST.shape)
        places_N = torch.cat([places_ST[row][mask_ST[row]] for row in order]).to(device)
        first_rows_S = batch.starts_S1[:-1].long()[torch.tensor(order).argsort()].to(device)
        states = self.encoder.hidden_states(batch.to(device))
        return Encoded(states, first_rows_S, places_N, ids_ST.shape)

    def padded_states(self, encoded: Encoded, wanted: bool | None) -> tuple[Tensor, ...] | None:
        """Padded states of every layer if they are asked for, here or in the configuration."""
        wanted = self.config.output_hidden_states if wanted is None else wanted
        return tuple(map(encoded.unpack, encoded.states)) if wanted else None

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
