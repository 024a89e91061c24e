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


def grown(
    languages: int = 12, families: int = 4, arms: tuple[str, ...] = ("modular", "shared"), points: int = 60
) -> dict[str, Any]:
    """The same with one more language, which was added afterwards, and two tasks learnt in the first."""
    document = results(languages + 1, families, arms, points)
    *old, new = document["world"]["languages"]
    for name, arm in document["arms"].items():
        document["arms"][name] = {
            **arm,
            "valid": {**arm["valid"], "languages": _only(arm["valid"]["languages"], old)},
        }
        for curve in ("train_curve", "valid_curve"):
            document["arms"][name][curve] = [
                {**each, "languages": _only(each["languages"], old)} for each in arm[curve]
            ]
    document["data"]["languages"] = _only(document["data"]["languages"], old)
    document["added"] = _added(new, old)
    document["transfer"] = {
        "nli": _transfer("nli", "accuracy", [*old, new], level=0.42) | {"labels": ["a", "b", "c"]},
        "ner": _transfer("ner", "f1", [*old, new], level=0.61),
    }
    return document


def _only(part: dict[str, Any], tags: list[str]) -> dict[str, Any]:
    return {tag: part[tag] for tag in tags if tag in part}


def _added(tag: str, old: list[str]) -> dict[str, Any]:
    fertility = {
        "tokens_per_word": 1.56,
        "characters_per_token": 3.71,
        "byte_share": 0.0,
        "unknown_share": 0.0,
    }
    overlap = {each: round(0.62 - 0.04 * number, 3) for number, each in enumerate(old)}
    return {
        "languages": {
            tag: {
                "vocabulary": {"mode": "keep", "size": 4000, "own_rows": 0, "began": {}},
                "parameters": 34_816,
                "tokens": 170_000,
                "epochs": 0.9,
                "seconds": 9.5,
                "init_from": old[:2],
                "fertility": fertility,
                "chosen_fertility": fertility,
                "advice": {
                    "vocab": "keep",
                    "why": "a text takes 1.1 times as many tokens as in the run's languages",
                },
                "relatives": {
                    "overlap": overlap,
                    "chosen": old[:2],
                    "why": "the largest overlap of tokens: "
                    + ", ".join(f"{each} {overlap[each]:.2f}" for each in old[:2]),
                },
                "start": 3.41,
                "loss": 2.62,
                "no_module": 5.33,
                "unigram_entropy": 4.81,
            }
        },
        "old_languages": {each: {"bit_equal": True} for each in old},
    }


def _transfer(task: str, metric: str, tags: list[str], *, level: float) -> dict[str, Any]:
    """As ``transfer --module all`` gives it; the first language is the source."""
    chance = random.Random(task)
    source, others = tags[0], tags[1:]
    own = {tag: level + chance.uniform(-0.08, 0.08) for tag in others} | {source: level + 0.15}
    worth = {"target": 0.0, "source": 0.09, "none": 0.21}
    modules = {
        control: _table(
            task,
            {tag: own[tag] - (less if tag != source or control == "none" else 0.0) for tag in tags},
            source,
        )
        for control, less in worth.items()
    }
    differences = {
        f"target-{control}": {
            "languages": {
                tag: _difference(less if tag != source or control == "none" else 0.0) for tag in tags
            },
            "macro": _difference(less, 0.012) if others else None,
        }
        for control, less in worth.items()
        if less
    }
    about = {
        "folders": [f"demo/runs/{task}"],
        "task": task,
        "metric": metric,
        "source": source,
        "split": "test",
    }
    return {**about, **modules["target"], "modules": modules, "differences": differences, "left_out": {}}


def _table(task: str, scores: dict[str, float], source: str) -> dict[str, Any]:
    others = {tag: score for tag, score in scores.items() if tag != source}
    macro = sum(others.values()) / len(others) if others else None
    worst = min(others, key=lambda tag: others[tag], default=None)
    return {
        "languages": {
            tag: {"score": score, "low": score - 0.05, "high": score + 0.05, "examples": 200, "module": tag}
            for tag, score in scores.items()
        },
        "macro": macro,
        "macro_interval": None
        if macro is None
        else {"score": macro, "low": macro - 0.015, "high": macro + 0.015},
        "worst": None if worst is None else others[worst],
        "worst_language": worst,
        "source_score": scores[source],
        "source_gap": None if macro is None else scores[source] - macro,
    }


def _difference(value: float, half: float = 0.05) -> dict[str, float]:
    return {
        "difference": value,
        "low": value - half,
        "high": value + half,
        "p": 0.002 if value > half else 0.6,
    }
