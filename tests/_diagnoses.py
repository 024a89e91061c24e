"""What the diagnoses write, made up: agreement of gradients, masks, controls, gaps, lines of a monitor."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from _results import grown

GROUPS = ("embeddings", "attention", "feed_forward", "norms", "head")
SHARES = (0.25, 0.5, 0.75)
RUN = "modular"


def everything(languages: int = 12, families: int = 4, layers: int = 2, points: int = 60) -> dict[str, Any]:
    """A report of runs, tasks, an added language and every diagnosis."""
    document = grown(languages, families, points=points)
    *tags, _ = document["world"]["languages"]
    return (
        document
        | {"kind": "report", "title": "Two runs and what was found of them"}
        | diagnoses(tags, layers)
    )


def diagnoses(tags: Sequence[str], layers: int = 2) -> dict[str, Any]:
    """The parts of a results document that come from diagnoses."""
    return {
        "gradients": [gradients(tags, layers, step=step) for step in (400, 800, 1200)],
        "monitor": {RUN: [line(step) for step in range(0, 1200, 50)]},
        "masks": [masks(tags, layers)],
        "controls": [controls(tags)],
        "gaps": [gaps(tags)],
    }


def gradients(tags: Sequence[str], layers: int = 2, *, step: int = 1200, run: str = RUN) -> dict[str, Any]:
    """A checkpoint's agreement: languages of one letter agree, the others hardly or not."""
    chance = random.Random(step)
    groups = {group: _agreement(tags, chance, few=True) for group in GROUPS}
    parts = [_agreement(tags, chance, few=True) for _ in range(layers)]
    heading = {"run": run, "step": step, "arm": "modular", "sketch": 0, "tokens_per_batch": 2048}
    trunk = _agreement(tags, chance)
    return {
        **heading,
        "languages": list(tags),
        "trunk": trunk,
        "groups": groups,
        "layers": parts,
        "cells": [],
    }


def _agreement(tags: Sequence[str], chance: random.Random, *, few: bool = False) -> dict[str, Any]:
    near = {
        (a, b): (0.2 if a[:2] == b[:2] else -0.05) + chance.uniform(-0.03, 0.03) for a in tags for b in tags
    }
    cosine = [[0.3 if a == b else round(near[min(a, b), max(a, b)], 5) for b in tags] for a in tags]
    pairs = [cosine[i][j] for i in range(len(tags)) for j in range(len(tags)) if i != j]
    found = {
        "parameters": 46_000,
        "mean_cosine": sum(pairs) / len(pairs) if pairs else None,
        "mean_ceiling": 0.3,
        "mean_corrected": 0.41,
        "conflict_rate": 0.37,
        "ceiling_conflict_rate": 0.04,
        "cosine": cosine,
        "cosine_se": [[0.01 for _ in tags] for _ in tags],
    }
    if few:
        return found
    corrected = [
        [1.0 if i == j else round(x / 0.3, 5) for j, x in enumerate(row)] for i, row in enumerate(cosine)
    ]
    conflict = [[round(max(0.0, 0.5 - x), 5) for x in row] for row in cosine]
    return {**found, "corrected": corrected, "conflict": conflict}


def line(step: int) -> dict[str, Any]:
    """A line of a monitor, as a results document keeps it."""
    chance = random.Random(step)

    def means() -> dict[str, float]:
        cosine = chance.uniform(-0.05, 0.15)
        return {
            "mean_cosine": cosine,
            "mean_ceiling": cosine + 0.1,
            "mean_corrected": 4 * cosine,
            "conflict_rate": 0.4,
            "ceiling_conflict_rate": 0.3,
        }

    return {"step": step, "trunk": means(), "groups": {group: means() for group in GROUPS}}


