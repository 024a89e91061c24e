"""The updates by name: every way to make a step, behind one signature ``(state, batch) -> StepMetrics``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from polymod.batch import GlobalBatch
from polymod.errors import UserError
from polymod.model.compiled import compile_pieces
from polymod.model.heads import MaskedLM
from polymod.train.aggregate import aggregated
from polymod.train.balance import balance
from polymod.train.config import TrainOptions, TreatmentOptions, UpdateName
from polymod.train.episodes import Episodes
from polymod.train.gradvac import vaccine
from polymod.train.joint import joint
from polymod.train.loop import Update
from polymod.train.meta import meta
from polymod.train.meta_fast import meta_fast
from polymod.train.pretraining import Pretraining
from polymod.train.surgery import surgery


@dataclass(frozen=True)
class Plan:
    """What an update is made of.

    Attributes:
        batch_at: the batch of a step, as the loop gets it.
        episodes: the data of meta steps, given the tokens of a batch in one language.
    """

    model: MaskedLM
    options: TrainOptions
    treatment: TreatmentOptions
    dtype: torch.dtype
    batch_at: Callable[[int], GlobalBatch]
    episodes: Callable[[int], Episodes]

    @property
    def base(self) -> tuple[MaskedLM, TrainOptions, TreatmentOptions, torch.dtype]:
        """What all of them need."""
        return self.model, self.options, self.treatment, self.dtype

    @property
    def episode_tokens(self) -> int:
        """As asked for, or a language's even share of a batch."""
        share = self.options.batch_tokens // len(self.model.config.languages)
        return self.treatment.episode_tokens or share


UPDATES: dict[str, Callable[[Plan], Update[GlobalBatch]]] = {
    "joint": lambda plan: joint(plan.options, next(plan.model.parameters()).device, plan.dtype),
    "pcgrad": lambda plan: surgery(*plan.base),
    "gradvac": lambda plan: vaccine(*plan.base),
    "balance": lambda plan: balance(*plan.base),
    "meta": lambda plan: meta(*plan.base, plan.episodes(plan.episode_tokens)),
    "meta-fast": lambda plan: meta_fast(*plan.base, plan.batch_at),
}


def build(name: UpdateName, plan: Plan) -> Update[GlobalBatch]:
    """The update of that name; ``jd:`` and a name is one of torchjd's aggregators.

    Raises:
        UserError: the model, the data or what is installed do not fit it.
    """
    kind, _, aggregator = name.partition(":")
    return aggregated(aggregator, *plan.base) if kind == "jd" else UPDATES[name](plan)


def compile_for(name: UpdateName, model: MaskedLM) -> None:
    """Compile the pieces of a model that the update of that name trains.

    Raises:
        UserError: the update takes derivatives of derivatives, which compiled pieces do not have.
    """
    if name == "meta":
        what = "the exact meta gradient needs second derivatives, which compiled pieces do not have"
        raise UserError(what, where="--compile", fix="leave it out, or give --update meta-fast")
    compile_pieces(model)


def plan_of(job: Pretraining, model: MaskedLM, treatment: TreatmentOptions, dtype: torch.dtype) -> Plan:
    """The plan of a pre-training run."""

    def episodes(num_tokens: int) -> Episodes:
        shards, bos_id = job.shards, job.shards.vocabulary.bos_id
        return Episodes(shards, shards.tags, job.masking, job.plan, bos_id=bos_id, num_tokens=num_tokens)

    return Plan(model, job.train, treatment, dtype, job.at, episodes)
