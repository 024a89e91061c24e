"""Gradient agreement while a run trains: a line of ``gradients.jsonl`` every N steps.

At such a step every language's sequences of the batch pass through the model once more, in two halves, before
the step is made as ever. So it costs about one step in N, and nothing of the run changes, not one bit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from polymod.batch import GlobalBatch
from polymod.diagnose.gradients import Collection, trunk_of
from polymod.diagnose.halves import halves
from polymod.diagnose.sketch import Rows, buckets_for
from polymod.metrics import StepMetrics
from polymod.model.heads import MaskedLM
from polymod.train.loop import TrainState, Update
from polymod.train.parallel import ALONE, Ranks

GRADIENTS = "gradients.jsonl"


def monitored(
    update: Update[GlobalBatch],
    run: Path,
    *,
    every: int,
    since: int,
    dtype: torch.dtype,
    ranks: Ranks = ALONE,
) -> Update[GlobalBatch]:
    """The same update, which also notes the agreement of the gradients it starts from.

    Args:
        every: steps between two lines; 0 gives the update itself.
        since: step that training goes on from; lines of that step and later ones are written again.
        dtype: of the forward pass.
        ranks: the processes of the run, of which the first one writes.
    """
    if not every:
        return update
    path = run / GRADIENTS
    if ranks.first:
        kept = [line for line in read_gradients(run) if line["step"] < since]
        path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")

    def noting(state: TrainState, batch: GlobalBatch) -> StepMetrics:
        if state.step % every == 0:
            assert isinstance(state.model, MaskedLM)
            state.optimizer.zero_grad(set_to_none=True)  # their memory, before that of other gradients
            found = measure(state.model, batch.whole or batch, dtype, ranks)
            if ranks.first:
                line = {"kind": "gradients", "step": state.step, **found}
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line, allow_nan=False) + "\n")
        return update(state, batch)

    return noting


def measure(model: MaskedLM, batch: GlobalBatch, dtype: torch.dtype, ranks: Ranks = ALONE) -> dict[str, Any]:
    """Agreement of a batch's languages, without dropout: the trunk's matrices, means of its parts.

    Args:
        ranks: processes that have the same batch and share the work.
    """
    parts = halves(batch)
    count = sum(map(len, parts.values()))
    rows = Rows(count, buckets_for(sum(each.numel() for each in trunk_of(model).values()), count))
    collection, training = Collection(model, rows, dtype), model.training
    model.eval()
    for tag, of_language in parts.items():
        for half in of_language:
            collection.add(tag, half, elsewhere=len(collection.labels) % ranks.size != ranks.rank)
    rows.sum_(ranks)
    model.train(training)
    return {"sketch": rows.buckets, **collection.document(("cosine", "corrected"), ())}


def read_gradients(run: Path) -> list[dict[str, Any]]:
    """All lines that a run's monitor wrote; a last line that was cut by a kill is left out."""
    path = run / GRADIENTS
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1] if line]
