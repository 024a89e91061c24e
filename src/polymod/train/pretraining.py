"""What a pre-training run is made of: model, data, periodic jobs. The loop does not know any of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from polymod.batch import GlobalBatch
from polymod.data.loader import BatchPlan, TrainLoader
from polymod.data.masking import Masking
from polymod.data.parts import part
from polymod.errors import UserError
from polymod.files import sha256
from polymod.model.config import ModelConfig
from polymod.model.flops import flops_per_token
from polymod.model.heads import MaskedLM, initialise
from polymod.text.shards import Shards
from polymod.train.checkpoint import save
from polymod.train.config import MixtureOptions, ResidencyOptions, TrainOptions, UpdateName
from polymod.train.keepers import Keepers
from polymod.train.log import NoLog, RunLog
from polymod.train.loop import Job, TrainState
from polymod.train.optim import build_optimizer
from polymod.train.parallel import ALONE, Ranks
from polymod.train.pinned import trunk_to
from polymod.train.residency import Residency, begin_at_home, home_for
from polymod.train.run import versions
from polymod.train.score import score_valid, table
from polymod.train.sharding import shard


class Pretraining:
    """A model configuration, shards and options, put together; for one of several processes if so asked.

    Args:
        spread: each process keeps its share of the trunk.
        shared_out: each process keeps the packs of its share of the languages.

    Raises:
        UserError: blocks longer than the model's positions, too little text for a block.
    """

    def __init__(
        self,
        shards: Shards,
        model: ModelConfig,
        train: TrainOptions,
        mixture: MixtureOptions,
        ranks: Ranks = ALONE,
        *,
        spread: bool = False,
        shared_out: bool = False,
    ) -> None:
        longest = model.architecture.max_length
        if train.block_tokens > longest:
            what = f"blocks of {train.block_tokens} tokens in a model of at most {longest}"
            raise UserError(what, fix="lower --train.block-tokens or raise --model.max-length")
        self.shards, self.config, self.train, self.ranks = shards, model, train, ranks
        self.spread, self.shared_out = spread, shared_out
        v = shards.vocabulary
        self.masking = Masking(v.mask_id, v.special, v.size, train.mask_probability)
        self.plan = batch_plan(train, mixture)
        self.loader = TrainLoader(shards, shards.tags, self.masking, self.plan, bos_id=v.bos_id)

    @property
    def identity(self) -> dict[str, Any]:
        """What a run is a run of, beside its config."""
        return {
            "data": self.shards.fingerprint,
            "tokenizer": sha256(self.shards.tokenizer_path),
            "languages": list(self.shards.tags),
        }

    @property
    def flops_per_token(self) -> float:
        """Training FLOPs per token, forward and backward."""
        train = self.train
        return flops_per_token(self.config, train.block_tokens, train.mask_probability)["total"]

    def new_state(self, options: ResidencyOptions, update: UpdateName, run: Path) -> TrainState:
        """The model at step 0 and its optimiser.

        Raises:
            UserError: idle languages are to be out of memory, and cannot be.
        """
        device, ranks = self.ranks.device, self.ranks
        unigrams_V = self._unigrams() if self.train.unigram_bias else None
        shares = ranks.size if self.shared_out else 1
        home = home_for(self.config, options, update, run, device, shares) if options.mapped else None
        keepers = Keepers(self.shards.tags, ranks, home) if self.shared_out else None
        if taking_in := keepers or home:
            model = begin_at_home(self.config, taking_in, self.train.seed, unigrams_V)
        else:
            model = MaskedLM(self.config)
            initialise(model, self.train.seed, unigrams_V)
        if self.spread:
            shard(model, ranks)
        else:
            trunk_to(model, device) if taking_in else model.to(device)
        optimizer = build_optimizer(model, self.train)
        residency = Residency(home, optimizer, options.languages) if home else None
        return TrainState(model, optimizer, ranks=ranks, residency=residency, keepers=keepers)

    def at(self, step: int) -> GlobalBatch:
        """What this process computes of the batch of a step. For a GPU it is in page-locked memory: no copy
        waits.
        """
        mine = part(self.loader.at(step), self.ranks.rank, self.ranks.size, evenly=self.spread)
        return mine.pinned() if self.ranks.device.type == "cuda" else mine

    def score(self, state: TrainState) -> dict[str, Any]:
        """Loss per language on the first ``train.score_tokens`` tokens of the valid split; several processes
        share the languages, unless a pass takes all of them because the trunk is spread.
        """
        limit, tags, ranks = self.train.score_tokens, self.shards.tags, self.ranks
        mine = tags if self.spread else tags[ranks.rank :: ranks.size]  # the packs it keeps, if shared out
        coming = state.residency.each(mine) if state.residency else mine
        if state.keepers and self.spread:
            coming = state.keepers.lending_each(coming)
        losses = score_valid(masked_lm(state), self.shards, coming, self.masking, self.plan, limit=limit)
        if not self.spread:
            ranks.gather_losses(losses, tags)
        return table(losses, {tag: self.shards.info(tag)["unigram_entropy"] for tag in tags})

    def jobs(
        self, run: Path, log: RunLog | NoLog, *, facts: Mapping[str, Any], console: Console
    ) -> tuple[Job, ...]:
        """Score the valid split; save a checkpoint: the first process does, or all if each has a share."""

        def score_now(state: TrainState, _: bool) -> None:
            log.valid(state.step, self.score(state))

        scoring = Job(self.train.score_every, score_now)
        if not (self.ranks.first or self.spread or self.shared_out):
            return (scoring,)
        return scoring, saving(run, self.train, facts=facts, console=console)

    def _unigrams(self) -> torch.Tensor:
        """Token counts of the mixture that training draws from."""
        quota = dict(zip(self.loader.mixture.tags, self.loader.mixture.quota_L, strict=True))
        total = np.zeros(self.config.vocab_size)
        for tag in self.shards.tags:
            counts = self.shards.unigram_counts(tag)
            total += counts * (float(quota[tag]) / max(1, counts.sum()))
        scale = 1e6 / max(total.sum(), 1e-9)  # add-one smoothing of a million tokens
        return torch.from_numpy(total * scale)


def masked_lm(state: TrainState) -> MaskedLM:
    """The model of a pre-training run."""
    assert isinstance(state.model, MaskedLM)
    return state.model


def batch_plan(train: TrainOptions, mixture: MixtureOptions) -> BatchPlan:
    """Sizes and order of the training data that these options ask for."""
    sizes = (train.block_tokens, train.batch_tokens, train.micro_tokens)
    return BatchPlan(*sizes, mixture.alpha, train.seed, mixture.max_tokens)


def saving(run: Path, train: TrainOptions, *, facts: Mapping[str, Any], console: Console) -> Job:
    """The job that saves a checkpoint; one that cannot be written ends the run only if it is the last."""

    def save_now(state: TrainState, last: bool) -> None:
        try:
            save(state, run, facts={**facts, "versions": versions()}, keep=train.keep)
        except UserError as error:
            if last:
                raise
            console.print(f"no checkpoint at step {state.step}, training goes on: {error}", markup=False)

    return Job(train.save_every, save_now, on_stop=True)
