"""A trained run as gaps compare it: its setting and budget from its record, its losses from its weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from polymod.data.loader import BatchPlan, TrainLoader
from polymod.data.masking import Masking
from polymod.diagnose.gaps import Compared
from polymod.errors import UserError
from polymod.text.shards import Shards
from polymod.train.checkpoint import Saved, load_model
from polymod.train.config import MixtureOptions, TrainOptions
from polymod.train.pretraining import batch_plan
from polymod.train.run import found
from polymod.train.score import score_valid


@dataclass(frozen=True)
class Trained:
    """A finished run that ``pretrain`` wrote.

    Attributes:
        setting: its name in a study, or what the run is by itself (``described``).
    """

    folder: Path
    saved: Saved
    setting: str
    train: TrainOptions
    mixture: MixtureOptions

    @classmethod
    def opened(cls, folder: Path, shards: Shards, setting: str = "") -> Trained:
        """The run in a folder.

        Raises:
            UserError: no run that pretrain wrote, not finished, or trained on other data.
        """
        saved, record = found(folder)
        try:
            train = TrainOptions.model_validate(record["config"]["train"])
            mixture = MixtureOptions.model_validate(record["config"]["mixture"])
        except (KeyError, ValidationError):
            raise UserError("gaps compare runs that pretrain wrote", where=str(folder)) from None
        if record["identity"].get("data") != shards.fingerprint:
            fix = "give --data the folder that the runs were trained on"
            raise UserError("the run was trained on other data", where=str(folder), fix=fix)
        if saved.step < train.steps:
            what = f"the run is at step {saved.step:,} of {train.steps:,}"
            raise UserError(what, where=str(folder), fix="let it end; the same command goes on")
        return cls(folder, saved, setting or described(record["config"], saved), train, mixture)

    @property
    def tags(self) -> tuple[str, ...]:
        """Its languages."""
        return self.saved.config.languages

    def losses(self, shards: Shards, device: torch.device, *, block: int, most: int) -> dict[str, Any]:
        """Loss of each language on the first ``most`` tokens of its valid split, in nats."""
        plan = BatchPlan(block, 2**13, 2**13, 1.0, 0)
        model, tags = load_model(self.saved).to(device), self.tags
        sums = score_valid(model, shards.of(tags), tags, _masking(shards), plan, limit=most)
        return {tag: sums[tag].mean for tag in tags}

    def compared(self, shards: Shards, losses: Mapping[str, float], tags: Collection[str]) -> Compared:
        """What is compared: the losses of these languages, beside all tokens that were trained on."""
        bos_id, plan = shards.vocabulary.bos_id, batch_plan(self.train, self.mixture)
        loader = TrainLoader(shards, self.tags, _masking(shards), plan, bos_id=bos_id)
        return Compared(
            self.setting,
            self.train.seed,
            self.train.steps,
            loader.tokens_per_batch,
            loader.tokens_seen(self.train.steps),
            {tag: losses[tag] for tag in self.tags if tag in tags},
        )


def described(config: Mapping[str, Any], saved: Saved) -> str:
    """What to call a run that no study named: ``mono``, ``bilingual``, or its arm."""
    several = {1: "mono", 2: "bilingual"}.get(len(saved.config.languages), str(config.get("arm")))
    return several + ("-embedding" if saved.config.language_embedding and several != "mono" else "")


def require_apart(runs: Iterable[Trained]) -> None:
    """Two runs of one setting, languages and seed would be one result.

    Raises:
        UserError: there are such runs.
    """
    counts = Counter((run.setting, run.tags, run.train.seed) for run in runs)
    for (setting, tags, seed), count in counts.items():
        if count > 1:
            what = f"{count} runs are {setting!r} with seed {seed} on {', '.join(tags)}"
            raise UserError(
                what, fix="train them as a study, in which settings have names, or leave some out"
            )


def common_block(runs: Sequence[Trained], asked: int) -> int:
    """Length of the sequences that all runs are scored on.

    Raises:
        UserError: they were trained on different ones and none was asked for, or it is too long for one.
    """
    blocks = sorted({run.train.block_tokens for run in runs})
    longest = min(run.saved.config.architecture.max_length for run in runs)
    if asked > longest:
        raise UserError(
            f"sequences of {asked} tokens in a model of at most {longest}", fix="lower --block-tokens"
        )
    if not asked and len(blocks) > 1:
        what = f"runs were trained on blocks of {', '.join(map(str, blocks))} tokens"
        raise UserError(what, fix=f"say on which to compare them: --block-tokens {blocks[0]}")
    return asked or blocks[0]


def _masking(shards: Shards) -> Masking:
    """The same for all runs, however they were trained."""
    v = shards.vocabulary
    return Masking(v.mask_id, v.special, v.size)
