"""A model and its tokenizers from any place: a run, a fine-tuned folder, a ``transformers`` directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from polymod.errors import UserError
from polymod.files import MANIFEST, read_json, sha256
from polymod.model import hf
from polymod.model.config import ModelConfig
from polymod.model.encoder import Encoder
from polymod.model.heads import MaskedLM
from polymod.model.hf_tasks import read_task_model
from polymod.model.tasks import TaskModel
from polymod.tasks.finetuned import Finetuned
from polymod.text.tokenizers import Tokenizers
from polymod.train import foreign
from polymod.train.checkpoint import load_model
from polymod.train.run import RECORD, found


@dataclass(frozen=True)
class Opened:
    """A model that can be used.

    Attributes:
        folder: where its files lie.
        kind: which of the places it is.
        longest: tokens of a sequence at most.
        has_head: whether it came with its masked-LM or task head.
        fingerprint: hash of what was read.
    """

    folder: Path
    kind: Literal["run", "fine-tuned", "directory"]
    model: MaskedLM | TaskModel
    tokenizers: Tokenizers
    longest: int
    has_head: bool
    fingerprint: str

    @property
    def encoder(self) -> Encoder:
        """The encoder of the model."""
        return self.model.encoder

    @property
    def config(self) -> ModelConfig:
        """What the encoder is made of."""
        return self.model.encoder.config


def opened(where: str | Path, *, revision: str = "") -> Opened:
    """Open the newest whole checkpoint of a run, the chosen one of a fine-tuning, or an X-MOD directory.

    Args:
        where: folder, or a Hub id such as ``facebook/xmod-base``.
        revision: commit of a Hub repository.

    Raises:
        UserError: nothing of the kind is there, or it is damaged or unfinished.
    """
    folder = Path(where)
    if (folder / RECORD).is_file():
        return _finetuned(folder) if "task" in read_json(folder / RECORD).get("config", {}) else _run(folder)
    if folder.is_dir() and not (folder / "config.json").is_file():
        fix = "give a run, a fine-tuned folder, an exported directory, or a Hub id such as facebook/xmod-base"
        raise UserError("no model here: neither run.json nor config.json", where=str(folder), fix=fix)
    folder, _ = foreign.directory(str(where), revision)
    mask_id = foreign.mask_id(folder)
    fine_tuned = read_task_model(folder, mask_id=mask_id)
    model, has_head = (fine_tuned, True) if fine_tuned else hf.read_model(folder, mask_id=mask_id)
    longest = foreign.longest(folder, model.config.architecture.max_length)
    tokenizers, files = Tokenizers(folder), foreign.fingerprint(folder)
    return Opened(folder, "directory", model, tokenizers, longest, has_head, files)


def _run(folder: Path) -> Opened:
    saved, record = found(folder)
    model, tokenizers = load_model(saved).eval(), Tokenizers(folder)
    has_head = record.get("imported", {}).get("head") != "new"
    longest, files = saved.config.architecture.max_length, sha256(saved.folder / MANIFEST)
    return Opened(folder, "run", model, tokenizers, longest, has_head, files)


def _finetuned(folder: Path) -> Opened:
    done = Finetuned.open(folder)
    files = sha256(done.saved.folder / MANIFEST)
    return Opened(folder, "fine-tuned", done.model().eval(), done.tokenizers, done.longest, True, files)
