"""From text to a model that fills masks: a small world, or ``--text DIR`` with your own <language>.txt files.

    python examples/train_and_fill_mask.py --steps 200

Run it again: what is finished is not done twice.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import polymod
from polymod.cli import execute

LANGUAGES = ("qaa", "qab", "qba", "qbb")  # of the world's five; add_a_language.py adds the fifth


def command(name: str, *words: object) -> None:
    """A polymod command, as in a shell."""
    if code := execute(name, [str(word) for word in words]):
        raise SystemExit(code)


def main() -> None:
    """World, data, model, masks."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/example"))
    parser.add_argument("--text", type=Path, help="texts of your own instead of a world")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--examples", type=int, default=300, help="of each task and language of the world")
    given = parser.parse_args()

    text = given.text or given.folder / "world" / "text"
    if given.text is None:
        sizes = ("--sentences", 3000, "--train-examples", given.examples, "--test-examples", 50)
        command("world", "--out", given.folder / "world", "--languages", 5, "--families", 2, *sizes)
    data, run = given.folder / "data", given.folder / "run"
    chosen = () if given.text else ("--languages", ",".join(LANGUAGES))
    command("prepare", "--text", text, "--out", data, *chosen, "--vocab-size", 1500)
    size = ("--model.preset", "modern-tiny", "--train.batch-tokens", 2048, "--train.block-tokens", 64)
    command("pretrain", "--data", data, "--out", run, *size, "--train.steps", given.steps)

    model = polymod.load(run)
    print(model)
    for language in model.languages:
        words = next(text.glob(f"{language}.txt")).read_text().split("\n")[0].split()[:8]
        hidden, words[3] = words[3], "<mask>"
        (candidates,) = model.fill_mask(" ".join(words), language=language, top_k=3)
        shown = ", ".join(f"{token} {score:.0%}" for token, score in candidates)
        print(f"{language}: {' '.join(words)}\n    was {hidden!r}; the model says {shown}")


if __name__ == "__main__":
    main()
