"""Readers, encoding and scoring on the small files of real data sets, where they are, and on a world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from _tasks import our_tokenizer
from polymod.tasks.find import available
from polymod.tasks.signature import data_hash
from polymod.tasks.task import TASKS, Task
from polymod.worlds import Shares
from polymod.worlds.write import Job, write_language

DATA = Path(__file__).parents[4] / "shared" / "data"
each_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


def logits_of(task: Task, encoded) -> list[np.ndarray]:
    """Logits that are sure of the targets."""
    if task.kind != "span":
        return [np.eye(len(one.labels))[list(one.targets)] for one in encoded]
    logits = [np.zeros((len(one.ids), 2)) for one in encoded]
    for one, of_rows in zip(encoded, logits, strict=True):
        if one.targets[0] != (0, 0):
            of_rows[one.targets[0], (0, 1)] = 1
    return logits


@each_task
def test_files_of_real_data_are_found_and_read(task: Task) -> None:
    if not DATA.is_dir():
        pytest.skip("no real data beside the repository")
    there = available(DATA, task)
    assert "en" in there["train"]
    paths = [path for files in there.values() for path in files.values()]
    assert len(paths) > 10
    for path in sorted(paths, key=lambda path: path.stat().st_size)[:6]:
        examples = task.read(path)
        assert task.report(examples)["examples"] == len(examples) > 0
        assert task.report(examples).get("mismatched", 0) == 0


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """One language of a world."""
    folder = tmp_path_factory.mktemp("world")
    job = Job(
        folder,
        seed=1,
        languages=2,
        families=1,
        shares=Shares(),
        grammars=None,
        tag="qaa",
        sentences=20,
        train=40,
        test=20,
    )
    assert sum(write_language(job)) > 0
    return folder


@each_task
def test_a_world_is_read_and_what_is_encoded_is_decoded(task: Task, world: Path) -> None:
    there = available(world, task)
    assert [list(files) for files in there.values()] == [["qaa"]] * 3
    train, test = (task.read(there[split]["qaa"]) for split in ("train", "test"))
    assert (len(train), len(test)) == (40, 20)
    assert task.trainable(train) == train
    labels, tokenizer = task.labels(train), our_tokenizer(" ".join(map(str, [*train, *test])))
    predictions = []
    for example in test:
        encoded = task.encode(example, tokenizer, labels, 64)
        predictions.append(task.decode(example, encoded, logits_of(task, encoded)))
    metrics = task.metrics(task.statistics(test, predictions, "qaa").sum(0))
    assert metrics[task.main_metric] == 1
    assert data_hash(train) != data_hash(test)
