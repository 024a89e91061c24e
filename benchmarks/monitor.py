"""What ``pretrain --monitor.gradients`` costs, and whether it sees what ``diagnose gradients`` sees.

``python benchmarks/monitor.py RUN DATA OUT [ROUNDS]``: at every checkpoint that a run has kept, the line that
the monitor would write for a batch of each size beside the diagnosis of the same checkpoint, which reads
eight batches of each language; then a step and a line of the monitor in turns.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from polymod.batch import GlobalBatch
from polymod.bench.timing import interleaved, ratio
from polymod.data.loader import TrainLoader
from polymod.diagnose.monitor import measure
from polymod.diagnose.subject import Subject
from polymod.train.config import TrainOptions
from polymod.train.joint import joint
from polymod.train.loop import TrainState
from polymod.train.optim import build_optimizer

EVERY, ROUNDS = 50, "7"
BATCHES = (4_096, 16_384, 65_536)  # tokens
OFFLINE = 8_192  # tokens of each language in each of the diagnosis' batches
CPU = torch.device("cpu")


def main() -> None:
    run, data, out, rounds = (*sys.argv[1:], ROUNDS)[:4]
    offline = diagnosis(run, data, out)
    subjects = Subject.opened(Path(run), Path(data), languages=(), block=0).at_every_checkpoint()
    print(
        f"{len(subjects[0].tags)} languages; correlation of the monitor with the diagnosis over their pairs"
    )
    print(
        "tokens of a batch"
        + "".join(f"{f'step {subject.saved.step:,}':>14}" for subject in subjects)
        + "    time"
    )
    for tokens in BATCHES:
        found = [correlation(subject, tokens, offline[subject.saved.step]) for subject in subjects]
        share = "{median:.2%} ({min:.2%} to {max:.2%})".format(**cost(subjects[-1], tokens, int(rounds)))
        print(f"{tokens:>17,}" + "".join(f"{each:>14.3f}" for each in found) + f"    {share}")
    print(f"time: of a line every {EVERY} steps, beside that of the steps")


def diagnosis(run: str, data: str, out: str) -> dict[int, Any]:
    """What ``diagnose gradients`` says of each checkpoint."""
    command = [
        sys.executable,
        "-m",
        "polymod",
        "diagnose",
        "gradients",
        run,
        "--data",
        data,
        "--out",
        out,
        "--json",
    ]
    command += ["--gradients.split", "train", "--gradients.checkpoints", "all"]
    command += ["--gradients.batches", "8", "--gradients.batch-tokens", str(OFFLINE)]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return {each["step"]: each for each in found["results"]}


def correlation(subject: Subject, tokens: int, offline: dict[str, Any]) -> float:
    """Of the cosines of a batch of so many tokens with those of the diagnosis, over pairs of languages."""
    online = measure(subject.model(CPU).train(), batch_of(subject, tokens), torch.float32)
    assert online["languages"] == offline["languages"]
    upper = np.triu_indices(len(online["languages"]), 1)
    both = [np.array(each["trunk"]["cosine"], dtype=float)[upper] for each in (online, offline)]
    return float(np.corrcoef(*both)[0, 1])


def cost(subject: Subject, tokens: int, rounds: int) -> dict[str, Any]:
    """Share of the time of training that a line every so many steps takes."""
    options = TrainOptions(steps=10**6, batch_tokens=tokens, block_tokens=subject.block)
    model = subject.model(CPU).train()
    state, update = TrainState(model, build_optimizer(model, options)), joint(options, CPU, torch.float32)
    batch = batch_of(subject, tokens)
    seconds = interleaved(
        {"step": lambda: update(state, batch), "line": lambda: measure(model, batch, torch.float32)}, rounds
    )
    return ratio([each / EVERY for each in seconds["line"]], seconds["step"])


def batch_of(subject: Subject, tokens: int) -> GlobalBatch:
    """A batch of training that the run has not seen."""
    bos_id = subject.shards.vocabulary.bos_id
    loader = TrainLoader(subject.shards, subject.tags, subject.masking, subject.plan(tokens), bos_id=bos_id)
    return loader.at(10**6)


if __name__ == "__main__":
    main()
