"""Train several variants of one run: ``python benchmarks/sweep.py VARIANTS.yaml DATA OUT [JOBS]``.

VARIANTS.yaml maps a name to the options of ``polymod pretrain``; the key ``all`` holds options of every
variant. JOBS runs go on at a time (1 by default; set OMP_NUM_THREADS to match). They are resumable, and
skipped when they are finished. Prints one table.
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
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
    file, data, out = map(Path, sys.argv[1:4])
    jobs = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    variants, _ = parse_yaml(file.read_text(encoding="utf-8"), where=str(file))
    common = variants.pop("all", {})
    print("| variant | options | tokens | valid loss | below unigram | minutes |")
    print("|---|---|---|---|---|---|")
    with ThreadPoolExecutor(jobs) as pool:
        results = pool.map(
            lambda name: train(name, flatten(common) | flatten(variants[name]), data, out), variants
        )
        for name, result in zip(variants, results, strict=True):
            print(row(name, flatten(variants[name]), result), flush=True)


def row(name: str, options: dict[str, object], result: dict[str, float]) -> str:
    """One line of the table."""
    shown = " ".join(f"{key} {value}" for key, value in options.items())
    below = result["entropy"] - result["loss"]
    minutes = f"{result['seconds'] / 60:.1f}"
    numbers = f"{result['tokens'] / 1e6:.1f} M | {result['loss']:.3f} | {below:.3f} | {minutes}"
    return f"| {name} | {shown} | {numbers} |"


if __name__ == "__main__":
    main()
