"""A results document as ``polymod demo`` writes it, made up: languages in families, two arms that learn."""

from __future__ import annotations

import math
import random
from typing import Any

TOKENS_PER_STEP = 2048
REASONS = ("not UTF-8", "too long", "empty")


def results(
    languages: int = 12, families: int = 4, arms: tuple[str, ...] = ("modular", "shared"), points: int = 60
) -> dict[str, Any]:
    """The whole document; every number in it is finite and a function of the arguments."""
    chance = random.Random(0)
    tags = [_tag(index % families, index // families) for index in range(languages)]
    family = {tag: tag[1] for tag in tags}
    entropy = {tag: 4.6 + 0.5 * chance.random() for tag in tags}
    floor = {tag: 1.9 + 0.5 * chance.random() for tag in tags}
    return {
        "schema": 1,
        "kind": "demo",
        "title": "Two arms on a world of controlled languages",
        "seconds": 251.0,
        "command": "polymod demo --out demo",
        "versions": {"polymod": "0.1.0", "torch": "2.13.0", "python": "3.11.2", "threads": "2"},
        "world": {
            "seed": 0,
            "languages": {
                tag: {
                    "family": family[tag],
                    "script": chance.choice(["Latn", "Cyrl", "Grek"]),
                    **_grammar(chance),
                }
                for tag in tags
            },
            "relatedness": {"tags": tags, "rows": _relatedness(tags, family, chance)},
        },
        "data": {"vocabulary": 4000, "languages": {tag: _data(chance) for tag in tags}},
        "arms": {
            name: _arm(
                number, entropy, {tag: floor[tag] + number * chance.uniform(0.1, 0.6) for tag in tags}, points
            )
            for number, name in enumerate(arms)
        },
        "config": {
            "train": {"steps": 20 * points, "batch_tokens": TOKENS_PER_STEP},
            "mixture": {"alpha": 0.7},
        },
        "notes": ["The valid split is 50 documents of each language."],
    }


def _tag(family: int, member: int) -> str:
    page, letter = divmod(member, 26)
    return f"q{chr(97 + family)}{chr(97 + letter)}" + (f"-x-{page:02d}" if page else "")


def _grammar(chance: random.Random) -> dict[str, Any]:
    orders, cases = ("SVO", "SOV", "VSO"), ("none", "accusative", "ergative")
    return {
        "word_order": chance.choice(orders),
        "case": chance.choice(cases),
        "genders": chance.randint(0, 3),
    }


def _relatedness(tags: list[str], family: dict[str, str], chance: random.Random) -> list[list[float]]:
    rows = [[1.0] * len(tags) for _ in tags]
    for i, one in enumerate(tags):
        for j, other in enumerate(tags[:i]):
            near = 0.66 if family[one] == family[other] else 0.14
            rows[i][j] = rows[j][i] = round(near + chance.uniform(-0.1, 0.1), 4)
    return rows


def _data(chance: random.Random) -> dict[str, Any]:
    tokens = chance.randint(180_000, 240_000)
    return {
        "documents": {"train": 5000, "valid": 50, "meta": 50},
        "tokens": {"train": tokens, "valid": tokens // 100, "meta": tokens // 100},
        "tokens_per_word": round(chance.uniform(1.2, 1.9), 3),
        "bad": {chance.choice(REASONS): chance.randint(0, 4)},
        "dropped": {"duplicate": chance.randint(0, 90)},
    }


def _arm(number: int, entropy: dict[str, float], last: dict[str, float], points: int) -> dict[str, Any]:
    def losses(step: float, noise: float, chance: random.Random) -> dict[str, float]:
        share = 1 / (1 + math.exp(-5 * (math.log10(step / (20 * points)) + 0.9 - 0.15 * number)))
        return {
            tag: round(
                entropy[tag] + 0.2 + (last[tag] - entropy[tag]) * 1.05 * share + noise * chance.gauss(0, 1), 4
            )
            for tag in entropy
        }

    chance = random.Random(number + 1)
    train = [_point(step, "loss", losses(step, 0.06, chance)) for step in range(20, 20 * points + 1, 20)]
    valid = [_point(step, "mean_loss", losses(step, 0.0, chance)) for step in range(40, 20 * points + 1, 40)]
    ends = valid[-1]["languages"] if valid else last
    scores = {
        tag: {"loss": loss, "perplexity": math.exp(loss), "tokens": 1234, "unigram_entropy": entropy[tag]}
        for tag, loss in ends.items()
    }
    return {
        "parameters": 3_400_000 - 1_300_000 * number,
        "flops_per_token": 2.1e7,
        "tokens": 20 * points * TOKENS_PER_STEP,
        "seconds": 100.0 + 3 * number,
        "steps": 20 * points,
        "config": {"arm": ["modular", "shared"][min(number, 1)], "model": {"hidden_size": 128}},
        "valid": {
            "languages": scores,
            "mean_loss": sum(ends.values()) / len(ends),
            "mean_unigram_entropy": sum(entropy.values()) / len(entropy),
        },
        "train_curve": train,
        "valid_curve": valid,
    }


def _point(step: int, key: str, losses: dict[str, float]) -> dict[str, Any]:
    mean = round(sum(losses.values()) / len(losses), 4)
    return {"step": step, "tokens": step * TOKENS_PER_STEP, key: mean, "languages": losses}
