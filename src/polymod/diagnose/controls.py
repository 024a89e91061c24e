"""What a language's module contributes: its text through its own pack, through others', and through none."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from polymod.batch import Batch
from polymod.data.loader import valid_batches
from polymod.data.random import key, permute
from polymod.diagnose.options import ControlOptions
from polymod.diagnose.subject import Subject
from polymod.diagnose.work import Work
from polymod.errors import UserError
from polymod.files import language_name
from polymod.languages import canonical, resolve
from polymod.model.heads import MaskedLM
from polymod.train.score import score

NONE = "none"  # no module at all
ROLES = ("source", "shuffled", NONE)
ALL_PACKS = 16  # languages, of which each is tried through every pack
_BATCHES = 16  # of each language, for the standard error

Losses = Mapping[str, Mapping[str, float | None]]  # by pack: loss, above_own, se


def shuffled(tags: Sequence[str], seed: int) -> dict[str, str]:
    """Another language's pack for every language: each pack once, none its own; empty for one language."""
    if len(tags) < 2:
        return {}
    sizes_L, keys_L = np.full(len(tags), len(tags)), np.full(len(tags), key(seed, "shuffled packs"))
    order = [tags[place] for place in permute(np.arange(len(tags)), sizes_L, keys_L)]
    return dict(zip(order, [*order[1:], order[0]], strict=True))


def losses_via(
    model: MaskedLM, batches: Sequence[Batch], tag: str, packs: Iterable[str]
) -> dict[str, dict[str, float | None]]:
    """One language's loss through its own pack and each of these (``none``: through no module).

    Args:
        batches: of this language only, each with something to predict.
    """
    own = _each(model, batches, tag, tag)
    others = [pack for pack in dict.fromkeys(packs) if pack != tag]
    return {
        tag: compared(own, own),
        **{pack: compared(own, _each(model, batches, tag, pack)) for pack in others},
    }


def compared(own: Sequence[float], other: Sequence[float]) -> dict[str, float | None]:
    """``loss`` in nats, ``above_own`` and its standard error ``se`` over batches (``None`` for one batch).

    Args:
        own: loss of each batch through the language's own pack.
        other: of the same batches through another one.
    """
    differences = np.subtract(other, own)
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences)) if len(differences) > 1 else None
    return {"loss": float(np.mean(other)), "above_own": float(differences.mean()), "se": error}


def _each(model: MaskedLM, batches: Sequence[Batch], tag: str, pack: str) -> list[float]:
    via = {tag: None if pack == NONE else pack}
    return [score(model, [batch.via(via)])[tag].mean for batch in batches]


def diagnose_controls(
    subject: Subject,
    options: ControlOptions,
    device: torch.device,
    work: Work,
    tell: Callable[[int], None],
) -> dict[str, Any]:
    """Every language through its own pack, the source's, a wrong one, none; with few languages through all.

    Args:
        work: holds the languages that are done.
        tell: called with the number of languages done.

    Raises:
        UserError: the run has no modules, no pack of the source, or a language has nothing to predict.
    """
    tags, arm = subject.tags, subject.saved.config.arm
    if arm == "dense":
        fix = "give a modular or a shared run"
        raise UserError("a dense run has no modules", where=str(subject.run), fix=fix)
    source = _source(options.source, subject) if arm == "modular" else None
    wrong = shuffled(tags, options.seed) if arm == "modular" else {}
    every_pack = tags if arm == "modular" and len(tags) <= ALL_PACKS else ()
    model, languages = subject.model(device), {}
    for number, tag in enumerate(tags, 1):
        packs = {"source": source, "shuffled": wrong.get(tag), NONE: NONE}

        def measure(tag: str = tag, packs: Mapping[str, str | None] = packs) -> dict[str, Any]:
            chosen = [*filter(None, packs.values()), *every_pack]
            return losses_via(model, _batches(subject, tag, options.max_tokens), tag, chosen)

        via = work.part(language_name(tag), measure)
        languages[tag] = _entry(tag, via, packs, every_pack)
        tell(number)
    document = {**subject.heading, "source": source, "languages": languages, "mean": _means(languages)}
    return {**document, "packs": [*every_pack, NONE]} if every_pack else document


def _entry(
    tag: str, via: Losses, packs: Mapping[str, str | None], every_pack: Sequence[str]
) -> dict[str, Any]:
    """One language: its own loss, the controls by role, and the loss through every pack if that is known."""
    entry: dict[str, Any] = {"target": via[tag]["loss"]}
    for role, pack in packs.items():
        entry[role] = None if pack is None or pack == tag else {"pack": pack, **via[pack]}
    if every_pack:
        entry["through"] = [via[pack]["loss"] for pack in (*every_pack, NONE)]
    return entry


def _means(languages: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
    """Mean over languages of the own loss, and of how far each control is above it."""
    means: dict[str, float | None] = {"target": _mean([entry["target"] for entry in languages.values()])}
    for role in ROLES:
        means[role] = _mean([entry[role]["above_own"] for entry in languages.values() if entry[role]])
    return means


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _source(given: str, subject: Subject) -> str:
    installed = subject.saved.config.languages
    if given:
        return resolve(canonical(given), installed)
    return "en" if "en" in installed else installed[0]


def _batches(subject: Subject, tag: str, limit: int) -> list[Batch]:
    available = min(limit, subject.shards.num_tokens(tag, "valid"))
    plan, bos_id = subject.plan(available // _BATCHES), subject.shards.vocabulary.bos_id
    found = valid_batches(subject.shards, tag, subject.masking, plan, bos_id=bos_id, limit=limit)
    batches = [batch for batch in found if len(batch.targets_M)]
    if not batches:
        raise UserError(f"{tag!r} has no text in its valid split", fix="leave it out of --languages")
    return batches
