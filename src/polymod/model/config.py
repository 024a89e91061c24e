"""What a model is made of: architecture, presets, arm, languages. No torch here, so that ``--help`` stays
fast.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from polymod.config import Config, Tree
from polymod.languages import canonical_all

SHARED = (
    "mul"  # tag of the one pack of the shared arm: ISO 639's "multiple languages", which names no language
)
ROWS_PER_CHUNK = 4096  # of logits at a time; see docs/design/001-model.md

Arm = Literal["modular", "shared", "dense"]


class Architecture(Config):
    """Sizes and layer order. The fields' names and meanings follow X-MOD (arXiv 2205.06266, section 3)."""

    hidden_size: int = Field(768, gt=0, description="width d of the residual stream")
    num_layers: int = Field(12, gt=0, description="transformer layers")
    num_heads: int = Field(12, gt=0, description="attention heads")
    ffn_size: int = Field(3072, gt=0, description="width of the feed-forward layer")
    bottleneck_size: int = Field(384, gt=0, description="width of a language module's bottleneck")
    max_length: int = Field(512, gt=1, description="longest sequence in tokens")
    positions: Literal["learned", "rotary"] = Field("learned", description="how tokens know their place")
    pre_norm: bool = Field(False, description="norm before each sub-layer (X-MOD large) instead of after it")
    gated: bool = Field(False, description="gated (GEGLU) instead of plain feed-forward layer")
    module_place: Literal["layer", "sublayers"] = Field(
        "layer",
        description="one module behind each layer's sub-layers (X-MOD), or one inside each of the two",
    )
    module_norm: Literal["reuse", "own", "none"] = Field(
        "reuse", description="norm before a module: the feed-forward layer's own one, a new one, or none"
    )
    norm_before_residual: bool = Field(True, description="whether a module's residual is the normed tensor")
    norm_eps: float = Field(1e-5, gt=0, description="epsilon of the layer norms")
    activation: Literal["gelu", "relu"] = Field("gelu", description="of feed-forward layers and modules")
    dropout: float = Field(0.1, ge=0, lt=1, description="of embeddings, sub-layer and module outputs")
    attention_dropout: float = Field(0.1, ge=0, lt=1, description="of attention weights")
    initializer_range: float = Field(0.02, gt=0, description="standard deviation of the initial weights")

    @property
    def modules_per_layer(self) -> int:
        """Modules of one language in each layer."""
        return 2 if self.module_place == "sublayers" else 1

    @model_validator(mode="after")
    def _unnormed(self) -> Self:
        if self.module_place == "sublayers" and self.module_norm != "none":
            raise ValueError(
                f"modules inside the sub-layers have no norm: set module_norm none, not {self.module_norm}"
            )
        return self

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}"
            )
        if self.positions == "rotary" and (self.hidden_size // self.num_heads) % 2:
            raise ValueError("rotary positions need an even head size")
        return self


class OwnVocabulary(Config):
    """Rows of one language's vocabulary: the first ``shared_rows`` are the trunk's, the rest its own.

    0 shared rows: a vocabulary of its own. As many as the trunk has: the trunk's vocabulary, enlarged.
    """

    size: int = Field(gt=4, description="rows, shared ones included")
    shared_rows: int = Field(0, ge=0, description="rows of the trunk's embedding that it begins with")
    bos_id: int = Field(0, ge=0)
    pad_id: int = Field(1, ge=0)
    eos_id: int = Field(2, ge=0)
    mask_id: int = Field(ge=0)

    @property
    def own_rows(self) -> int:
        """Rows that belong to the language."""
        return self.size - self.shared_rows


class ModelConfig(Config):
    """Everything needed to build a model; stored with every checkpoint."""

    architecture: Architecture = Architecture()
    arm: Arm = "modular"
    language_embedding: bool = False
    languages: tuple[str, ...] = Field(min_length=1)
    vocab_size: int = Field(gt=4)
    bos_id: int = Field(0, ge=0)
    pad_id: int = Field(1, ge=0)
    eos_id: int = Field(2, ge=0)
    mask_id: int = Field(ge=0)
    hub_names: dict[str, str] = Field({})  # tag -> module name in the directory of the import
    own_vocabularies: dict[str, OwnVocabulary] = Field({})  # of languages that have rows of their own

    @field_validator("languages")
    @classmethod
    def _canonical(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        return canonical_all(languages)

    @model_validator(mode="after")
    def _ids(self) -> Self:
        largest = max(self.bos_id, self.pad_id, self.eos_id, self.mask_id)
        if largest >= self.vocab_size:
            raise ValueError(f"special token id {largest} lies outside the {self.vocab_size} embedding rows")
        for tag, own in self.own_vocabularies.items():
            if tag not in self.languages:
                raise ValueError(f"a vocabulary of {tag!r}, which is no language of the model")
            if own.shared_rows not in (0, self.vocab_size) or own.size <= own.shared_rows:
                raise ValueError(f"the vocabulary of {tag!r} does not fit the trunk's {self.vocab_size} rows")
            if max(own.bos_id, own.pad_id, own.eos_id, own.mask_id) >= own.size:
                raise ValueError(f"a special token id of {tag!r} lies outside its {own.size} rows")
        return self

    def vocabulary_of(self, tag: str) -> OwnVocabulary:
        """Rows and special ids of a language; of one without own rows all are shared."""
        ids = {"bos_id": self.bos_id, "pad_id": self.pad_id, "eos_id": self.eos_id, "mask_id": self.mask_id}
        trunk = OwnVocabulary(size=self.vocab_size, shared_rows=self.vocab_size, **ids)
        return self.own_vocabularies.get(tag, trunk)

    @property
    def packs(self) -> tuple[str, ...]:
        """Tags that have a pack: every language, the one shared pack, or none."""
        return {"modular": self.languages, "shared": (SHARED,), "dense": ()}[self.arm]

    @property
    def is_xmod(self) -> bool:
        """Whether plain ``transformers`` has this model (X-MOD, or XLM-R for a post-norm dense one)."""
        a = self.architecture
        plain = a.positions == "learned" and not a.gated and not self.language_embedding
        plain = plain and (self.arm == "dense" or a.module_place == "layer")
        return plain and not (self.arm == "dense" and a.pre_norm)


def _xmod(d: int, layers: int, heads: int, **other: object) -> Tree:
    sizes = {"hidden_size": d, "num_layers": layers, "num_heads": heads, "ffn_size": 4 * d}
    return {"model": {**sizes, "bottleneck_size": d // 2, **other}}


def _modern(d: int, layers: int, heads: int) -> Tree:
    # Rotary, pre-norm, gated; two thirds of the width keep the feed-forward FLOPs of the ungated layer.
    ffn = 8 * d // 3 // 16 * 16
    order = {"positions": "rotary", "pre_norm": True, "gated": True, "module_norm": "own"}
    rest = {"norm_before_residual": False, "dropout": 0.0, "attention_dropout": 0.0}
    return _xmod(d, layers, heads, **{"ffn_size": ffn, **order, **rest})


_LARGE = {"pre_norm": True, "module_norm": "own", "norm_before_residual": False}
PRESETS: dict[str, Tree] = {
    "tiny": _xmod(128, 4, 2, max_length=128),
    "small": _xmod(384, 6, 6, max_length=256),
    "base": _xmod(768, 12, 12),
    "large": _xmod(1024, 24, 16, **{**_LARGE, "bottleneck_size": 256}),
    "modern-tiny": _modern(128, 4, 2),
    "modern-small": _modern(384, 6, 6),
    "modern-base": _modern(768, 12, 12),
}
