"""A fine-tuned model as a folder, which needs no other one: its checkpoint, spec and tokenizers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polymod.errors import UserError
from polymod.files import atomic, problems, read_json
from polymod.model.tasks import TaskModel, TaskSpec
from polymod.text.tokenizers import TOKENIZERS, Tokenizers
from polymod.train.checkpoint import Saved, read, read_tensors
from polymod.train.run import RECORD, TOKENIZER

RESULT = "finetune.json"


@dataclass(frozen=True)
class Finetuned:
    """A finished fine-tuning.

    Attributes:
        result: the document of ``finetune.json``.
        saved: the checkpoint that was chosen.
    """

    folder: Path
    result: dict[str, Any]
    saved: Saved
    spec: TaskSpec
    tokenizers: Tokenizers

    @classmethod
    def open(cls, folder: Path) -> Finetuned:
        """Find the chosen checkpoint and check its hashes.

        Raises:
            UserError: no fine-tuning here, it is not finished, or it is damaged.
        """
        if not (folder / RECORD).is_file():
            fix = "give a folder that finetune wrote"
            raise UserError("no fine-tuned model here", where=str(folder), fix=fix)
        if not (folder / RESULT).is_file():
            begun = "task" in read_json(folder / RECORD).get("config", {})
            what = "the fine-tuning is not finished" if begun else "this run is not fine-tuned"
            fix = f"run {'the same' if begun else 'a'} polymod finetune command to its end"
            raise UserError(what, where=str(folder), fix=fix)
        result = read_json(folder / RESULT)
        checkpoint = folder / "checkpoints" / f"step-{result['step']:08d}"
        if found := problems(checkpoint):
            raise UserError("\n  ".join(["the model is damaged:", *found]), where=str(folder))
        saved = read(checkpoint)
        return cls(folder, result, saved, spec_of(saved), Tokenizers(folder))

    @property
    def sources(self) -> tuple[str, ...]:
        """The languages it was fine-tuned on."""
        return tuple(self.result["sources"])

    @property
    def longest(self) -> int:
        """Tokens of a sequence at most, as it was fine-tuned."""
        return int(self.result["max_length"])

    def model(self) -> TaskModel:
        """The model, on the CPU."""
        return load_task_model(self.saved)


def insist_alike(runs: Sequence[Finetuned], *, same_sources: bool = True) -> None:
    """Runs that are compared or averaged do the same task, and as seeds of one another from the same sources.

    Raises:
        UserError: they do not, or one is given twice.
    """
    places = [run.folder.resolve() for run in runs]
    if twice := next((place for place in places if places.count(place) > 1), None):
        raise UserError(
            "the folder is given twice, and would count twice", where=str(twice), fix="give it once"
        )
    for run in runs[1:]:
        for field in ("task", "sources") if same_sources else ("task",):
            ours, first = run.result[field], runs[0].result[field]
            if ours != first:
                what = f"{field} {ours} here and {first} in {runs[0].folder}"
                raise UserError(what, where=str(run.folder), fix="give folders that belong together")


def spec_of(saved: Saved) -> TaskSpec:
    """What the head of a checkpoint predicts.

    Raises:
        UserError: it is no checkpoint of a task model.
    """
    if "task" not in saved.facts:
        fix = "polymod finetune makes a task model of it"
        raise UserError("this checkpoint is not fine-tuned for a task", where=str(saved.folder), fix=fix)
    return TaskSpec.model_validate(saved.facts["task"])


def load_task_model(saved: Saved) -> TaskModel:
    """The task model of a checkpoint, on the CPU."""
    model = TaskModel(saved.config, spec_of(saved))
    model.load_state_dict(read_tensors(saved.folder))
    return model


def keep_tokenizers(run: Path, folder: Path) -> None:
    """Copy the tokenizers of a run, those of single languages included, unless they are there."""
    for path in [*run.glob(TOKENIZER), *sorted((run / TOKENIZERS).glob("*.json"))]:
        there = folder / path.relative_to(run)
        if not there.exists():
            with atomic(there) as file:
                file.write(path.read_bytes())
