"""What a fine-tuning is made of: model, examples, evaluations. The loop does not know any of it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from polymod.batch import GlobalBatch
from polymod.data.parts import part
from polymod.errors import UserError
from polymod.model.config import ModelConfig
from polymod.model.encoder import Encoder
from polymod.model.tasks import TaskModel, TaskSpec, initialise_task
from polymod.tasks.examples import Coded, TrainingSet
from polymod.tasks.options import LONGEST, FinetuneOptions
from polymod.tasks.predict import predict
from polymod.tasks.protocol import apply_protocol
from polymod.tasks.signature import line, signature
from polymod.tasks.sources import Sources
from polymod.train.checkpoint import checkpoint_folders, save
from polymod.train.joint import joint
from polymod.train.log import NoLog, RunLog
from polymod.train.loop import Job, TrainState, fit
from polymod.train.optim import build_optimizer
from polymod.train.parallel import ALONE, Ranks
from polymod.train.run import versions

NEWEST = 2  # checkpoints that are kept, and those that were best to them
Evaluation = dict[str, Any]  # step, score, and the metrics of each source language


class Finetuning:
    """A pre-trained encoder, a task's examples and options, put together.

    Attributes:
        steps: optimiser steps of all epochs.
        protocol: what is frozen and how the rest is trained.
        parameters: how many train and how many do not, known once there is a state.
    """

    def __init__(
        self, config: ModelConfig, sources: Sources, options: FinetuneOptions, ranks: Ranks = ALONE
    ) -> None:
        self.task, self.sources, self.options, self.ranks = sources.task, sources, options, ranks
        self.config = _with_dropout(config, options.dropout)
        self.spec = TaskSpec(task=self.task.name, kind=self.task.kind, labels=sources.labels)
        size, micro_tokens = options.batch_size, options.micro_tokens
        self.examples = TrainingSet(
            sources.train, batch_size=size, micro_tokens=micro_tokens, seed=options.seed
        )
        self.steps = options.epochs * self.examples.steps_per_epoch
        self.train = options.train(self.steps, config.architecture.hidden_size)
        self.every = -(-self.examples.steps_per_epoch // options.evaluations)
        self.parameters: dict[str, int] = {}
        same = ("unfreeze", "freeze_layers", "epochs", "batch_size", "select", "seed")
        self.protocol = {name: getattr(options, name) for name in same}
        self.protocol["learning_rate"] = self.train.learning_rate

    def new_state(self, encoder: Encoder, device: torch.device) -> TrainState:
        """Step 0: the pre-trained weights, a new head, an optimiser over what the protocol trains."""
        model = TaskModel(self.config, self.spec)
        initialise_task(model, encoder, self.options.seed)
        tags = [coded.tag for coded in self.sources.train]
        kept = {name: getattr(self.options, name) for name in ("unfreeze", "freeze_layers")}
        self.parameters = apply_protocol(model, sources=tags, **kept)
        return TrainState(model.to(device), build_optimizer(model, self.train), ranks=self.ranks)

    def at(self, step: int) -> GlobalBatch:
        """What this process computes of the batch of one optimiser step."""
        return part(self.examples.at(step), self.ranks.rank, self.ranks.size)

    def fit(
        self,
        state: TrainState,
        evaluations: list[Evaluation],
        log: RunLog | NoLog,
        out: Path,
        precision: tuple[torch.device, torch.dtype],
    ) -> None:
        """Train to the end or until patience is over, appending to ``evaluations`` and saving below ``out``.

        Each checkpoint holds the evaluations before it, so that what is best is a function of the checkpoint
        that training goes on from. The newest two checkpoints and those that were best to them stay.
        """
        device, dtype = precision

        def keep(state: TrainState, _: bool) -> None:
            if not self.ranks.first:
                return
            facts = {"task": self.spec.model_dump(mode="json"), "evaluations": evaluations}
            save(state, out, facts={**facts, "versions": versions()}, keep=len(checkpoint_folders(out)) + 1)
            _prune(out, evaluations, newest=NEWEST)

        def evaluate(state: TrainState, last: bool) -> None:
            if self.sources.dev:
                assert isinstance(state.model, TaskModel)
                found = self.evaluate(state.model) if self.ranks.first else {}
                evaluations.append({"step": state.step, **self.ranks.told(found)})
                log.valid(state.step, evaluations[-1])
            keep(state, last)
            if self.is_over(state, evaluations):
                raise _Over

        jobs = (Job(self.every, evaluate), Job(self.options.save_every, keep, on_stop=True))
        update = joint(self.train, device, dtype)
        try:
            seed = self.options.seed
            fit(state, update, self.at, until=self.steps, seed=seed, log=log.step, jobs=jobs)
        except _Over:
            return

    def most_bytes(self) -> int:
        """Of the checkpoints that are kept at once: weights, and two moments of what trains."""
        trained, frozen = self.parameters["trained"], self.parameters["frozen"]
        return 4 * (2 * NEWEST + 1) * (3 * trained + frozen)  # fp32; one is being written

    def evaluate(self, model: TaskModel) -> dict[str, Any]:
        """The task's metrics on the dev examples of each source language, and the mean of the main ones."""
        languages = {}
        for coded in self.sources.dev:
            predictions = predict(model, self.task, coded)
            totals_K = self.task.statistics(coded.examples, predictions, coded.tag).sum(0)
            languages[coded.tag] = {key: float(value) for key, value in self.task.metrics(totals_K).items()}
        scores = [metrics[self.task.main_metric] for metrics in languages.values()]
        return {"score": sum(scores) / len(scores), "languages": languages}

    def is_over(self, state: TrainState, evaluations: Sequence[Evaluation]) -> bool:
        """Whether all steps are done, or as many evaluations as patience allows came after the best one."""
        best = best_of(evaluations)
        since = sum(each["step"] > best["step"] for each in evaluations) if best else 0
        return state.step >= self.steps or 0 < self.options.patience <= since

    def result(self, state: TrainState, evaluations: Sequence[Evaluation]) -> dict[str, Any]:
        """The document of a finished fine-tuning; ``step`` is that of the checkpoint which is the result."""
        best = best_of(evaluations)
        counts = {coded.tag: len(coded.examples) for coded in self.sources.train}
        return {
            "task": self.task.name,
            "metric": self.task.main_metric,
            "sources": list(counts),
            "step": best["step"] if best else state.step,
            "steps": state.step,
            "dev": best,
            "examples": counts,
            "sequences": len(self.examples),
            "files": self.sources.reports,
            "parameters": self.parameters,
            "max_length": longest_of(self.config, self.options),
            "protocol": self.protocol,
            "labels": list(self.spec.labels),
            "signatures": {coded.tag: self._signature(coded) for coded in self.sources.dev},
        }

    def _signature(self, coded: Coded) -> str:
        """What a dev score was measured on and how."""
        seed, tokenizer = self.options.seed, self.sources.hashes["tokenizers"][coded.tag]
        longest = longest_of(self.config, self.options)
        protocol = {"longest": longest, "module": coded.tag, **self.protocol}
        document = signature(
            self.task, coded.examples, split="dev", seed=seed, tokenizer=tokenizer, protocol=protocol
        )
        return line(document)


