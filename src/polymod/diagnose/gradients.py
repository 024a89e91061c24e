"""Gradients of the trunk for one language at a time, and how far languages agree, by layer and group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from polymod.batch import Batch
from polymod.diagnose.agreement import Matrix, agreement
from polymod.diagnose.groups import cells, sizes, vectors
from polymod.diagnose.kinship import Kinship
from polymod.diagnose.options import GradientOptions
from polymod.diagnose.samples import SamplePlan, samples
from polymod.diagnose.sketch import Rows, buckets_for
from polymod.diagnose.subject import Subject
from polymod.model.heads import MaskedLM
from polymod.model.partition import GROUPS, TRUNK, owner

ALL_MATRICES = 256  # languages; of more, the document has two matrices of the trunk and means of its parts


def trunk_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """The trunk's parameters by name."""
    return {name: each for name, each in model.named_parameters() if owner(name) is TRUNK}


def gradient(
    model: MaskedLM, trunk: Mapping[str, nn.Parameter], micro: Sequence[Batch], dtype: torch.dtype
) -> dict[str, Tensor]:
    """Gradient of the mean masked-LM loss of a batch for the trunk's parameters, by name.

    Nothing of the model changes, its ``.grad`` included.
    """
    parameters = list(trunk.values())
    scale = 1.0 / max(1, sum(len(batch.targets_M) for batch in micro))
    total: list[Tensor] = []
    for batch in micro:
        on_device = batch.to(parameters[0].device)
        with torch.autocast(on_device.ids_N.device.type, dtype, enabled=dtype != torch.float32):
            loss, _ = model(on_device, scale=scale)
        found = torch.autograd.grad(loss, parameters, materialize_grads=True)
        total = [a + b for a, b in zip(total, found, strict=True)] if total else list(found)
    return dict(zip(trunk, total, strict=True))


class Collection:
    """Gradients of several batches of several languages, as rows.

    Args:
        model: in the mode that it is to be measured in: without dropout, as a rule.
        rows: where they are kept.
        dtype: of the forward pass.
    """

    def __init__(self, model: MaskedLM, rows: Rows, dtype: torch.dtype = torch.float32) -> None:
        self._model, self._rows, self._dtype = model, rows, dtype
        self._trunk, self._cells = trunk_of(model), cells(model)
        self.labels: list[str] = []

    def add(self, tag: str, micro: Sequence[Batch], *, elsewhere: bool = False) -> None:
        """The gradient of one batch; the batches of a language follow each other.

        Args:
            elsewhere: another process computes it, this one has zeros.
        """
        if elsewhere:
            found = {name: torch.zeros_like(each) for name, each in self._trunk.items()}
        else:
            found = gradient(self._model, self._trunk, micro, self._dtype)
        self._rows.add(vectors(found, self._cells))
        self.labels.append(tag)

    def document(self, trunk: Sequence[str], parts: Sequence[str]) -> dict[str, Any]:
        """Agreement of all the trunk, of groups and layers, and a summary of every group in every layer.

        Args:
            trunk: names of the matrices of all the trunk.
            parts: of groups and layers.
        """
        numbers = sizes(self._model, self._cells)
        grams: dict[tuple[str, object], Matrix] = {}
        counts: Counter[tuple[str, object]] = Counter()
        in_cells = []
        for where in self._rows.places:
            gram_RR = self._rows.gram(where)
            found = agreement(gram_RR, self.labels).document()
            in_cells.append({**where._asdict(), "parameters": numbers[where], **found})
            for part in (("trunk", None), ("group", where.group), ("layer", where.layer)):
                counts[part] += numbers[where]
                grams[part] = grams[part] + gram_RR if part in grams else gram_RR

        def over(kind: str, which: object, names: Sequence[str]) -> dict[str, Any]:
            found = agreement(grams[kind, which], self.labels)
            return {"parameters": counts[kind, which], **found.document(*names)}

        layers = sorted({where.layer for where in self._rows.places if where.layer is not None})
        return {
            "languages": list(dict.fromkeys(self.labels)),
            "trunk": over("trunk", None, trunk),
            "groups": {group: over("group", group, parts) for group in GROUPS if ("group", group) in grams},
            "layers": [over("layer", layer, parts) for layer in layers],
            "cells": in_cells,
        }


def diagnose_gradients(
    subject: Subject, options: GradientOptions, device: torch.device, tell: Callable[[int], None]
) -> dict[str, Any]:
    """Agreement of a checkpoint's languages on equally many tokens of each.

    Args:
        tell: called with the number of gradients done.
    """
    model, bos_id = subject.model(device), subject.shards.vocabulary.bos_id
    kinship = Kinship.read(options.relatedness) if options.relatedness is not None else None
    numbers = sizes(model, cells(model))
    plan = SamplePlan(subject.block, options.batches, options.batch_tokens, options.split)
    texts = {tag: samples(subject.shards, tag, subject.masking, plan, bos_id=bos_id) for tag in subject.tags}
    count = options.batches * len(texts)
    buckets = buckets_for(sum(numbers.values()), count) if options.sketch < 0 else options.sketch
    collection = Collection(model, Rows(count, buckets, options.seed))
    for tag, batches in texts.items():
        for micro in batches:
            collection.add(tag, micro)
            tell(len(collection.labels))
    if len(subject.tags) <= ALL_MATRICES:
        parts = ("cosine", "cosine_se")
        document = collection.document((*parts, "corrected", "corrected_se", "conflict"), parts)
    else:
        document = collection.document(("cosine", "corrected"), ())
    if kinship is not None:
        document["along_relatedness"] = kinship.of_gradients(document)
    tokens = options.batch_tokens // subject.block * subject.block
    return {**subject.heading, "sketch": buckets, "tokens_per_batch": tokens, **document}
