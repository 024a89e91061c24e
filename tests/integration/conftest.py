"""A small prepared corpus in three made-up languages, shared by the whole-command tests of a worker."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from polymod.cli import execute

TAGS = ("qaa", "qab", "to")


def write_corpus(folder: Path, lines: int = 1500) -> Path:
    """Sentences of random words with a fixed order of word classes; each language has words of its own."""
    folder.mkdir(parents=True)
    for number, tag in enumerate(TAGS):
        chance = random.Random(number)
        words = [
            "".join(chance.choices("aeioukmnprst", k=chance.randint(2, 6))) + "aeo"[number]
            for _ in range(120)
        ]
        sentences = [
            " ".join(
                [
                    chance.choice(words[:20]),
                    chance.choice(words[20:60]),
                    chance.choice(words[60:]),
                    str(index),
                ]
            )
            for index in range(lines)
        ]
        (folder / f"{tag}.txt").write_text("\n".join(sentences) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """What ``polymod prepare`` makes of the corpus."""
    folder = tmp_path_factory.mktemp("corpus")
    text, out = write_corpus(folder / "text"), folder / "data"
    assert execute("prepare", ["--text", str(text), "--out", str(out), "--vocab-size", "500"]) == 0
    return out


SMALL_MODEL = (
    *("--model.preset", "modern-tiny", "--model.hidden-size", "32", "--model.num-layers", "2"),
    *("--model.num-heads", "2", "--model.ffn-size", "48", "--model.bottleneck-size", "16"),
    *("--train.block-tokens", "32", "--train.batch-tokens", "256", "--train.micro-tokens", "128"),
    *(
        "--train.steps",
        "24",
        "--train.save-every",
        "8",
        "--train.score-every",
        "12",
        "--train.score-tokens",
        "512",
    ),
)


def pretrain(data: Path, out: Path, *more: str) -> int:
    """Run ``polymod pretrain`` with a tiny model."""
    return execute("pretrain", ["--data", str(data), "--out", str(out), *SMALL_MODEL, *more])
