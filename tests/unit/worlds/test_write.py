"""What ``polymod world`` writes: the same bytes whoever writes them, in formats that can be read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from _asserts import assert_user_error
from polymod.commands.world import Config, main
from polymod.worlds import SPLITS, TASKS, Shares, World
from polymod.worlds.write import FORMATS, Job, write_language

TRAIN, TEST, SENTENCES = 7, 4, 40
SHARES, GRAMMARS = Shares(code_switching=0.5, parallel=0.4, denials=0.3, recalls=0.2), 1
WORLD = World(0, 3, 2, SHARES, GRAMMARS)


def config(out: Path, **changes: Any) -> Config:
    sizes = {"sentences": SENTENCES, "train_examples": TRAIN, "test_examples": TEST}
    kind = {"languages": 3, "families": 2, "grammars": GRAMMARS}
    return Config(**{"out": out, "processes": 2, **kind, **SHARES._asdict(), **sizes, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("written") / "world"
    document = main(config(out))
    assert document["finished_before"] is False
    return out


def test_one_process_writes_what_several_do(folder: Path, tmp_path: Path) -> None:
    for tag in WORLD.tags:
        job = Job(tmp_path, 0, 3, 2, SHARES, GRAMMARS, tag, SENTENCES, TRAIN, TEST)
        assert sum(write_language(job)) == job.amount
    written = {path.relative_to(tmp_path) for path in tmp_path.rglob("*.*")}
    facts = {Path("world.json"), Path("manifest.json")}
    assert {path.relative_to(folder) for path in folder.rglob("*.*")} == written | facts
    assert all((folder / path).read_bytes() == (tmp_path / path).read_bytes() for path in written)


def test_text_is_a_document_per_line(folder: Path) -> None:
    facts = json.loads((folder / "world.json").read_text())
    for tag, entry in facts["languages"].items():
        lines = (folder / "text" / f"{tag}.txt").read_text(encoding="utf-8").splitlines()
        assert lines == list(WORLD.documents(tag, len(lines)))
        assert entry["text"]["documents"] == len(lines)
        assert entry["text"]["sentences"] >= SENTENCES
        lexicon = entry["lexicon"]
        assert lexicon.pop("concepts") == sum(lexicon.values())


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("task", FORMATS)
def test_examples_can_be_read_back(folder: Path, task: str, split: str) -> None:
    text = (folder / task / f"{split}.qba.{FORMATS[task][0]}").read_text(encoding="utf-8")
    expected = WORLD.task(task, "qba", split, TRAIN if split == "train" else TEST)
    assert READERS[task](text) == expected


def _read_lines(text: str) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in text.splitlines()]
    assert len({record.pop("id") for record in records}) == len(records)
    return records


def _read_columns(text: str) -> list[dict[str, Any]]:
    sentences = [[line.split("\t") for line in block.split("\n")] for block in text.strip("\n").split("\n\n")]
    return [{"tokens": [row[0] for row in rows], "tags": [row[1] for row in rows]} for rows in sentences]


def _read_squad(text: str) -> list[dict[str, Any]]:
    (title,) = json.loads(text)["data"]
    return [
        {"context": paragraph["context"], "question": qa["question"], "answers": qa["answers"]}
        for paragraph in title["paragraphs"]
        for qa in paragraph["qas"]
    ]


READERS = {"nli": _read_lines, "ner": _read_columns, "pos": _read_columns, "qa": _read_squad}


def test_lines_for_retrieval_are_aligned(folder: Path) -> None:
    assert set(TASKS) == {*FORMATS, "retrieval"}
    for tag in WORLD.tags:
        lines = (folder / "retrieval" / f"{tag}.txt").read_text(encoding="utf-8").splitlines()
        assert lines == [record["text"] for record in WORLD.task("retrieval", tag, "test", TEST)]


def test_a_finished_world_is_left_alone_and_another_one_refused(folder: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert main(config(folder, processes=1))["finished_before"] is True
    assert_user_error(lambda: main(config(folder, seed=1)), "another config", "seed", "--out")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    (tmp_path / "note.txt").write_text("mine")
    assert_user_error(lambda: main(config(tmp_path)), "something else")


@pytest.mark.parametrize("option", [*Shares._fields, "grammars"])
def test_a_world_from_before_an_option_was_there_is_finished_with_its_default(
    option: str, tmp_path: Path
) -> None:
    out, without = tmp_path / "world", {option: Config.model_fields[option].default}
    main(config(out, **without))
    path = out / "world.json"
    document = json.loads(path.read_text())
    del document["config"][option]
    path.write_text(json.dumps(document))
    assert main(config(out, **without))["finished_before"] is True
    assert_user_error(lambda: main(config(out)), "another config", option, "--out")
