"""The updates by name: every way to make a step, behind one signature ``(state, batch) -> StepMetrics``."""

from __future__ import annotations

from collections.abc import Callable

import torch

from polymod.batch import GlobalBatch
from polymod.model.heads import MaskedLM
from polymod.train.aggregate import aggregated
from polymod.train.balance import balance
from polymod.train.config import TreatmentOptions, UpdateName
from polymod.train.episodes import Episodes
from polymod.train.gradvac import vaccine
from polymod.train.joint import joint
from polymod.train.loop import Update
from polymod.train.meta import meta
from polymod.train.meta_fast import meta_fast
from polymod.train.pretraining import Pretraining
from polymod.train.surgery import surgery

Builder = Callable[[Pretraining, MaskedLM, TreatmentOptions, torch.dtype], Update[GlobalBatch]]

UPDATES: dict[str, Builder] = {
    "joint": lambda job, model, _, dtype: joint(job.train, next(model.parameters()).device, dtype),
    "pcgrad": lambda job, model, treatment, dtype: surgery(model, job.train, treatment, dtype),
    "gradvac": lambda job, model, treatment, dtype: vaccine(model, job.train, treatment, dtype),
    "balance": lambda job, model, treatment, dtype: balance(model, job.train, treatment, dtype),
    "meta": lambda job, model, treatment, dtype: meta(
        model, job.train, treatment, dtype, episodes(job, treatment)
    ),
    "meta-fast": lambda job, model, treatment, dtype: meta_fast(
        model, job.train, treatment, dtype, job.loader.at
    ),
}


def episodes(job: Pretraining, treatment: TreatmentOptions) -> Episodes:
    """The data of meta steps."""
    shards, plan = job.shards, job.plan
    size = treatment.episode_tokens or plan.batch_tokens // len(shards.tags)
    bos_id = shards.vocabulary.bos_id
    return Episodes(shards, shards.tags, job.masking, plan, bos_id=bos_id, num_tokens=size)


def build(
    name: UpdateName, job: Pretraining, model: MaskedLM, treatment: TreatmentOptions, dtype: torch.dtype
) -> Update[GlobalBatch]:
    """The update of that name; ``jd:`` and a name is one of torchjd's aggregators.

    Raises:
        UserError: the model, the data or what is installed do not fit it.
    """
    kind, _, aggregator = name.partition(":")
    if kind == "jd":
        return aggregated(aggregator, model, job.train, treatment, dtype)
    return UPDATES[name](job, model, treatment, dtype)
