"""A language is added to a trained model, everything else frozen; the old ones stay as they were, to the bit.

python examples/add_a_language.py --steps 200
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import polymod
from polymod.cli import execute

OLD, NEW, RELATIVE = ("qaa", "qab", "qba", "qbb"), "qac", "qaa"


def command(name: str, *words: object) -> None:
    """A polymod command, as in a shell."""
    if code := execute(name, [str(word) for word in words]):
        raise SystemExit(code)


def main() -> None:
    """A model of four languages, then a fifth."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/example"))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--examples", type=int, default=300, help="of each task and language of the world")
    given = parser.parse_args()

    world, data, run = (given.folder / name for name in ("world", "data", "run"))
    sizes = ("--sentences", 3000, "--train-examples", given.examples, "--test-examples", 50)
    command("world", "--out", world, "--languages", 5, "--families", 2, *sizes)
    languages = ("--languages", ",".join(OLD))
    command("prepare", "--text", world / "text", "--out", data, *languages, "--vocab-size", 1500)
    size = ("--model.preset", "modern-tiny", "--train.batch-tokens", 2048, "--train.block-tokens", 64)
    command("pretrain", "--data", data, "--out", run, *size, "--train.steps", given.steps)

    model = polymod.load(run)
    text = world / "text" / f"{NEW}.txt"
    steps = {"steps": max(2, given.steps // 2)}
    larger = model.add_language(
        NEW, text=text, out=given.folder / "larger", init_from=[RELATIVE], train=steps
    )
    print(f"{model.languages} became {larger.languages}")

    sentences = {tag: (world / "retrieval" / f"{tag}.txt").read_text().splitlines() for tag in (*OLD, NEW)}
    for tag in OLD:
        before, after = (each.embed(sentences[tag], language=tag) for each in (model, larger))
        print(
            f"{tag}: vectors before and after are {'equal' if np.array_equal(before, after) else 'NOT equal'}"
        )
    vectors = [larger.embed(sentences[tag], language=tag) for tag in (RELATIVE, NEW)]
    found = (vectors[0] @ vectors[1].T).argmax(-1) == np.arange(len(vectors[0]))
    print(f"{RELATIVE} to {NEW}: {found.mean():.0%} of the sentences find their translation")


if __name__ == "__main__":
    main()
