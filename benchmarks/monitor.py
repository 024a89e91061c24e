"""What ``pretrain --monitor.gradients`` costs, and whether it sees what ``diagnose gradients`` sees.

``python benchmarks/monitor.py DATA OUT [STEPS] [BATCH_TOKENS] [ROUNDS]``: trains for so many steps, with a
line of the monitor at the end, diagnoses the same checkpoint with eight times the text, and prints how far
the two matrices correlate over pairs of languages; then times a step and a line in turns.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polymod.bench.timing import interleaved, ratio
from polymod.data.loader import TrainLoader
from polymod.diagnose.monitor import measure, read_gradients
from polymod.diagnose.subject import Subject
from polymod.train.config import TrainOptions
from polymod.train.joint import joint
from polymod.train.loop import TrainState
from polymod.train.optim import build_optimizer

EVERY, BATCHES = 50, 8
CPU = torch.device("cpu")


def main() -> None:
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    steps, tokens, rounds = (
        int(word) for word in (*sys.argv[3:], *("600", "2048", "9")[len(sys.argv) - 3 :])
    )
    run = out / "run"
    polymod(
        *("pretrain", "--data", data, "--out", run, "--train.steps", steps + 1, "--train.save-every", steps),
        *("--train.batch-tokens", tokens, "--train.micro-tokens", tokens, "--monitor.gradients", steps),
    )
    subject = next(each for each in Subject.opened(run, data, languages=(), block=0).at_every_checkpoint())
    assert subject.saved.step == steps
    print(f"{len(subject.tags)} languages, {tokens:,} tokens a step, after {steps:,} steps")
    print(
        f"correlation of the matrices: {correlation(run, data, out, steps, tokens // len(subject.tags)):.3f}"
    )
    print(
        "cost of a line every {} steps: {median:.2%} ({min:.2%} to {max:.2%})".format(
            EVERY, **cost(subject, tokens, rounds)
        )
    )


def correlation(run: Path, data: Path, out: Path, steps: int, tokens: int) -> float:
    """Of the monitor's cosines with those of the diagnosis, over pairs of languages."""
    (online,) = (line for line in read_gradients(run) if line["step"] == steps)
    found = polymod(
        *("diagnose", "gradients", run, "--data", data, "--out", out / "diagnosis"),
        *("--gradients.split", "train", "--gradients.checkpoints", "all"),
        *("--gradients.batches", BATCHES, "--gradients.batch-tokens", tokens),
    )
    (offline,) = (each for each in found["results"] if each["step"] == steps)
    assert online["languages"] == offline["languages"]
    upper = np.triu_indices(len(online["languages"]), 1)
    both = [np.array(each["trunk"]["cosine"], dtype=float)[upper] for each in (online, offline)]
    return float(np.corrcoef(*both)[0, 1])


def cost(subject: Subject, tokens: int, rounds: int) -> dict[str, Any]:
    """Share of the time of training that a line every so many steps takes."""
    options = TrainOptions(steps=10**6, batch_tokens=tokens, micro_tokens=tokens, block_tokens=subject.block)
    model = subject.model(CPU).train()
    state, update = TrainState(model, build_optimizer(model, options)), joint(options, CPU, torch.float32)
    bos_id = subject.shards.vocabulary.bos_id
    batch = TrainLoader(
        subject.shards, subject.tags, subject.masking, subject.plan(tokens), bos_id=bos_id
    ).at(0)
    seconds = interleaved(
        {"step": lambda: update(state, batch), "line": lambda: measure(model, batch, torch.float32)}, rounds
    )
    return ratio([each / EVERY for each in seconds["line"]], seconds["step"])


def polymod(*words: object) -> dict[str, Any]:
    """One command's JSON document."""
    command = [sys.executable, "-m", "polymod", *map(str, words), "--json"]
    document: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return document


if __name__ == "__main__":
    main()
