"""Fine-tuned models from directories of ``transformers``, such as ``polymod export`` writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polymod.errors import UserError
from polymod.model.hf import own_config, read_config, read_weights
from polymod.model.hf_names import PURPOSES, TASK, from_hub, head_name, model_config
from polymod.model.tasks import TaskModel, TaskSpec

UNNAMED = {"0": "LABEL_0", "1": "LABEL_1"}  # labels that transformers leaves out of config.json
USUAL = {"sequence": "nli", "token": "ner", "span": "qa"}  # of a directory that does not say its task


def read_task_model(folder: Path, *, mask_id: int | None) -> TaskModel | None:
    """The fine-tuned model of a directory, or nothing if its head is none of a task.

    Args:
        mask_id: as in ``hf.read_model``.

    Raises:
        UserError: not such a directory, pickled weights, unreadable or unfitting files.
    """
    document = read_config(folder)
    spec = _spec(document, folder)
    if spec is None:
        return None
    weights, own = read_weights(folder), document.get("model_type") == "polymod"
    config = (
        own_config(document, folder)
        if own
        else model_config(document, mask_id=mask_id, where=str(folder / "config.json"))
    )
    model = TaskModel(config, spec)
    encoder = {name: t for name, t in model.state_dict().items() if not name.startswith("head.")}
    heads = {name: head_name(name, spec, xmod=not own) for name in model.state_dict().keys() - encoder.keys()}
    if missing := sorted({*(encoder if own else ()), *heads.values()} - weights.keys()):
        raise UserError(f"the weights hold no {missing[0]!r}", where=str(folder))
    state = weights if own else from_hub(weights, encoder, config, where=str(folder))
    head = {name: weights[theirs] for name, theirs in heads.items()}
    try:
        model.load_state_dict({name: state[name] for name in encoder} | head)
    except RuntimeError as error:
        raise UserError(str(error).splitlines()[-1].strip(), where=str(folder)) from None
    return model.eval()


def _spec(document: Mapping[str, Any], folder: Path) -> TaskSpec | None:
    architectures = document.get("architectures") or [""]
    kind = next((kind for kind, word in PURPOSES.items() if str(architectures[0]).endswith(word)), None)
    if kind is None:
        return None
    try:
        by_id = document.get("id2label", UNNAMED) if kind != "span" else {}
        labels = [by_id[index] for index in sorted(by_id, key=int)]
        return TaskSpec(task=document.get(TASK, USUAL[kind]), kind=kind, labels=labels)
    except (ValueError, AttributeError, TypeError) as error:  # ValidationError is a ValueError
        what = f"config.json names no labels that fit a head of the kind {kind!r}"
        raise UserError(what, where=str(folder)) from error
