"""The files of an exported directory that are not the model: tokenizer settings and the model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from polymod.languages import name
from polymod.model.config import ModelConfig
from polymod.model.flops import parameters
from polymod.model.hf_names import hub_name

_SPECIAL = {
    "bos_token": "<s>",
    "cls_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
}


def write_tokenizer(tokenizer_json: bytes, config: ModelConfig, folder: Path) -> None:
    """``tokenizer.json`` and the settings with which ``AutoTokenizer`` loads it."""
    (folder / "tokenizer.json").write_bytes(tokenizer_json)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": config.architecture.max_length,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        **_SPECIAL,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n")


def write_card(config: ModelConfig, folder: Path, *, facts: Mapping[str, Any]) -> None:
    """``README.md``: what the model is, how to load it, which index is which language. No corpus text."""
    data = ModelCardData(
        language=[tag.split("-")[0] for tag in dict.fromkeys(config.languages)],
        library_name="transformers",
        pipeline_tag="fill-mask",
        tags=["polymod", "modular", config.arm],
    )
    ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_text(config, facts)}").save(folder / "README.md")


def _text(config: ModelConfig, facts: Mapping[str, Any]) -> str:
    counts = parameters(config)
    rows = [
        f"| {i} | `{_key(config, tag)}` | {tag} | {name(tag) or ''} |" for i, tag in enumerate(_keys(config))
    ]
    table = "\n".join(["| lang_id | name | tag | language |", "|---|---|---|---|", *rows])
    numbers = "\n".join(f"| {key} | {value} |" for key, value in facts.items())
    return f"""# A {config.arm} multilingual encoder

A masked language model over {len(config.languages)} languages, written by polymod.
{counts["total"]:,} parameters, of which {counts["pack"] if config.packs else 0:,} per language module.

```python
{_example(config)}
```

{table}

## Facts

| what | value |
|---|---|
{numbers}
"""


def _keys(config: ModelConfig) -> tuple[str, ...]:
    return config.packs if config.is_xmod and config.packs else config.languages


def _key(config: ModelConfig, tag: str) -> str:
    return hub_name(config, tag) if config.is_xmod and config.packs else tag


def _example(config: ModelConfig) -> str:
    lines = [] if config.is_xmod else ["import polymod  # registers the architecture"]
    lines += ["from transformers import AutoModelForMaskedLM, AutoTokenizer", ""]
    lines += [
        "tokenizer = AutoTokenizer.from_pretrained(folder)",
        "model = AutoModelForMaskedLM.from_pretrained(folder)",
    ]
    if not config.is_xmod or len(config.packs) > 1:
        lines.append(f'model.set_default_language("{_key(config, _keys(config)[0])}")')
    lines.append('logits = model(**tokenizer("a <mask> sentence", return_tensors="pt")).logits')
    return "\n".join(lines)
