"""``config.json`` of a model that only polymod has, as a ``transformers`` configuration. No torch here."""

from __future__ import annotations

from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from polymod.model.config import ModelConfig


class PolymodConfig(PreTrainedConfig):
    """The whole model configuration under ``polymod``, and the fields that other libraries look for."""

    model_type = "polymod"
    polymod: dict[str, Any] | None = None
    languages: list[str] | None = None
    default_language: str | None = None
    vocab_size: int = 0
    hidden_size: int = 0
    num_hidden_layers: int = 0
    num_attention_heads: int = 0
    max_position_embeddings: int = 0
    initializer_range: float = 0.02

    @classmethod
    def of(cls, config: ModelConfig, **fields: Any) -> PolymodConfig:
        """The configuration of a model."""
        a = config.architecture
        document = cls(
            polymod=config.model_dump(mode="json"),
            languages=list(config.languages),
            default_language=config.languages[0] if len(config.languages) == 1 else None,
            vocab_size=config.vocab_size,
            hidden_size=a.hidden_size,
            num_hidden_layers=a.num_layers,
            num_attention_heads=a.num_heads,
            max_position_embeddings=a.max_length,
            initializer_range=a.initializer_range,
            **fields,
        )
        document.bos_token_id, document.eos_token_id = config.bos_id, config.eos_id
        document.pad_token_id = config.pad_id
        return document


AutoConfig.register("polymod", PolymodConfig, exist_ok=True)
