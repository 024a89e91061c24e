"""Train several variants of one run and print a table: ``python benchmarks/sweep.py VARIANTS.yaml DATA OUT``.

VARIANTS.yaml maps a name to the options of ``polymod pretrain``; the key ``all`` holds options of every
variant. Runs are one after the other, resumable, and skipped when they are finished.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from polymod.config import flatten
from polymod.train.log import read_metrics
from polymod.yaml12 import parse_yaml


def train(name: str, options: dict[str, object], data: Path, out: Path) -> dict[str, float]:
    """One run, its final valid loss and how long it took."""
    words = [word for key, value in flatten(options).items() for word in (f"--{key}", str(value))]
    command = [
        sys.executable,
        "-m",
        "polymod",
        "pretrain",
        "--data",
        str(data),
        "--out",
        str(out / name),
        *words,
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    lines = read_metrics(out / name)
    valid = [line for line in lines if line["kind"] == "valid"][-1]
    steps = [line for line in lines if line["kind"] == "train"]
    return {
        "loss": valid["mean_loss"],
        "entropy": valid["mean_unigram_entropy"],
        "tokens": sum(line["tokens"] for line in steps),
        "seconds": steps[-1]["seconds"],
    }


def main() -> None:
    file, data, out = map(Path, sys.argv[1:])
    variants, _ = parse_yaml(file.read_text(encoding="utf-8"), where=str(file))
    common = variants.pop("all", {})
    print("| variant | options | tokens | valid loss | below unigram | minutes |")
    print("|---|---|---|---|---|---|")
    for name, options in variants.items():
        result = train(name, flatten(common) | flatten(options), data, out)
        shown = " ".join(f"{key} {value}" for key, value in flatten(options).items())
        below = result["entropy"] - result["loss"]
        minutes = f"{result['seconds'] / 60:.1f}"
        numbers = f"{result['tokens'] / 1e6:.1f} M | {result['loss']:.3f} | {below:.3f} | {minutes}"
        print(f"| {name} | {shown} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
