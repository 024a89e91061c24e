"""What several processes of one machine cost or gain: a short run with ``--nproc``, as users start it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from polymod.bench.timing import ratio
from polymod.errors import Failure

WORLD = ("--families", "2", "--sentences", "2000", "--train-examples", "50", "--test-examples", "20")
SIZES = ("--model.preset", "tiny", "--train.batch-tokens", "8192", "--train.micro-tokens", "2048")
STEPS = ("--train.steps", "6", "--train.log-every", "2", "--train.score-tokens", "128")


def beside_one(count: int, rounds: int) -> dict[str, Any]:
    """Tokens per second with so many processes over those with one; all share the cores of this machine."""
    rates: dict[int, list[float]] = {1: [], count: []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        polymod("world", "--out", folder / "world", "--languages", "8", *WORLD)
        polymod(
            "prepare", "--text", folder / "world" / "text", "--out", folder / "data", "--vocab-size", "2000"
        )
        for turn in range(min(rounds, 3)):
            for nproc, values in rates.items():
                out = folder / f"run-{turn}-{nproc}"
                words = ("--data", folder / "data", "--out", out, *SIZES, *STEPS, "--nproc", str(nproc))
                values.append(polymod("pretrain", *words)["speed"]["tokens_per_second"])
    return {"ratio": ratio(rates[count], rates[1]), "unit": "times the tokens/s of one"}


def polymod(*words: str | Path) -> dict[str, Any]:
    """The document of a command that ran in a process of its own.

    Raises:
        Failure: it ended with an error.
    """
    command = [sys.executable, "-m", "polymod", *map(str, words), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"{' '.join(command[2:5])} ended with {done.returncode}: {done.stderr[-2000:]}")
    document: dict[str, Any] = json.loads(done.stdout)
    return document
