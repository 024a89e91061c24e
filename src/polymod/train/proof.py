"""Proof that adding a language changed nothing else: old tensors and old outputs, bit by bit.

N rows, D model width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from polymod.batch import Batch
from polymod.data.random import key
from polymod.errors import Failure
from polymod.model.heads import MaskedLM
from polymod.model.partition import TRUNK, owner
from polymod.train.score import evaluating

LENGTHS = (24, 7, 16)  # of the sequences of a fixed batch


def prove(before: MaskedLM, after: MaskedLM) -> dict[str, dict[str, bool]]:
    """``{tag: {"bit_equal": True}}`` for every language of ``before``, if that is so.

    Both are on one device. Compared are the trunk's tensors, those of the language, and hidden states and
    logits on a fixed batch of random tokens.

    Raises:
        Failure: something differs; the message says what.
    """
    found = {tag: differences(before, after, tag) for tag in before.config.languages}
    document: dict[str, Any] = {tag: {"bit_equal": not lines} for tag, lines in found.items()}
    if changed := {tag: lines for tag, lines in found.items() if lines}:
        tag, lines = next(iter(changed.items()))
        what = f"{len(changed)} of the old languages have changed; {tag}: {', '.join(lines[:3])}"
        raise Failure(what, fix="this is a fault in polymod", document={"old_languages": document})
    return document


def differences(before: MaskedLM, after: MaskedLM, tag: str) -> list[str]:
    """What of a language is not bit for bit the same: names of tensors, ``hidden states``, ``logits``."""
    if tag not in after.config.languages:
        return ["the language is gone"]
    tensors = (dict(model.named_parameters()) for model in (before, after))
    lines = changed_tensors(*tensors, owners=(TRUNK, tag))
    if lines or before.config.vocabulary_of(tag) != after.config.vocabulary_of(tag):
        return lines or ["vocabulary"]
    batch = fixed_batch(before, tag).to(next(before.parameters()).device)
    with evaluating(before), evaluating(after):
        for name in ("hidden states", "logits"):
            old, new = (_output(model, batch, name) for model in (before, after))
            if not bit_equal(old, new):
                lines.append(name)
    return lines


def changed_tensors(
    before: Mapping[str, Tensor], after: Mapping[str, Tensor], *, owners: Iterable[str | None]
) -> list[str]:
    """Names of tensors of these owners that are absent from ``after`` or differ in any bit."""
    wanted = set(owners)
    names = [name for name in before if owner(name) in wanted]
    return [name for name in names if name not in after or not bit_equal(before[name], after[name])]


def bit_equal(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors hold the same bits: 0.0 is not -0.0, and a NaN equals itself."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.equal(*(each.detach().contiguous().view(torch.uint8) for each in (a, b)))


def fixed_batch(model: MaskedLM, tag: str) -> Batch:
    """Random tokens of a language's vocabulary, the same every time."""
    generator = torch.Generator().manual_seed(int(key("proof", tag)) >> 1)
    size, longest = model.config.vocabulary_of(tag).size, model.config.architecture.max_length
    lengths = [min(length, longest) for length in LENGTHS]
    sequences = [torch.randint(0, size, (length,), generator=generator) for length in lengths]
    return Batch.pack(sequences, [tag] * len(lengths))


def _output(model: MaskedLM, batch: Batch, name: str) -> Tensor:
    return model.encoder(batch) if name == "hidden states" else model.logits(batch)
