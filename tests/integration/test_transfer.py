"""``finetune`` and ``transfer`` as users run them: learnt, resumed, read in other languages, refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from _ranks import commands
from polymod.batch import Batch
from polymod.cli import execute
from polymod.files import sha256
from polymod.tasks.finetuned import Finetuned
from polymod.tasks.finetuning import Finetuning
from polymod.tasks.task import TASKS
from polymod.train.checkpoint import checkpoint_folders
from polymod.train.log import RunLog, read_metrics

from .conftest import SMALL_MODEL

WORLD = ("--languages", "3", "--families", "2", "--sentences", "400", "--processes", "1")
EXAMPLES = ("--train-examples", "40", "--test-examples", "20")
SOURCE, OTHER, WITHOUT = "qaa", "qab", "qba"  # the last one has data and no module
SHORT = ("--train.batch-size", "10", "--train.epochs", "2", "--train.learning-rate", "1e-3")


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("transfer")
    assert execute("world", ["--out", str(folder / "world"), *WORLD, *EXAMPLES]) == 0
    words = ["--text", str(folder / "world" / "text"), "--out", str(folder / "data"), "--vocab-size", "600"]
    assert execute("prepare", [*words, "--processes", "1", "--languages", f"{SOURCE},{OTHER}"]) == 0
    run = ("--data", str(folder / "data"), "--out", str(folder / "run"))
    size = ("--model.max-length", "256", "--train.steps", "8")
    assert execute("pretrain", [*run, *SMALL_MODEL, *size]) == 0
    return folder


def finetune(world: Path, out: Path, *more: str, task: str = "nli", run: str = "run") -> int:
    return execute("finetune", [str(world / run), *finetune_words(world, out, task), *more])


def transfer(world: Path, *words: str | Path, task: str = "nli") -> int:
    resamples = [] if "--resamples" in words else ["--resamples", "100"]
    data = ["--data", str(world / "world" / task), *resamples]
    return execute("transfer", [*map(str, words), *data])


@pytest.fixture(scope="module")
def learnt(world) -> Path:
    """NLI, learnt in one language; the pre-trained run is gone afterwards."""
    shutil.copytree(world / "run", world / "gone")
    assert finetune(world, world / "nli", run="gone") == 0
    shutil.rmtree(world / "gone")
    return world / "nli"


def finetune_words(world: Path, out: Path, task: str = "nli") -> list[str]:
    data = str(world / "world" / task)
    return ["--task", task, "--data", data, "--source", SOURCE, "--out", str(out), *SHORT]


def result_of(folder: Path) -> dict:
    """What does not depend on the time that it took."""
    return {**json.loads((folder / "finetune.json").read_text()), "seconds": None}


def document_of(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def hashes(folder: Path) -> dict[str, str]:
    """Of the tensors of every checkpoint."""
    paths = sorted((folder / "checkpoints").rglob("*.safetensors"))
    return {path.relative_to(folder).as_posix(): sha256(path) for path in paths}


def test_modules_and_embeddings_are_those_of_the_run_bit_by_bit(world, learnt):
    before = checkpoint_folders(world / "run")[-1]
    for after in checkpoint_folders(learnt):
        for tag in (SOURCE, OTHER):
            name = f"languages/lang-{tag}.safetensors"
            assert sha256(before / name) == sha256(after / name)
        old, new = load_file(before / "trunk.safetensors"), load_file(after / "trunk.safetensors")
        stays = {name for name in new if "embeddings" in name or "module_norm" in name}
        assert stays
        for name in new.keys() & old.keys():
            if name.startswith("encoder."):
                assert torch.equal(old[name], new[name]) == (name in stays), name
        moments = load_file(after / "optimizer" / "trunk.safetensors")
        assert not [name for name in moments if any(name.startswith(each) for each in stays)]
        assert not (after / "optimizer" / "languages").exists()


def test_the_result_says_what_was_done(learnt):
    result = json.loads((learnt / "finetune.json").read_text())
    assert (result["task"], result["sources"], result["steps"]) == ("nli", [SOURCE], 8)
    assert result["step"] == result["dev"]["step"] in (4, 8)
    assert result["examples"] == {SOURCE: 40}
    assert result["files"]["dev"][SOURCE]["examples"] == 20
    assert result["parameters"]["trained"] > 0 < result["parameters"]["frozen"]
    assert result["protocol"]["unfreeze"] == []
    assert "split:dev" in result["signatures"][SOURCE]
    assert execute("verify", [str(learnt)]) == 0


def test_two_processes_learn_the_same(world, learnt, tmp_path):
    """The evaluations are made by one of them and known to both: the checkpoints are the same ones."""
    words = ["finetune", str(world / "run"), *finetune_words(world, tmp_path / "ft")]
    assert commands(2, words) == [0, 0]
    ours, theirs = (read_metrics(folder) for folder in (tmp_path / "ft", learnt))
    assert [line["step"] for line in ours] == [line["step"] for line in theirs]
    for line, other in zip(ours, theirs, strict=True):
        if line["kind"] == "train":
            assert line["loss"] == pytest.approx(other["loss"], rel=1e-5)
            assert line["chain"] == other["chain"]
    assert hashes(tmp_path / "ft").keys() == hashes(learnt).keys()
    assert result_of(tmp_path / "ft")["signatures"] == result_of(learnt)["signatures"]


def test_stopped_by_a_full_disk_and_a_signal_it_ends_bit_identical(
    world, learnt, tmp_path, monkeypatch, capsys
):
    out, step = tmp_path / "ft", RunLog.step
    monkeypatch.setenv("POLYMOD_FAULTS", "written:step-00000008:ENOSPC")
    assert finetune(world, out) == 2
    assert "disk is full" in capsys.readouterr().err
    monkeypatch.delenv("POLYMOD_FAULTS")
    assert transfer(world, out) == 2
    assert "not finished" in capsys.readouterr().err

    def stop_at_6(log, state, metrics):
        step(log, state, metrics)
        if state.step == 6:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(RunLog, "step", stop_at_6)
    assert finetune(world, out) == 75
    assert "after step 6, saved" in capsys.readouterr().err
    assert finetune(world, out) == 0
    assert "going on at step 6" in capsys.readouterr().err
    ours, theirs = hashes(out), hashes(learnt)
    last = {name for name in theirs if "step-00000008" in name}
    assert last
    assert {name: ours[name] for name in last} == {name: theirs[name] for name in last}
    assert result_of(out) == result_of(learnt)
    assert finetune(world, out) == 0
    assert "finished" in capsys.readouterr().err
    assert hashes(out) == ours


def test_the_best_evaluation_is_kept_and_patience_ends_it(world, tmp_path, monkeypatch):
    scores = iter([0.5, 0.9, 0.1, 0.2, 1.0])

    def evaluate(job, model):
        return {"score": next(scores), "languages": {SOURCE: {"accuracy": 0.0}}}

    monkeypatch.setattr(Finetuning, "evaluate", evaluate)
    options = (
        "--train.evaluations",
        "2",
        "--train.patience",
        "2",
        "--train.epochs",
        "4",
        "--max-examples",
        "35",
    )
    assert finetune(world, tmp_path / "ft", *options) == 0
    result = result_of(tmp_path / "ft")
    assert (result["step"], result["steps"], result["dev"]["score"]) == (4, 8, 0.9)
    steps = [int(folder.name[5:]) for folder in checkpoint_folders(tmp_path / "ft")]
    assert steps == [4, 6, 8]
    assert Finetuned.open(tmp_path / "ft").saved.step == 4


def test_without_dev_the_last_step_is_the_result(world, tmp_path, capsys):
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(world / "world" / "ner" / f"train.{SOURCE}.conll", data)
    words = ["--task", "ner", "--data", str(data), "--source", SOURCE, "--out", str(tmp_path / "ft"), *SHORT]
    assert execute("finetune", [str(world / "run"), *words]) == 2
    assert "--train.select last" in capsys.readouterr().err
    assert not (tmp_path / "ft").exists()
    assert execute("finetune", [str(world / "run"), *words, "--train.select", "last"]) == 0
    result = result_of(tmp_path / "ft")
    assert (result["step"], result["dev"]) == (8, None)


@pytest.mark.parametrize("task", ["ner", "pos", "qa"])
def test_every_task_is_learnt_and_read(world, tmp_path, task, capsys):
    assert finetune(world, tmp_path / "ft", task=task) == 0
    assert transfer(world, tmp_path / "ft", task=task) == 0
    assert "mean of the targets" in capsys.readouterr().out
    document = json.loads((tmp_path / "ft" / "transfer.json").read_text())
    assert (document["task"], document["metric"]) == (task, TASKS[task].main_metric)
    assert set(document["languages"]) == {SOURCE, OTHER}
    assert all(
        0 <= entry["low"] <= entry["score"] <= entry["high"] <= 1 for entry in document["languages"].values()
    )


def test_answers_that_are_not_where_the_file_says_are_counted(world, tmp_path, capsys):
    assert finetune(world, tmp_path / "ft", "--max-examples", "10", task="qa") == 0
    questions = json.loads((world / "world" / "qa" / f"test.{OTHER}.json").read_text())
    paragraphs = [each for article in questions["data"] for each in article["paragraphs"]]
    answers = [each for part in paragraphs for question in part["qas"] for each in question["answers"]]
    for answer in answers[:3]:
        answer["answer_start"] += 1
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / f"test.{OTHER}.json").write_text(json.dumps(questions))
    capsys.readouterr()
    words = ["transfer", [str(tmp_path / "ft"), "--data", str(strange), "--resamples", "100"]]
    assert execute(*words) == 0
    assert f"{OTHER}: 3 of {len(answers)} answers are not where the file says" in capsys.readouterr().out
    written = json.loads((tmp_path / "ft" / "transfer.json").read_text())
    assert written["files"][OTHER]["mismatched"] == 3


def test_two_sources_are_learnt_together(world, tmp_path, capsys):
    both = ("--source", f"{SOURCE},{OTHER}", "--train.unfreeze", "packs", "--json")
    assert finetune(world, tmp_path / "ft", *both) == 0
    result = document_of(capsys)
    assert result["examples"] == {SOURCE: 40, OTHER: 40}
    assert set(result["dev"]["languages"]) == {SOURCE, OTHER}
    assert transfer(world, tmp_path / "ft", "--json") == 0
    document = document_of(capsys)
    assert (document["source"], document["macro"]) == (f"{SOURCE},{OTHER}", None)
    moved = checkpoint_folders(tmp_path / "ft")[-1] / "languages" / f"lang-{OTHER}.safetensors"
    assert sha256(moved) != sha256(checkpoint_folders(world / "run")[-1] / "languages" / moved.name)


def naive_accuracy(folder: Path, path: Path, tag: str, module: str | None) -> float:
    """One pair at a time, said to be in the language whose module it is to pass through."""
    done = Finetuned.open(folder)
    model, tokenizer, right = done.model().eval(), done.tokenizers.of(tag), []
    for line in path.read_text().splitlines():
        pair = json.loads(line)
        ids = tokenizer.encode(pair["premise"], pair["hypothesis"]).ids
        logits_1C = model.logits(Batch.pack([torch.tensor(ids)], [module]))
        right.append(done.spec.labels[logits_1C.argmax()] == pair["label"])
    return float(np.mean(right))


def test_controls_are_what_their_names_say(world, learnt, capsys):
    assert transfer(world, learnt, "--module", "all", "--json") == 0
    document = document_of(capsys)
    test = world / "world" / "nli" / f"test.{OTHER}.jsonl"
    for control, module in {"target": OTHER, "source": SOURCE, "none": None}.items():
        entry = document["modules"][control]["languages"][OTHER]
        assert entry["score"] == pytest.approx(naive_accuracy(learnt, test, OTHER, module))
        assert entry["module"] == (module or "none")
        name = "transfer.json" if control == "target" else f"transfer-{control}.json"
        written = json.loads((learnt / name).read_text())
        assert written["languages"] == document["modules"][control]["languages"]
        assert f"module:{module or 'none'}" in written["languages"][OTHER]["signatures"][0]
    assert document["languages"] == document["modules"]["target"]["languages"]
    assert document["left_out"].keys() == {WITHOUT}
    same = document["differences"]["target-source"]["languages"][SOURCE]
    assert (same["difference"], same["p"]) == (0, 1)
    kept = json.loads((learnt / "transfer-differences.json").read_text())
    assert kept["differences"] == document["differences"]


def test_tables_of_another_split_stay_apart_and_a_smaller_one_says_what_it_replaces(world, learnt, capsys):
    assert transfer(world, learnt) == 0
    before = (learnt / "transfer.json").read_bytes()
    assert transfer(world, learnt, "--split", "dev") == 0
    assert (learnt / "transfer.json").read_bytes() == before
    assert json.loads((learnt / "transfer.dev.json").read_text())["split"] == "dev"
    assert "replaced" not in capsys.readouterr().err
    assert transfer(world, learnt, "--languages", OTHER) == 0
    assert "transfer.json: replaced; the table before had" in capsys.readouterr().err
    assert transfer(world, learnt) == 0


def test_a_language_without_a_module_is_read_through_another_one(world, learnt, capsys):
    words = (learnt, "--languages", WITHOUT)
    assert transfer(world, *words) == 2
    said = capsys.readouterr().err
    assert all(part in said for part in (f"'{WITHOUT}' has no module", OTHER, "--module", "polymod extend"))
    test = world / "world" / "nli" / f"test.{WITHOUT}.jsonl"
    for module in (OTHER, "none"):
        assert transfer(world, *words, "--module", module, "--json") == 0
        entry = document_of(capsys)["languages"][WITHOUT]
        expected = naive_accuracy(learnt, test, WITHOUT, None if module == "none" else module)
        assert (entry["score"], entry["module"]) == (pytest.approx(expected), module)


def test_seeds_are_averaged_and_compared_with_others(world, learnt, tmp_path, capsys):
    assert finetune(world, tmp_path / "b", "--train.seed", "1") == 0
    assert finetune(world, tmp_path / "c", "--train.seed", "2", "--train.unfreeze", "embeddings") == 0
    capsys.readouterr()
    assert transfer(world, learnt, tmp_path / "b", "--against", str(tmp_path / "c")) == 0
    assert "± sd" in capsys.readouterr().out
    assert transfer(world, learnt, tmp_path / "b", "--against", str(tmp_path / "c"), "--json") == 0
    document = document_of(capsys)
    singles = [json.loads((folder / "transfer.json").read_text()) for folder in (learnt, tmp_path / "b")]
    other = json.loads((tmp_path / "c" / "transfer.json").read_text())
    entry, scores = document["languages"][OTHER], [each["languages"][OTHER]["score"] for each in singles]
    assert entry["scores"] == scores
    assert entry["score"] == pytest.approx(np.mean(scores))
    assert document["macro_interval"]["sd"] == pytest.approx(np.std(scores, ddof=1))
    found = document["difference"]["languages"][OTHER]["difference"]
    assert found == pytest.approx(np.mean(scores) - other["languages"][OTHER]["score"])


def test_every_arm_is_fine_tuned_and_read(world, tmp_path, capsys):
    for arm in ("shared", "dense"):
        words = ("--data", str(world / "data"), "--out", str(tmp_path / arm), "--arm", arm)
        assert execute("pretrain", [*words, *SMALL_MODEL, "--train.steps", "1"]) == 0
        shutil.move(tmp_path / arm, world / arm)
        assert finetune(world, tmp_path / arm, "--max-examples", "10", run=arm) == 0
        capsys.readouterr()
        words = (tmp_path / arm, "--languages", f"{OTHER},{WITHOUT}", "--module", "source", "--json")
        assert transfer(world, *words) == 0
        modules = {entry["module"] for entry in document_of(capsys)["languages"].values()}
        assert modules == {"mul" if arm == "shared" else "none"}


def test_wrong_input_is_exit_2_with_one_message(world, learnt, tmp_path, capsys):
    def refused(code: int, *parts: str) -> None:
        said = capsys.readouterr().err
        assert code == 2, said
        assert "Traceback" not in said
        assert all(part in said for part in parts), said

    refused(finetune(world, tmp_path / "a", "--source", WITHOUT), f"'{WITHOUT}' is not installed")
    refused(finetune(world, tmp_path / "a", "--task", "nil"), "did you mean 'nli'")
    refused(finetune(world, tmp_path / "a", "--train.unfreeze", "wings"), "no part that is frozen")
    assert not (tmp_path / "a").exists()
    refused(finetune(world, learnt, "--train.seed", "5"), "train.seed: 0 -> 5")
    refused(transfer(world, learnt, learnt), "given twice")
    refused(transfer(world, world / "run"), "not fine-tuned")
    refused(transfer(world, tmp_path), "no fine-tuned model here")
    refused(
        transfer(world, learnt, "--module", "en"),
        "'en' (English) is not installed",
        "target, source, none, all",
    )
    refused(
        finetune(world, tmp_path / "a", "--train.max-length", "100000"),
        "--train.max-length",
        "tokens at most",
    )
    refused(transfer(world, learnt, "--languages", "en"), "no test file of nli in 'en'", WITHOUT)
    refused(
        execute("finetune", [str(learnt), *finetune_words(world, tmp_path / "a")]), "fine-tuned for a task"
    )
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / f"test.{OTHER}.jsonl").write_text('{"premise": "a", "hypothesis": "b", "label": "perhaps"}\n')
    refused(execute("transfer", [str(learnt), "--data", str(strange)]), "'perhaps' is unknown", ".jsonl:1")


def test_a_damaged_model_is_named(world, learnt, tmp_path, capsys):
    shutil.copytree(learnt, tmp_path / "ft")
    step = result_of(learnt)["step"]
    trunk = tmp_path / "ft" / "checkpoints" / f"step-{step:08d}" / "trunk.safetensors"
    trunk.write_bytes(trunk.read_bytes()[:-1] + b"?")
    assert transfer(world, tmp_path / "ft") == 2
    assert "trunk.safetensors" in capsys.readouterr().err
