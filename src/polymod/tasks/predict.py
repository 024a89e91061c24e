"""What a task model predicts for examples of one language, through that language's modules or through others.

M target rows, N packed rows, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polymod.model.tasks import TaskModel
from polymod.tasks.encoded import Encoded
from polymod.tasks.examples import Coded, batches
from polymod.tasks.task import Task
from polymod.train.score import evaluating

BUDGET = 2**13  # tokens of a batch

Logits = NDArray[np.float32]


def predict(
    model: TaskModel,
    task: Task,
    coded: Coded,
    *,
    via: Mapping[str, str | None] | None = None,
    told: Callable[[int], None] | None = None,
) -> list[Any]:
    """A prediction for every example, in order, in fp32 without dropout.

    Args:
        via: languages whose rows pass through another pack, or through none.
        told: called with the number of sequences done.
    """
    sequences = coded.sequences
    logits = read_logits(model, sequences, [coded.tag] * len(sequences), via=via, told=told)
    at, predictions = 0, []
    for example, encoded in zip(coded.examples, coded.encoded, strict=True):
        predictions.append(task.decode(example, encoded, logits[at : at + len(encoded)]))
        at += len(encoded)
    return predictions


def read_logits(
    model: TaskModel,
    sequences: Sequence[Encoded],
    tags: Sequence[str],
    *,
    via: Mapping[str, str | None] | None = None,
    budget: int = BUDGET,
    told: Callable[[int], None] | None = None,
) -> list[Logits]:
    """The logits of every sequence: (1, C) of sequences, (M, C) of tokens, (N, 2) of spans."""
    logits: list[Logits] = [np.empty(0, np.float32)] * len(sequences)
    device, done = next(model.parameters()).device, 0
    with evaluating(model):
        for indices, batch in batches(sequences, tags, budget=budget):
            out = model.logits(batch.via(via or {}).to(device)).float().cpu()
            sizes = [_rows(model, sequences[index]) for index in indices]
            for index, part in zip(indices, out.split(sizes), strict=True):
                logits[index] = part.numpy()
            done += len(indices)
            if told is not None:
                told(done)
    return logits


def _rows(model: TaskModel, sequence: Encoded) -> int:
    """Rows of the logits that belong to a sequence."""
    return {"sequence": 1, "token": len(sequence.rows), "span": len(sequence.ids)}[model.spec.kind]
