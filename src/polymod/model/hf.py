"""Directories of ``transformers``: read an X-MOD one, write one, and prove that both sides compute the same.

Foreign files are checked before anything is built: sizes, names, an allow-list of config fields, safetensors
only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor

from polymod.batch import Batch
from polymod.errors import Failure, UserError
from polymod.files import read_json
from polymod.model.config import SHARED, ModelConfig
from polymod.model.heads import MaskedLM, initialise
from polymod.model.hf_names import (
    State,
    from_hub,
    hub_config,
    hub_name,
    model_config,
    purpose,
    task_fields,
    task_head,
    to_hub,
)
from polymod.model.tasks import TaskModel, TaskSpec

Model = MaskedLM | TaskModel

TOLERANCE = 1e-5  # of hidden states and logits in fp32, relative to the largest one where that is above 1
_LARGEST_CONFIG = 2**20


@dataclass(frozen=True)
class Difference:
    """Largest absolute differences between the two sides on one mixed batch."""

    hidden: float | None  # None if they are no output
    logits: float
    languages: int


def read_model(folder: Path, *, mask_id: int | None) -> tuple[MaskedLM, bool]:
    """A model from an X-MOD directory, and whether it had a masked-LM head (a new one is initialised if not).

    Args:
        mask_id: id of the mask token; ``None`` means the last row, as in XLM-R.

    Raises:
        UserError: not such a directory, pickled weights, unreadable or unfitting files.
    """
    document, weights = read_config(folder), read_weights(folder)
    if document.get("model_type") == "polymod":
        return _read_own(document, weights, folder), True
    config = model_config(document, mask_id=mask_id, where=str(folder / "config.json"))
    model = MaskedLM(config)
    initialise(model, seed=0)
    has_head = "lm_head.dense.weight" in weights
    expected = {name: t for name, t in model.state_dict().items() if has_head or not name.startswith("head.")}
    model.load_state_dict(from_hub(weights, expected, config, where=str(folder)), strict=False)
    return model.eval(), has_head


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a directory, nothing of it believed yet.

    Raises:
        UserError: it is not there, too large, or no mapping.
    """
    config_file = folder / "config.json"
    if config_file.is_file() and config_file.stat().st_size > _LARGEST_CONFIG:
        raise UserError(f"config.json larger than {_LARGEST_CONFIG:,} bytes", where=str(folder))
    document = read_json(config_file)
    if not isinstance(document, dict):
        raise UserError("config.json is not a mapping", where=str(folder))
    return document


def _read_own(document: dict[str, Any], weights: State, folder: Path) -> MaskedLM:
    """A model that polymod wrote under its own type."""
    if document.get("architectures") != ["PolymodForMaskedLM"]:
        what = f"an export of {document.get('architectures')}; only masked-LM models can be imported"
        raise UserError(what, where=str(folder))
    model = MaskedLM(own_config(document, folder))
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise _damaged(error, folder) from None
    return model.eval()


def own_config(document: dict[str, Any], folder: Path) -> ModelConfig:
    """The model that polymod's own ``config.json`` describes.

    Raises:
        UserError: it is damaged.
    """
    try:
        return ModelConfig.model_validate(document.get("polymod"))
    except ValidationError as error:
        raise _damaged(error, folder) from None


def _damaged(error: Exception, folder: Path) -> UserError:
    return UserError(f"damaged or of another version: {str(error).splitlines()[0]}", where=str(folder))


