"""The examples that a task is learnt from: train and dev files of the source languages, encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from polymod.errors import UserError
from polymod.files import sha256
from polymod.tasks.examples import Coded, code, some
from polymod.tasks.find import find
from polymod.tasks.task import Example, Task
from polymod.text.tokenizers import Tokenizers


@dataclass(frozen=True)
class Sources:
    """Examples by split, in the order of the source languages.

    Attributes:
        labels: of the training examples; none for spans.
        reports: by split and language, what reading the file found.
        hashes: SHA-256 of the files, and of each language's tokenizer.
    """

    task: Task
    labels: tuple[str, ...]
    train: tuple[Coded, ...]
    dev: tuple[Coded, ...]
    reports: dict[str, dict[str, dict[str, int]]]
    hashes: dict[str, dict[str, str]]


def read_sources(
    task: Task,
    folder: Path,
    tags: Sequence[str],
    tokenizers: Tokenizers,
    *,
    longest: int,
    most: int,
    with_dev: bool,
) -> Sources:
    """Read and encode.

    Args:
        longest: tokens of a sequence.
        most: training examples of each language; 0: all.
        with_dev: whether there must be dev files; they are not read otherwise.

    Raises:
        UserError: a file is missing or wrong.
    """
    files = {"train": {tag: find(folder, task, "train", tag) for tag in tags}}
    if with_dev:
        try:
            files["dev"] = {tag: find(folder, task, "dev", tag) for tag in tags}
        except UserError as error:
            fix = f"{error.fix}; or give --train.select last, which needs no dev file"
            raise UserError(error.what, where=error.where, fix=fix) from None
    read = {split: {tag: task.read(path) for tag, path in found.items()} for split, found in files.items()}
    labels = task.labels([example for each in read["train"].values() for example in each])
    chosen = {tag: some(task.trainable(each), most) for tag, each in read["train"].items()}
    for tag, each in chosen.items():
        if not each:
            raise UserError("no example to train on", where=str(files["train"][tag]), fix="add some")

    def coded(of_tags: Mapping[str, Sequence[Example]]) -> tuple[Coded, ...]:
        return tuple(
            code(task, each, tag, tokenizers.of(tag), labels, longest) for tag, each in of_tags.items()
        )

    return Sources(
        task,
        labels,
        coded(chosen),
        coded(read.get("dev", {})),
        {split: {tag: task.report(each) for tag, each in found.items()} for split, found in read.items()},
        {
            **{split: {tag: sha256(path) for tag, path in found.items()} for split, found in files.items()},
            "tokenizers": {tag: tokenizers.sha256(tag) for tag in tags},
        },
    )
