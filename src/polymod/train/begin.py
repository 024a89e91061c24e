"""Begin a run with the weights of another one: the trunk, and the packs of languages that both have."""

from __future__ import annotations

from pathlib import Path

from polymod.errors import UserError
from polymod.files import MANIFEST, sha256
from polymod.model.heads import MaskedLM
from polymod.model.partition import TRUNK, is_stacked, owner
from polymod.text.tokenizer import TOKENIZER
from polymod.train.checkpoint import load_model
from polymod.train.run import found
from polymod.train.sharding import put_


def begin_from(run: Path, model: MaskedLM, tokenizer: Path) -> str:
    """Copy what a run has learnt into a new model; what only the new model has stays as it was drawn.

    A trunk of the dense or the shared arm can take modules this way: the setting of On Negative
    Interference. A language's pack, vector and rows are taken where both have them.

    Args:
        tokenizer: the file that the new run's text was cut with.

    Returns:
        SHA-256 of what was read.

    Raises:
        UserError: no whole checkpoint there, another tokenizer, or a trunk of another shape.
    """
    saved, _ = found(run)
    if sha256(run / TOKENIZER) != sha256(tokenizer):
        what = "the run has another tokenizer than the data"
        raise UserError(what, where=str(run), fix=f"prepare the data with --tokenizer {run / TOKENIZER}")
    theirs, ours = load_model(saved).state_dict(), model.state_dict()
    for name, tensor in ours.items():
        if name in theirs and theirs[name].shape == tensor.shape:
            put_(tensor, theirs[name])
        elif not _may_be_new(name, present=name in theirs):
            there = f"has {tuple(theirs[name].shape)}" if name in theirs else "does not have it"
            what = f"the trunks differ: {name} is {tuple(tensor.shape)} here, and the run {there}"
            raise UserError(what, where=str(run), fix="give the same --model options as that run")
    return sha256(saved.folder / MANIFEST)


def _may_be_new(name: str, *, present: bool) -> bool:
    """Whether a tensor belongs to modules or to a language, and the other model has none of the name."""
    return not present and (owner(name) is not TRUNK or is_stacked(name) or "module_norm" in name)
