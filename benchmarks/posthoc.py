"""Is a language added afterwards as good as one that was there from the start?

``python benchmarks/posthoc.py OUT [SEEDS] [STEPS]``: on a world of 12 languages, one is once
pre-trained with the others and once added to a model of the other 11, with the same tokenizer (so that losses
compare) and the same number of its own tokens. All by commands; finished parts are not done again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, stdev
from typing import Any

ADDED, RELATIVES = "qba", "qbb,qbc"
BATCH, EXTEND_BATCH = 2048, 512


def polymod(*words: object) -> dict[str, Any]:
    """One command's JSON document."""
    command = [sys.executable, "-m", "polymod", *map(str, words), "--json"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def main() -> None:
    out = Path(sys.argv[1])
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    steps = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    world, data, fewer = out / "world", out / "data", out / "data-without"
    polymod("world", "--out", world, "--languages", 12, "--families", 4, "--sentences", 20_000)
    tags = sorted(
        polymod("prepare", "--text", world / "text", "--out", data, "--vocab-size", 4000)["languages"]
    )
    others = ",".join(tag for tag in tags if tag != ADDED)
    tokenizer = data / "tokenizer.json"
    polymod(
        "prepare", "--text", world / "text", "--out", fewer, "--tokenizer", tokenizer, "--languages", others
    )
    share = 1 / len(tags)  # all languages have as much text
    own = round(steps * BATCH * share / EXTEND_BATCH)
    print(f"| seed | {ADDED} pre-trained | {ADDED} added | ratio | without a module |")
    print("|---|---|---|---|---|")
    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(lambda seed: one(out, seed, steps, own), range(seeds)))
    for seed, (whole, added, none) in enumerate(rows):
        print(f"| {seed} | {whole:.3f} | {added:.3f} | {added / whole:.3f} | {none:.3f} |")
    ratios = [added / whole for whole, added, _ in rows]
    spread = f" ± {stdev(ratios):.3f}" if seeds > 1 else ""
    print(f"\nratio {mean(ratios):.3f}{spread}; {own * EXTEND_BATCH:,} tokens of {ADDED} in either case")


def one(out: Path, seed: int, steps: int, own: int) -> tuple[float, float, float]:
    """Valid loss of the language: pre-trained, added, added without its module."""
    data, fewer = out / "data", out / "data-without"
    train = ("--model.preset", "modern-tiny", "--train.seed", seed, "--train.save-every", 500)
    whole, without, grown = (out / f"{name}-{seed}" for name in ("whole", "without", "grown"))
    polymod("pretrain", "--data", data, "--out", whole, "--train.steps", steps, *train)
    polymod("pretrain", "--data", fewer, "--out", without, "--train.steps", steps, *train)
    text, tokenizer = out / "world" / "text" / f"{ADDED}.txt", data / "tokenizer.json"
    same_words = ("--vocab", "new", "--tokenizer", tokenizer, "--init-from", RELATIVES)
    size = ("--train.steps", own, "--train.batch-tokens", EXTEND_BATCH, "--train.micro-tokens", EXTEND_BATCH)
    words = ("--language", ADDED, "--text", text, "--out", grown, *same_words, *size, "--train.seed", seed)
    polymod("extend", without, *words)
    score = ("--data", data, "--languages", ADDED)
    found = [polymod("score", run, *score)["languages"][ADDED]["loss"] for run in (whole, grown)]
    none = polymod("score", grown, *score, "--module", "none")["languages"][ADDED]["loss"]
    return found[0], found[1], none


if __name__ == "__main__":
    main()
