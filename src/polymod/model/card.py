"""The files of an exported directory that are not the model: tokenizer settings and the model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from polymod.languages import name
from polymod.model.card_examples import example
from polymod.model.config import ModelConfig
from polymod.model.flops import parameters
from polymod.model.hf_names import module_names
from polymod.model.tasks import TaskSpec

_SPECIAL = {
    "bos_token": "<s>",
    "cls_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
}
_PIPELINES = {
    "masked": "fill-mask",
    "sequence": "text-classification",
    "token": "token-classification",
    "span": "question-answering",
}
_WHAT = {
    "masked": "A masked language model",
    "sequence": "A classifier of texts or pairs of texts",
    "token": "A classifier of words",
    "span": "A model that finds the answer to a question in a text",
}


def write_tokenizer(tokenizer_json: bytes, longest: int, folder: Path) -> None:
    """``tokenizer.json`` and the settings with which ``AutoTokenizer`` loads it.

    Args:
        longest: tokens of a sequence at most.
    """
    (folder / "tokenizer.json").write_bytes(tokenizer_json)
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": longest,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        **_SPECIAL,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n")


def write_card(
    config: ModelConfig,
    folder: Path,
    *,
    spec: TaskSpec | None = None,
    onnx: bool = False,
    facts: Mapping[str, Any],
    scores: Mapping[str, Mapping[str, float]] | None = None,
) -> None:
    """``README.md``: what the model is, how to load it, which index is which language. No corpus text.

    Args:
        spec: of a fine-tuned model.
        facts: what else to say, a table of two columns.
        scores: metrics by language.
    """
    kind = "masked" if spec is None else spec.kind
    data = ModelCardData(
        language=[tag.split("-")[0] for tag in dict.fromkeys(config.languages)],
        library_name="onnx" if onnx else "transformers",
        pipeline_tag=_PIPELINES[kind],
        tags=["polymod", "modular", config.arm, *(["onnx"] if onnx else []), *([spec.task] if spec else [])],
    )
    counts = parameters(config)
    encoder = counts["total"] - counts["head"]
    title = f"{spec.task}: a fine-tuned" if spec else "A"
    modules = f", of which {counts['pack']:,} per language module" if config.packs else ""
    parts = [
        f"# {title} {config.arm} multilingual encoder",
        f"{_WHAT[kind]} over {_languages(config)}, written by polymod. The encoder has {encoder:,} "
        f"parameters{modules}.",
        f"```python\n{example(config, spec, onnx=onnx)}\n```",
        _language_table(config),
        *([_label_table(spec)] if spec and spec.labels else []),
        *(["## Scores", _score_table(scores)] if scores else []),
        "## Facts",
        _table(["what", "value"], list(facts.items())),
    ]
    body = "\n\n".join(parts)
    ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}\n").save(folder / "README.md")


def _languages(config: ModelConfig) -> str:
    count = len(config.languages)
    return f"{count} languages" if count > 1 else f"one language, {config.languages[0]}"


def _language_table(config: ModelConfig) -> str:
    names = module_names(config)
    tags = config.packs if len(names) == len(config.packs) else config.languages
    rows = [
        (i, f"`{key}`", tag, name(tag) or "") for i, (key, tag) in enumerate(zip(names, tags, strict=True))
    ]
    return _table(["lang_id", "name", "tag", "language"], rows)


def _label_table(spec: TaskSpec) -> str:
    return _table(["class", "label"], [(i, f"`{label}`") for i, label in enumerate(spec.labels)])


def _score_table(scores: Mapping[str, Mapping[str, float]]) -> str:
    metrics = list(dict.fromkeys(metric for row in scores.values() for metric in row))
    rows = [(tag, *(f"{row[m]:.4f}" if m in row else "" for m in metrics)) for tag, row in scores.items()]
    return _table(["language", *metrics], rows)


def _table(heads: list[str], rows: list[Any]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(value: object) -> str:
    return ", ".join(map(str, value)) or "nothing" if isinstance(value, list | tuple) else str(value)
