"""Masked-LM loss of a model on a held-out split, per language, with masks that never change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from polymod.batch import Batch
from polymod.data.loader import BatchPlan, Tokens, valid_batches
from polymod.data.masking import Masking
from polymod.metrics import LossSum, perplexity
from polymod.model.heads import MaskedLM
from polymod.train.joint import note_losses
from polymod.train.sharding import without_gradients


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Without dropout and without gradients."""
    training = model.training
    model.eval()
    try:
        with without_gradients(model):
            yield
    finally:
        model.train(training)


def score(model: MaskedLM, batches: Iterable[Batch]) -> dict[str, LossSum]:
    """Summed loss per language over batches, on the model's device in fp32."""
    device = next(model.parameters()).device
    by_language: dict[str, LossSum] = {}
    with evaluating(model):
        for batch in batches:
            on_device = batch.to(device)
            _, losses_M = model(on_device)
            note_losses(by_language, on_device, losses_M)
    return by_language


def score_valid(
    model: MaskedLM,
    tokens: Tokens,
    tags: Iterable[str],
    masking: Masking,
    plan: BatchPlan,
    *,
    limit: int,
    via: Mapping[str, str | None] | None = None,
) -> dict[str, LossSum]:
    """Summed loss per language on the first ``limit`` tokens of each valid split.

    Args:
        via: controls: the same text through other languages' packs, or through none.
    """

    def bos_of(tag: str) -> int:
        return model.config.vocabulary_of(tag).bos_id

    batches = (
        batch.via(via or {})
        for tag in tags
        for batch in valid_batches(tokens, tag, masking, plan, bos_id=bos_of(tag), limit=limit)
    )
    return score(model, batches)


def table(losses: Mapping[str, LossSum], unigram_entropy: Mapping[str, float]) -> dict[str, Any]:
    """The document of ``polymod score``: loss in nats beside the entropy of the unigram distribution."""
    languages = {
        tag: {
            "loss": losses[tag].mean,
            "perplexity": perplexity(losses[tag].mean),
            "tokens": losses[tag].count,
            "unigram_entropy": unigram_entropy[tag],
        }
        for tag in sorted(losses)
    }
    mean = sum(entry["loss"] for entry in languages.values()) / len(languages)
    entropy = sum(entry["unigram_entropy"] for entry in languages.values()) / len(languages)
    return {"languages": languages, "mean_loss": mean, "mean_unigram_entropy": entropy}
