"""A task is learnt in one language and read in every other by swapping the module.

python examples/transfer_a_task.py --steps 200 --epochs 3
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import polymod
from polymod.cli import execute

LANGUAGES = ("qaa", "qab", "qba", "qbb")
SOURCE = "qaa"


def command(name: str, *words: object) -> None:
    """A polymod command, as in a shell."""
    if code := execute(name, [str(word) for word in words]):
        raise SystemExit(code)


def main() -> None:
    """Pre-train, fine-tune on one language, transfer to all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/example"))
    parser.add_argument("--task", default="ner", choices=["nli", "ner", "pos", "qa"])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--examples", type=int, default=300, help="of each task and language of the world")
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args()

    world, data, run, tuned = (given.folder / name for name in ("world", "data", "run", given.task))
    sizes = ("--sentences", 3000, "--train-examples", given.examples, "--test-examples", 50)
    command("world", "--out", world, "--languages", 5, "--families", 2, *sizes)
    languages = ("--languages", ",".join(LANGUAGES))
    command("prepare", "--text", world / "text", "--out", data, *languages, "--vocab-size", 1500)
    size = ("--model.preset", "modern-tiny", "--train.batch-tokens", 2048, "--train.block-tokens", 64)
    command("pretrain", "--data", data, "--out", run, *size, "--train.steps", given.steps)
    learn = ("--task", given.task, "--data", world, "--source", SOURCE, "--train.epochs", given.epochs)
    command("finetune", run, *learn, "--out", tuned)
    command("transfer", tuned, "--data", world)
    table = json.loads((tuned / "transfer.json").read_text())
    for tag, entry in table["languages"].items():
        print(f"{tag}: {table['metric']} {entry['score']:.3f} ({entry['low']:.3f} to {entry['high']:.3f})")

    model = polymod.load(tuned)
    if given.task in ("ner", "pos"):
        words = {
            tag: (world / "retrieval" / f"{tag}.txt").read_text().split("\n")[0].split()
            for tag in model.languages
        }
        for tag, labels in zip(
            words, model.predict(list(words.values()), languages=list(words)), strict=True
        ):
            print(
                tag, " ".join(f"{word}/{label}" for word, (label, _) in zip(words[tag], labels, strict=True))
            )


if __name__ == "__main__":
    main()