def masks(tags: Sequence[str], layers: int = 2, *, run: str = RUN, apart: float = 0.2) -> dict[str, Any]:
    """Masks of a run; others' masks are ``apart`` nats above the own at the largest sparsity."""
    tried = tags if len(tags) <= 17 else tags[:16]
    languages = {}
    for number, tag in enumerate(tags):
        by_share = {}
        for share in SHARES:
            own = 2.0 + 0.01 * number + share
            others = {other: own + apart * share for other in tried if other != tag}
            by_share[str(share)] = {
                "own": own,
                "own_again": own + 0.02 * share,
                "others": own + apart * share if others else None,
                "random": own + 0.4 * share,
                "by_mask": others,
            }
        languages[tag] = {"unmasked": 1.9, "sparsity": by_share}
    overlap = {
        str(share): {
            "languages": list(tags),
            "all": _overlap(tags, share),
            "layers": [_overlap(tags, share)] * layers,
        }
        for share in SHARES
    }
    units = {"heads": {"gates": 4, "parameters": 2048}}
    return {
        "run": run,
        "step": 1200,
        "arm": "modular",
        "units": units,
        "languages": languages,
        "overlap": overlap,
    }


def _overlap(tags: Sequence[str], share: float) -> dict[str, Any]:
    rows = [
        [1 - share / 2 if a == b else 0.9 - share if a[:2] == b[:2] else 0.8 - share for b in tags]
        for a in tags
    ]
    return {"gates": 26, "jaccard": rows, "jaccard_by_chance": 0.75 - share, "sign_disagreement": rows}


def controls(tags: Sequence[str], *, run: str = RUN) -> dict[str, Any]:
    """What modules of a run contribute; the last language's does nothing."""
    source, few = tags[0], len(tags) <= 16

    def above(pack: str, value: float) -> dict[str, Any]:
        return {"pack": pack, "loss": 2.0 + value, "above_own": value, "se": 0.02}

    languages: dict[str, Any] = {}
    for number, tag in enumerate(tags):
        wrong = tags[(number + 1) % len(tags)]
        languages[tag] = {
            "target": 2.0,
            "source": None if tag == source else above(source, 0.5),
            "shuffled": None if wrong == tag else above(wrong, 0.7),
            "none": above("none", 0.3 if tag != tags[-1] else 0.001),
        }
        if few:
            languages[tag]["through"] = [2.0 if other == tag else 2.6 for other in tags] + [2.3]
    mean = {"target": 2.0, "source": 0.5, "shuffled": 0.7, "none": 0.27}
    found = {
        "run": run,
        "step": 1200,
        "arm": "modular",
        "source": source,
        "languages": languages,
        "mean": mean,
    }
    return {**found, "packs": [*tags, "none"]} if few else found


def gaps(tags: Sequence[str], *, seeds: int = 3) -> dict[str, Any]:
    """Two settings beside the first: together every other language is worse off, in pairs all are better."""
    languages = {}
    for number, tag in enumerate(tags):
        settings, gap = {"mono": _setting(2.5, seeds)}, {}
        for name, apart in (("bilingual", -0.2), ("multilingual", 0.15 if number % 2 else -0.01)):
            settings[name] = _setting(2.5 + apart, seeds)
            gap[name] = _gap(apart, seeds)
        languages[tag] = {"settings": settings, "unigram_entropy": 4.6, "gaps": gap}
    mean = {"bilingual": _gap(-0.2, seeds), "multilingual": _gap(0.07, seeds)}
    head = {"schema": 1, "kind": "gaps", "condition": "same-updates", "reference": "mono"}
    return {**head, "languages": languages, "mean": mean}


def _setting(loss: float, seeds: int) -> dict[str, Any]:
    sd = 0.02 if seeds > 1 else None
    return {"losses": [loss] * seeds, "mean": loss, "sd": sd, "tokens": 250_000}


def _gap(apart: float, seeds: int) -> dict[str, Any]:
    if seeds < 2:
        return {"difference": apart, "low": None, "high": None, "verdict": "one seed"}
    low, high = apart - 0.05, apart + 0.05
    verdict = "transfer" if high < 0 else "interference" if low > 0 else "neither"
    return {"difference": apart, "low": low, "high": high, "verdict": verdict}
