"""What is diagnosed: a checkpoint of a run, and text of its languages cut by the run's tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from polymod.config import flatten
from polymod.data.loader import BatchPlan
from polymod.data.masking import Masking
from polymod.errors import UserError
from polymod.files import problems, sha256
from polymod.languages import resolve_all
from polymod.model.heads import MaskedLM
from polymod.text.shards import Shards
from polymod.train.checkpoint import Saved, checkpoint_folders, load_model, read
from polymod.train.run import found


@dataclass(frozen=True)
class Subject:
    """A checkpoint with data.

    Attributes:
        tags: languages to diagnose.
        block: tokens of a sequence.
        training: dotted options of its training, and the fingerprint of its data.
    """

    run: Path
    saved: Saved
    shards: Shards
    tags: tuple[str, ...]
    masking: Masking
    block: int
    training: Mapping[str, Any]

    @classmethod
    def opened(cls, run: Path, data: Path, *, languages: Iterable[str], block: int) -> Subject:
        """The newest checkpoint of a run.

        Args:
            languages: any codes; by default all of the run that have the trunk's vocabulary.
            block: 0 takes that of the run's training.

        Raises:
            UserError: no run, a language that it does not have or that has a vocabulary of its own, data with
                another tokenizer.
        """
        saved, record = found(run)
        config = saved.config
        named = resolve_all(languages, config.languages, where="--languages")
        for tag in named:
            if tag in config.own_vocabularies:
                what = f"{tag!r} has a vocabulary of its own; its text is not in data of the run's tokenizer"
                raise UserError(what, where=str(run), fix="leave it out of --languages")
        tags = named or tuple(tag for tag in config.languages if tag not in config.own_vocabularies)
        shards = Shards.open(data, languages=tags)
        if sha256(shards.tokenizer_path) != record["identity"].get("tokenizer"):
            fix = "give the data that the run was trained on, or prepare with --tokenizer RUN"
            raise UserError("the data has another tokenizer than the run", where=str(data), fix=fix)
        trained = record["config"].get("train", {})
        longest = config.architecture.max_length
        block = block or trained.get("block_tokens", min(512, longest))
        if block > longest:
            what = f"sequences of {block} tokens in a model of at most {longest}"
            raise UserError(what, where=str(run), fix="lower --block-tokens")
        v = shards.vocabulary
        masking = Masking(v.mask_id, v.special, v.size, trained.get("mask_probability", 0.15))
        training = {**flatten(record["config"]), "identity.data": record["identity"].get("data")}
        return cls(run, saved, shards, tags, masking, block, training)

    def at_every_checkpoint(self) -> list[Subject]:
        """The same run at each checkpoint that it has kept, oldest first.

        Raises:
            UserError: one is damaged.
        """
        subjects = []
        for folder in checkpoint_folders(self.run):
            if complaints := problems(folder):
                raise UserError("\n  ".join(["a checkpoint is damaged:", *complaints]), where=str(self.run))
            subjects.append(replace(self, saved=read(folder)))
        return subjects

    def model(self, device: torch.device) -> MaskedLM:
        """The model, without dropout."""
        return load_model(self.saved).to(device).eval()

    def plan(self, batch_tokens: int, seed: int = 0) -> BatchPlan:
        """Batches of so many tokens, at least one sequence."""
        tokens = max(self.block, batch_tokens)
        return BatchPlan(self.block, tokens, tokens, 1.0, seed)

    @property
    def heading(self) -> dict[str, Any]:
        """Which run, which step, which arm."""
        return {"run": str(self.run), "step": self.saved.step, "arm": self.saved.config.arm}
