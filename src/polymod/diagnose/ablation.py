"""Masks of every language of a run, and the proof that they are its own: its text under others' masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from polymod.batch import Batch
from polymod.data.loader import TrainLoader, valid_batches
from polymod.data.random import key
from polymod.diagnose.gates import confidence
from polymod.diagnose.kinship import Kinship
from polymod.diagnose.masks import Gates, Learning, learn
from polymod.diagnose.options import MaskOptions
from polymod.diagnose.overlap import overlap
from polymod.diagnose.sites import entries, sites
from polymod.diagnose.subject import Subject
from polymod.diagnose.work import Work
from polymod.errors import UserError
from polymod.files import language_name

ALL_PAIRS = 16  # languages; of more, each text is tried under this many others' masks

Masks = Mapping[str, Sequence[Sequence[Tensor]]]  # by language, then by seed, then by sparsity: log a


@dataclass(frozen=True)
class Ablation:
    """One run whose masks are learnt and compared.

    Attributes:
        work: holds the masks and losses that are done.
        tell: called with the number of steps done, of ``steps``.
    """

    subject: Subject
    options: MaskOptions
    device: torch.device
    work: Work
    tell: Callable[[int], None]

    @property
    def steps(self) -> int:
        """Steps of all masks."""
        return len(self.subject.tags) * self.options.repeats * self._steps_of_a_mask

    @property
    def _steps_of_a_mask(self) -> int:
        return self.options.steps * len(self.options.sparsity)

    def document(self) -> dict[str, Any]:
        """Losses by sparsity and overlap of masks."""
        related = self.options.relatedness
        kinship = Kinship.read(related) if related is not None else None
        gates = self._gates()
        masks = {tag: self._learnt(gates, number) for number, tag in enumerate(self.subject.tags)}
        losses = {tag: self._losses(gates, tag, masks) for tag in self.subject.tags}
        at = self.options.sparsity
        return {
            **self.subject.heading,
            "units": {
                unit: {
                    "gates": gates.unit_A.count(unit),
                    "parameters": entries(gates.parameters, [site for site in gates.at if site.unit == unit]),
                }
                for unit in gates.units
            },
            "languages": losses,
            "overlap": {
                str(share): self._overlap(gates, masks, place, kinship) for place, share in enumerate(at)
            },
        }

    def _gates(self) -> Gates:
        config = self.subject.saved.config
        per_gate = self.options.neurons_per_gate or -(-config.architecture.ffn_size // 32)
        model = self.subject.model(self.device).requires_grad_(False)
        return Gates(model, sites(config, self.options.units, per_gate))

    def _learnt(self, gates: Gates, number: int) -> list[list[Tensor]]:
        found, tag = [], self.subject.tags[number]
        for repeat in range(self.options.repeats):

            def make(repeat: int = repeat) -> dict[str, Any]:
                return self._learn(gates, number, repeat)

            log_a = self.work.part(f"{language_name(tag)}-mask-{repeat}", make)["log_a"]
            found.append([torch.tensor(each) for each in log_a])
        return found

    def _learn(self, gates: Gates, number: int, repeat: int) -> dict[str, Any]:
        o, subject, tag = self.options, self.subject, self.subject.tags[number]
        seed = int(key(o.seed, "mask", repeat, tag) >> np.uint64(1))
        loader = TrainLoader(
            subject.shards,
            [tag],
            subject.masking,
            subject.plan(o.batch_tokens, seed),
            bos_id=subject.shards.vocabulary.bos_id,
        )
        how = Learning(o.sparsity, o.steps, o.learning_rate, seed)
        before = (number * o.repeats + repeat) * self._steps_of_a_mask
        found = learn(
            gates, lambda step: loader.at(step).micro[0], how, lambda done: self.tell(before + done)
        )
        return {"log_a": [each.tolist() for each in found]}

    def _losses(self, gates: Gates, tag: str, masks: Masks) -> dict[str, Any]:
        return self.work.part(f"{language_name(tag)}-losses", lambda: self._score(gates, tag, masks))

    def _score(self, gates: Gates, tag: str, masks: Masks) -> dict[str, Any]:
        batches = self._valid(tag)
        others, at = _others(tag, list(masks)), self.options.sparsity

        def loss(log_a_A: Tensor, share: float) -> float:
            return gates.score(gates.binary(log_a_A, share), batches)

        by_sparsity = {}
        for place, share in enumerate(at):
            of_others = {other: loss(masks[other][0][place], share) for other in others}
            by_sparsity[str(share)] = {
                "own": loss(masks[tag][0][place], share),
                "own_again": loss(masks[tag][1][place], share) if len(masks[tag]) > 1 else None,
                "others": float(np.mean(list(of_others.values()))) if of_others else None,
                "random": gates.score(gates.random(share, self.options.seed), batches),
                "by_mask": of_others,
            }
        return {"unmasked": gates.score(torch.ones(len(gates.unit_A)), batches), "sparsity": by_sparsity}

    def _valid(self, tag: str) -> list[Batch]:
        subject = self.subject
        limit, bos_id = self.options.max_tokens, subject.shards.vocabulary.bos_id
        plan = subject.plan(2**13)
        found = list(valid_batches(subject.shards, tag, subject.masking, plan, bos_id=bos_id, limit=limit))
        if not any(len(batch.targets_M) for batch in found):
            raise UserError(f"{tag!r} has no text in its valid split", fix="leave it out of --languages")
        return found

    def _overlap(self, gates: Gates, masks: Masks, place: int, kinship: Kinship | None) -> dict[str, Any]:
        share = self.options.sparsity[place]
        kept = {
            tag: [gates.binary(each[place], share).numpy() > 0 for each in of_tag]
            for tag, of_tag in masks.items()
        }
        sure = {
            tag: [confidence(each[place]).double().numpy() for each in of_tag]
            for tag, of_tag in masks.items()
        }
        found = overlap(kept, sure, gates.layer_A)
        if kinship is None:
            return found
        return {**found, "along_relatedness": kinship.document(list(kept), found["all"], ("jaccard",))}


def _others(tag: str, tags: Sequence[str]) -> list[str]:
    """Languages whose masks a text is tried under: all the others, or some evenly spread ones of many."""
    others = [other for other in tags if other != tag]
    if len(tags) <= ALL_PAIRS:
        return others
    return [others[place * len(others) // ALL_PAIRS] for place in range(ALL_PAIRS)]