def longest_of(config: ModelConfig, options: FinetuneOptions) -> int:
    """Tokens that a sequence has at most.

    Raises:
        UserError: the model takes fewer than are asked for.
    """
    most = config.architecture.max_length
    if options.max_length > most:
        what = f"the model takes {most} tokens at most, not {options.max_length}"
        raise UserError(what, where="--train.max-length", fix=f"give {most} or less")
    return min(most, options.max_length or LONGEST)


def best_of(evaluations: Sequence[Evaluation]) -> Evaluation | None:
    """The first of the evaluations with the highest score."""
    return max(evaluations, key=lambda each: (each["score"], -each["step"]), default=None)


class _Over(Exception):
    """Patience is over; ends the loop from within an evaluation, which has saved."""


def _prune(out: Path, evaluations: Sequence[Evaluation], *, newest: int) -> None:
    """Drop all checkpoints but the newest ones and those that were best when one of these was written."""
    folders = {int(folder.name.removeprefix("step-")): folder for folder in checkpoint_folders(out)}
    kept = set(sorted(folders)[-newest:])
    for step in list(kept):
        if best := best_of([each for each in evaluations if each["step"] <= step]):
            kept.add(best["step"])
    for step in folders.keys() - kept:
        shutil.rmtree(folders[step])


def _with_dropout(config: ModelConfig, dropout: float | None) -> ModelConfig:
    if dropout is None:
        return config
    rates = {"dropout": dropout, "attention_dropout": dropout}
    return config.model_copy(update={"architecture": config.architecture.model_copy(update=rates)})
