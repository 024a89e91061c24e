"""Directories of ``transformers``: read an X-MOD one, write one, and prove that both sides compute the same.

Foreign files are checked before anything is built: sizes, names, an allow-list of config fields, safetensors
only.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from polymod.batch import Batch
from polymod.errors import Failure, UserError
from polymod.files import read_json
from polymod.model.config import SHARED, ModelConfig
from polymod.model.heads import MaskedLM, initialise
from polymod.model.hf_names import State, from_hub, hub_config, hub_name, model_config, to_hub

TOLERANCE = 1e-5  # of hidden states and logits in fp32, relative to the largest one where that is above 1
_LARGEST_CONFIG = 2**20


@dataclass(frozen=True)
class Difference:
    """Largest absolute differences between the two sides on one mixed batch."""

    hidden: float
    logits: float
    languages: int


def read_model(folder: Path, *, mask_id: int | None) -> tuple[MaskedLM, bool]:
    """A model from an X-MOD directory, and whether it had a masked-LM head (a new one is initialised if not).

    Args:
        mask_id: id of the mask token; ``None`` means the last row, as in XLM-R.

    Raises:
        UserError: not such a directory, pickled weights, unreadable or unfitting files.
    """
    config_file = folder / "config.json"
    if config_file.is_file() and config_file.stat().st_size > _LARGEST_CONFIG:
        raise UserError(f"config.json larger than {_LARGEST_CONFIG:,} bytes", where=str(folder))
    document = read_json(config_file)
    if not isinstance(document, dict):
        raise UserError("config.json is not a mapping", where=str(folder))
    weights = _read_weights(folder)
    if document.get("model_type") == "polymod":
        return _read_own(document, weights, folder), True
    config = model_config(document, mask_id=mask_id, where=str(config_file))
    model = MaskedLM(config)
    initialise(model, seed=0)
    has_head = "lm_head.dense.weight" in weights
    expected = {name: t for name, t in model.state_dict().items() if has_head or not name.startswith("head.")}
    model.load_state_dict(from_hub(weights, expected, config, where=str(folder)), strict=False)
    return model.eval(), has_head


def _read_own(document: dict[str, Any], weights: State, folder: Path) -> MaskedLM:
    """A model that polymod wrote under its own type."""
    try:
        model = MaskedLM(ModelConfig.model_validate(document.get("polymod")))
        model.load_state_dict(weights)
    except (ValidationError, RuntimeError) as error:
        raise UserError(
            f"damaged or of another version: {str(error).splitlines()[0]}", where=str(folder)
        ) from None
    return model.eval()


def write_model(model: MaskedLM, folder: Path) -> None:
    """Write ``config.json`` and ``model.safetensors``.

    A model that ``transformers`` has becomes its X-MOD (XLM-R in the dense arm); any other one becomes
    polymod's own type, which loads after ``import polymod``.
    """
    if model.config.is_xmod:
        document = hub_config(model.config)
        (folder / "config.json").write_text(json.dumps(document, indent=1) + "\n")
        state = to_hub(model.state_dict(), model.config)
    else:
        from polymod.model.hf_config import PolymodConfig

        PolymodConfig.of(model.config, architectures=["PolymodForMaskedLM"]).save_pretrained(folder)
        state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def compare(model: MaskedLM, folder: Path, *, has_head: bool = True, seed: int = 0) -> Difference:
    """Load the directory with plain ``transformers`` and compare hidden states and logits on a mixed batch.

    Raises:
        Failure: they differ by more than ``TOLERANCE``.
    """
    batch, ids_ST, mask_ST = _mixed_batch(model.config, seed)
    reference = _load_transformers(folder, has_head)
    languages: dict[str, Any] = {}
    if hasattr(reference.config, "languages"):
        languages["lang_ids"] = _language_ids(model.config, batch, list(reference.config.languages))
    with torch.no_grad():
        out = reference(ids_ST, attention_mask=mask_ST.long(), output_hidden_states=True, **languages)
        rows = mask_ST.bool()
        hidden = (model.encoder(batch) - out.hidden_states[-1][rows]).abs().max().item()
        scale_hidden = max(1.0, out.hidden_states[-1][rows].abs().max().item())
        logits, scale_logits = 0.0, 1.0
        if has_head:
            logits = (model.logits(batch) - out.logits[rows]).abs().max().item()
            scale_logits = max(1.0, out.logits[rows].abs().max().item())
    if not (hidden <= TOLERANCE * scale_hidden and logits <= TOLERANCE * scale_logits):
        sizes = f"hidden states differ by {hidden:.2e}, logits by {logits:.2e}"
        raise Failure(f"transformers computes something else: {sizes}", where=str(folder))
    return Difference(hidden, logits, len(set(batch.route.tags)))


def _load_transformers(folder: Path, has_head: bool) -> Any:
    from transformers import AutoModelForMaskedLM, XmodModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    model_class: Any = AutoModelForMaskedLM if has_head else XmodModel
    return model_class.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()


def _mixed_batch(config: ModelConfig, seed: int) -> tuple[Batch, torch.Tensor, torch.Tensor]:
    """Sequences of several lengths in up to eight languages, packed and padded."""
    generator = torch.Generator().manual_seed(seed)
    tags = config.languages if len(config.languages) <= 8 else config.languages[:: len(config.languages) // 8]
    longest = min(32, config.architecture.max_length)
    lengths = [max(2, longest - 3 * (i % 8)) for i in range(len(tags))]
    sequences = [torch.randint(0, config.vocab_size, (n,), generator=generator) for n in lengths]
    for ids in sequences:
        ids[ids == config.pad_id] = config.eos_id
    ids_ST = torch.full((len(tags), longest), config.pad_id)
    for row, ids in zip(ids_ST, sequences, strict=True):
        row[: len(ids)] = ids
    return Batch.pack(sequences, tags), ids_ST, ids_ST != config.pad_id


def _language_ids(config: ModelConfig, batch: Batch, names: list[str]) -> torch.Tensor:
    """Index of each sequence's language in the directory's own list."""
    tags = [tag for tag, start, stop in batch.route.spans if tag]
    if config.is_xmod:
        tags = [hub_name(config, SHARED if config.arm == "shared" else tag) for tag in tags]
    return torch.tensor([names.index(tag) for tag in tags])


def _read_weights(folder: Path) -> State:
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
