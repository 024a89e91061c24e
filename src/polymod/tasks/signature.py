"""What a score was measured on and how: a document, and one line of it, as sacrebleu has them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from polymod.tasks.task import Example, Task

SHORT = 12  # hex digits of a hash in the line


def data_hash(examples: Sequence[Example]) -> str:
    """SHA-256 of the examples as they were read; where and how their file lay does not matter."""
    digest = hashlib.sha256()
    for example in examples:
        fields = {name: value for name, value in asdict(example).items() if name != "where"}
        digest.update(json.dumps(fields, ensure_ascii=True, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def signature(
    task: Task,
    examples: Sequence[Example],
    *,
    split: str,
    seed: int,
    tokenizer: str,
    protocol: Mapping[str, Any],
) -> dict[str, Any]:
    """The document.

    Args:
        seed: of the fine-tuning.
        tokenizer: SHA-256 of the tokenizer's file.
        protocol: whatever else decides the score: module, source, longest sequence.
    """
    return {
        "task": task.name,
        "metric": task.main_metric,
        "metric_version": task.metric_version,
        "split": split,
        "examples": len(examples),
        "data": data_hash(examples),
        "tokenizer": tokenizer,
        "seed": seed,
        "protocol": dict(protocol),
        "polymod": version("polymod"),
    }


def line(document: Mapping[str, Any]) -> str:
    """The document in one line: ``task:nli|metric:accuracy|...``; hashes are cut."""
    fields = {**document, **document["protocol"]}
    del fields["protocol"]
    short = {name: str(fields[name])[:SHORT] for name in ("data", "tokenizer")}
    return "|".join(f"{name}:{_plain(value)}" for name, value in {**fields, **short}.items())


def _plain(value: Any) -> str:
    """A value without the signs that divide the line."""
    text = "+".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text.replace("|", "/").replace("\n", " ")
