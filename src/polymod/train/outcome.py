"""What came of adding languages: losses beside their controls, the proof for the old ones, what it took."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from polymod.model.heads import MaskedLM
from polymod.model.partition import partition
from polymod.text.tokenizer import load_tokenizer
from polymod.train.addition import Addition
from polymod.train.checkpoint import load_model, newest
from polymod.train.extend import Extension
from polymod.train.lineage import origins, write_origins
from polymod.train.log import read_metrics
from polymod.train.proof import prove
from polymod.train.run import TOKENIZER

SCORED_TOKENS = 2**17  # of each language's valid split, as ``polymod score`` has it


def outcome(
    addition: Addition, extension: Extension, survey: Mapping[str, Any], device: torch.device
) -> dict[str, Any]:
    """The document of a finished run; reads the checkpoints of both runs again.

    Raises:
        Failure: an old language is not what it was.
    """
    options = addition.options
    before = load_model(addition.parent)
    saved, _ = newest(options.out)
    assert saved is not None
    after = load_model(saved)
    old_languages = prove(before, after)
    began = extension.install(before, load_tokenizer(options.out / TOKENIZER), options.embedding_init)
    before, after = before.to(device), after.to(device)
    seconds = _seconds(options.out, extension)
    languages = {}
    for new in extension.languages:
        tag = new.tag
        control = addition.parent.config.arm == "modular"
        start, end = (extension.score(model, tag, limit=SCORED_TOKENS) for model in (before, after))
        without = extension.score(after, tag, limit=SCORED_TOKENS, module=False) if control else None
        tokens, info = new.shards.num_tokens(tag, "train"), new.shards.info(tag)
        languages[tag] = {
            **survey[tag],
            "init_from": list(new.init_from),
            "vocabulary": _vocabulary(after, tag, options.vocab, began),
            "parameters": _count(after, tag),
            "start": start.mean,
            "loss": end.mean,
            "no_module": without.mean if without else None,
            "unigram_entropy": info["unigram_entropy"],
            "predicted": end.count,
            "tokens": round(extension.epochs(tag) * tokens),
            "text_tokens": tokens,
            "epochs": extension.epochs(tag),
            "seconds": seconds[tag],
        }
    return {"languages": languages, "old_languages": old_languages}


def remember(addition: Addition, document: Mapping[str, Any]) -> None:
    """Write down where the new languages come from, beside what the parent run knows of its own."""
    options = addition.options
    new = {
        tag: {
            "from": "extended",
            "run": str(options.run),
            "vocab": options.vocab,
            **{key: entry[key] for key in ("init_from", "tokens", "start", "loss", "unigram_entropy")},
        }
        for tag, entry in document["languages"].items()
    }
    write_origins(options.out, origins(options.run) | new)


def _vocabulary(model: MaskedLM, tag: str, mode: str, began: Mapping[str, Any]) -> dict[str, Any]:
    vocabulary = model.config.vocabulary_of(tag)
    own = vocabulary.own_rows
    return {"mode": mode, "size": vocabulary.size, "own_rows": own, "began": began.get(tag, {})}


def _count(model: MaskedLM, tag: str) -> int:
    """Parameters that a language owns."""
    names = partition(name for name, _ in model.named_parameters()).get(tag, [])
    return sum(model.get_parameter(name).numel() for name in names)


def _seconds(run: Path, extension: Extension) -> dict[str, float]:
    """Training time of each language, over all starts of the run; a line of several steps is divided."""
    seconds = dict.fromkeys(extension.tags, 0.0)
    for line in (line for line in read_metrics(run) if line["kind"] == "train"):
        steps = max(1, line["tokens"] // extension.tokens_per_step)
        for step in range(line["step"] - steps, line["step"]):
            seconds[extension.tag_at(step)] += line["tokens"] / line["tokens_per_second"] / steps
    return seconds
