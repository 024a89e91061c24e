"""Gradients of the trunk for one language at a time, and how far languages agree, by layer and group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from polymod.batch import Batch
from polymod.diagnose.agreement import agreement, spearman
from polymod.diagnose.groups import Cells, cells, sizes, vectors
from polymod.diagnose.options import GradientOptions
from polymod.diagnose.samples import SamplePlan, samples
from polymod.diagnose.sketch import Rows, buckets_for
from polymod.diagnose.subject import Subject
from polymod.errors import UserError
from polymod.files import read_json
from polymod.model.heads import MaskedLM
from polymod.model.partition import GROUPS, TRUNK, Place, partition

ALL_MATRICES = 256  # languages; of more, the document has two matrices of the trunk and means of its parts


def trunk_gradient(model: MaskedLM, micro: Sequence[Batch], dtype: torch.dtype) -> dict[str, Tensor]:
    """Gradient of the mean masked-LM loss of a batch for the trunk's parameters, by name.

    Nothing of the model changes, its ``.grad`` included.
    """
    names = partition(name for name, _ in model.named_parameters())[TRUNK]
    parameters = [model.get_parameter(name) for name in names]
    scale = 1.0 / max(1, sum(len(batch.targets_M) for batch in micro))
    total: list[Tensor] = []
    for batch in micro:
        on_device = batch.to(parameters[0].device)
        with torch.autocast(on_device.ids_N.device.type, dtype, enabled=dtype != torch.float32):
            loss, _ = model(on_device, scale=scale)
        found = torch.autograd.grad(loss, parameters, materialize_grads=True)
        total = [a + b for a, b in zip(total, found, strict=True)] if total else list(found)
    return dict(zip(names, total, strict=True))


class Collection:
    """Gradients of several batches of several languages, as rows.

    Args:
        rows: where they are kept.
        dtype: of the forward pass.
    """

    def __init__(self, model: MaskedLM, rows: Rows, dtype: torch.dtype = torch.float32) -> None:
        self._model, self._rows, self._dtype = model, rows, dtype
        self._cells: Cells = cells(model)
        self.labels: list[str] = []

    def add(self, tag: str, micro: Sequence[Batch]) -> None:
        """The gradient of one batch, without dropout; the batches of a language follow each other."""
        training = self._model.training
        self._model.eval()
        try:
            gradient = trunk_gradient(self._model, micro, self._dtype)
        finally:
            self._model.train(training)
        self._rows.add(vectors(gradient, self._cells))
        self.labels.append(tag)

    def document(self, trunk: Sequence[str], parts: Sequence[str]) -> dict[str, Any]:
        """Agreement of all the trunk, of groups and layers, and a summary of every group in every layer.

        Args:
            trunk: names of the matrices of all the trunk.
            parts: of groups and layers.
        """
        everywhere, numbers = self._rows.places, sizes(self._model, self._cells)

        def over(places: Iterable[Place], names: Sequence[str]) -> dict[str, Any]:
            chosen = list(places)
            found = agreement(self._rows.gram(*chosen), self.labels)
            return {"parameters": sum(numbers[where] for where in chosen), **found.document(*names)}

        layers = sorted({where.layer for where in everywhere if where.layer is not None})
        groups = [group for group in GROUPS if any(where.group == group for where in everywhere)]
        return {
            "languages": list(dict.fromkeys(self.labels)),
            "trunk": over(everywhere, trunk),
            "groups": {group: over((p for p in everywhere if p.group == group), parts) for group in groups},
            "layers": [over((p for p in everywhere if p.layer == layer), parts) for layer in layers],
            "cells": [{**where._asdict(), **over([where], ())} for where in everywhere],
        }


def along(relatedness: Mapping[str, Any], measured: Mapping[str, Any], matrix: str) -> float | None:
    """Spearman correlation of a matrix with the relatedness of the languages, over pairs.

    Args:
        relatedness: ``tags`` and ``rows``, as a world's ``world.json`` has them.
        measured: ``languages`` and the matrix ``trunk[matrix]``.

    Returns:
        ``None`` if fewer than three pairs are known to both.
    """
    place = {tag: number for number, tag in enumerate(relatedness["tags"])}
    tags = list(measured["languages"])
    pairs = [
        (relatedness["rows"][place[a]][place[b]], measured["trunk"][matrix][i][j])
        for i, a in enumerate(tags)
        for j, b in enumerate(tags[:i])
        if a in place and b in place and measured["trunk"][matrix][i][j] is not None
    ]
    return spearman(*zip(*pairs, strict=True)) if len(pairs) > 2 else None


def diagnose_gradients(
    subject: Subject, options: GradientOptions, device: torch.device, tell: Callable[[int], None]
) -> dict[str, Any]:
    """Agreement of a checkpoint's languages on equally many tokens of each.

    Args:
        tell: called with the number of gradients done.
    """
    model, bos_id = subject.model(device), subject.shards.vocabulary.bos_id
    numbers = sizes(model, cells(model))
    plan = SamplePlan(subject.block, options.batches, options.batch_tokens, options.split)
    texts = {tag: samples(subject.shards, tag, subject.masking, plan, bos_id=bos_id) for tag in subject.tags}
    count = options.batches * len(texts)
    buckets = buckets_for(sum(numbers.values()), count) if options.sketch < 0 else options.sketch
    collection = Collection(model, Rows(buckets, options.seed))
    for tag, batches in texts.items():
        for micro in batches:
            collection.add(tag, micro)
            tell(len(collection.labels))
    if len(subject.tags) <= ALL_MATRICES:
        parts = ("cosine", "cosine_se")
        document = collection.document((*parts, "corrected", "corrected_se", "conflict"), parts)
    else:
        document = collection.document(("cosine", "corrected"), ())
    if options.relatedness is not None:
        known = _relatedness(options.relatedness)
        document["along_relatedness"] = {
            name: along(known, document, name) for name in ("cosine", "corrected")
        }
    tokens = options.batch_tokens // subject.block * subject.block
    return {**subject.heading, "sketch": buckets, "tokens_per_batch": tokens, **document}


def _relatedness(path: Path) -> dict[str, Any]:
    document = read_json(path)
    found = document.get("relatedness") if isinstance(document, dict) else None
    if not isinstance(found, dict) or not {"tags", "rows"} <= set(found):
        raise UserError("no relatedness.tags and relatedness.rows here", where=str(path))
    return found
