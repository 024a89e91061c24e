"""Options of ``extend``, and what those of training are taken from. No torch here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from polymod.config import CommandConfig, LastingPath, Names, Tree
from polymod.files import read_json
from polymod.train.config import HangAfter, Nproc, TrainOptions

AUTO = "auto"
# Of the training of the run that is extended; where it ran, and by which seed, is a matter of its own.
_NOT_TAKEN_OVER = {"device", "precision", "tensorboard", "seed"}
# X-MOD's peak for added languages; narrower models learn with the rate that they were pre-trained with.
_LARGE_RATE, _LARGE_WIDTH = 1e-4, 768
_IMPORTED = {"steps": 20_000, "batch_tokens": 2**15, "micro_tokens": 2**13, "learning_rate": _LARGE_RATE}


class ExtendOptions(CommandConfig):
    """A new pack, and where asked for a vocabulary of the language's own, is all that is trained. Options of
    training are those of the run, its steps divided by its languages. The same command goes on where it
    stopped.
    """

    arguments = ("run",)
    of_run = frozenset(f"train.{key}" for key in TrainOptions.model_fields.keys() - _NOT_TAKEN_OVER)
    in_processes = True
    run: LastingPath = Field(description="run to extend; it is only read")
    language: Names = Field(min_length=1, description="languages to add, one after the other")
    text: Path = Field(description="file of the one language, or folder as prepare takes it")
    out: Path = Field(description="run folder to write")
    init_from: Names = Field(
        (), description="languages whose mean the pack starts from; auto: those most like the text"
    )
    vocab: Literal["keep", "extend", "new"] = Field(
        "keep", description="the run's tokenizer, that with more pieces, or one of the language's own"
    )
    vocab_size: int | None = Field(
        None, ge=1, le=2**24, description="pieces to add at most [4000], or rows of a new vocabulary [8000]"
    )
    tokenizer: Path | None = Field(
        None, description="with --vocab new: an existing tokenizer.json instead of one trained on the text"
    )
    embedding_init: Literal["overlap", "focus", "random"] = Field(
        "overlap", description="how the language's own rows begin"
    )
    data: Path | None = Field(
        None, description="data of the run's own languages, if they are no longer where they were"
    )
    nproc: Nproc = 1
    hang_after: HangAfter = 600.0
    train: TrainOptions = TrainOptions()

    @classmethod
    def preset(cls, given: Tree) -> tuple[str, Tree]:
        """Options of training as the run had them."""
        record = Path(str(given.get("run"))) / "run.json"
        try:
            known = "run" in given and record.is_file()
        except OSError:  # a name that is too long; that there is no such run is told later
            known = False
        if not known:
            return "", {}
        before = read_json(record)
        return str(given["run"]), {"train": train_defaults(before["config"], before["identity"])}


def train_defaults(config: dict[str, Any], identity: dict[str, Any]) -> Tree:
    """Options of training for a language that is added to a run with this record.

    An imported run has none, so those of X-MOD are taken as far as they are known. A pre-trained one gives
    its steps divided by its languages: the new one then sees as much text as the mean of the old ones.
    """
    train = config.get("train")
    if not isinstance(train, dict):
        return dict(_IMPORTED)
    known = TrainOptions.model_fields.keys() - _NOT_TAKEN_OVER
    kept = {key: value for key, value in train.items() if key in known}
    if "arm" in config:
        kept["steps"] = max(1, round(train["steps"] / len(identity["languages"])))
        if config["model"]["hidden_size"] >= _LARGE_WIDTH:
            kept["learning_rate"] = min(train["learning_rate"], _LARGE_RATE)
    return kept