def write_model(model: Model, folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors``.

    A model that ``transformers`` has becomes its X-MOD (XLM-R in the dense arm), with its masked-LM or task
    head; any other one becomes polymod's own type, which loads after ``import polymod``.
    """
    spec = model.spec if isinstance(model, TaskModel) else None
    write_config(model, folder)
    state: State = model.state_dict()
    if model.config.is_xmod:
        state = to_hub(state, model.config, spec)
    elif spec is not None:
        encoder = {name: tensor for name, tensor in state.items() if not name.startswith("head.")}
        state = encoder | task_head(state, spec)
    state = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def write_config(model: Model, folder: Path) -> None:
    """Write ``config.json``."""
    spec = model.spec if isinstance(model, TaskModel) else None
    if model.config.is_xmod:
        document = hub_config(model.config, spec)
        (folder / "config.json").write_text(json.dumps(document, indent=1) + "\n")
    else:
        from polymod.model.hf_config import PolymodConfig

        fields = {"architectures": [f"Polymod{purpose(spec)}"], **task_fields(spec)}
        PolymodConfig.of(model.config, **fields).save_pretrained(folder)


def compare(model: Model, folder: Path, *, has_head: bool = True, seed: int = 0) -> Difference:
    """Load the directory with plain ``transformers`` and compare hidden states and logits on a mixed batch.

    Raises:
        Failure: they differ by more than ``TOLERANCE``.
    """
    batch, ids_ST, mask_ST = mixed_batch(model.config, seed)
    spec = model.spec if isinstance(model, TaskModel) else None
    reference = _load_transformers(folder, f"AutoModel{purpose(spec)}" if has_head else "XmodModel")
    languages: dict[str, Any] = {}
    if hasattr(reference.config, "languages"):
        languages["lang_ids"] = _language_ids(model.config, batch, list(reference.config.languages))
    with torch.no_grad():
        out = reference(ids_ST, attention_mask=mask_ST.long(), output_hidden_states=True, **languages)
        pairs = [(model.encoder(batch), out.hidden_states[-1][mask_ST])]
        if has_head:
            pairs.append((all_logits(model, batch), _their_logits(out, spec, mask_ST)))
    differences = [relative_difference(ours, theirs) for ours, theirs in pairs]
    hidden, logits = (difference for difference, _ in (*differences, (0.0, 0.0))[:2])
    if not all(relative <= TOLERANCE for _, relative in differences):
        sizes = f"hidden states differ by {hidden:.2e}, logits by {logits:.2e}"
        raise Failure(f"transformers computes something else: {sizes}", where=str(folder))
    return Difference(hidden, logits, len(set(batch.route.tags)))


def relative_difference(ours: Tensor, theirs: Tensor) -> tuple[float, float]:
    """Largest absolute difference, and the same over the largest of their values where that is above 1."""
    difference = (ours - theirs).abs().max().item()
    return difference, difference / max(1.0, theirs.abs().max().item())


def all_logits(model: Model, batch: Batch) -> Tensor:
    """Logits of every row of a batch, or of every sequence."""
    if isinstance(model, TaskModel) and model.spec.kind == "token":
        batch = replace(batch, target_rows_M=torch.arange(batch.num_tokens))
    return model.logits(batch)


def _their_logits(out: Any, spec: TaskSpec | None, mask_ST: Tensor) -> Tensor:
    kind = "token" if spec is None else spec.kind
    logits: Tensor = torch.stack([out.start_logits, out.end_logits], -1) if kind == "span" else out.logits
    return logits if kind == "sequence" else logits[mask_ST]


def _load_transformers(folder: Path, class_name: str) -> Any:
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()
    model_class: Any = getattr(transformers, class_name)
    return model_class.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()


def mixed_batch(config: ModelConfig, seed: int) -> tuple[Batch, Tensor, Tensor]:
    """Sequences of several lengths in up to eight languages, at least four of them, packed and padded."""
    generator = torch.Generator().manual_seed(seed)
    some = config.languages if len(config.languages) <= 8 else config.languages[:: len(config.languages) // 8]
    tags = [tag for tag in some for _ in range(-(-4 // len(some)))]
    longest = min(32, config.architecture.max_length)
    lengths = [max(2, longest - 3 * (i % 8)) for i in range(len(tags))]
    sequences = [torch.randint(0, config.vocab_size, (n,), generator=generator) for n in lengths]
    for ids in sequences:
        ids[ids == config.pad_id] = config.eos_id
    ids_ST = torch.full((len(tags), longest), config.pad_id)
    for row, ids in zip(ids_ST, sequences, strict=True):
        row[: len(ids)] = ids
    return Batch.pack(sequences, tags), ids_ST, ids_ST != config.pad_id


def _language_ids(config: ModelConfig, batch: Batch, names: list[str]) -> Tensor:
    """Index of each sequence's language in the directory's own list."""
    firsts = batch.starts_S1[:-1].tolist()
    tags = [tag for row in firsts for tag, start, stop in batch.route.spans if tag and start <= row < stop]
    if config.is_xmod:
        tags = [hub_name(config, SHARED if config.arm == "shared" else tag) for tag in tags]
    return torch.tensor([names.index(tag) for tag in tags])


def read_weights(folder: Path) -> State:
    """All tensors of a directory.

    Raises:
        UserError: pickled, missing or unreadable files.
    """
    files = [folder / "model.safetensors"]
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        names = sorted(set(read_json(index)["weight_map"].values()))
        if any(Path(name).name != name for name in names):
            raise UserError("the index names files outside the directory", where=str(index))
        files = [folder / name for name in names]
    missing = [file for file in files if not file.is_file()]
    if missing:
        pickled = sorted(path.name for path in folder.glob("*.bin"))
        if pickled:
            what = f"polymod reads safetensors only; {pickled[0]} is pickled, which can run code"
            fix = "where you trust it, load it with transformers and save_pretrained() it as safetensors"
            raise UserError(what, where=str(folder), fix=fix)
        raise UserError(
            f"no {missing[0].name} here", where=str(folder), fix="give a transformers model directory"
        )
    weights: State = {}
    for file in files:
        try:
            weights |= load_file(file)
        except safetensors.SafetensorError as error:
            raise UserError(f"not a safetensors file: {error}", where=str(file)) from None
    return weights
