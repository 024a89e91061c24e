"""``extend`` and ``languages`` as users run them: what is added, what stays as it was, what is refused."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from _ranks import commands
from polymod.cli import execute
from polymod.train.log import read_metrics

from .conftest import TAGS, pretrain

LATIN, GEORGIAN = "aeioukmnprst", "\u10d0\u10d1\u10d2\u10d3\u10d4\u10d5\u10d6\u10d7\u10d8\u10d9\u10da\u10db"
STEPS = ("--train.steps", "4", "--train.save-every", "3", "--train.score-every", "4")


def write_new_texts(folder: Path) -> Path:
    """``it`` has words of the corpus's ``qaa``, ``ka`` is written in another script."""
    folder.mkdir(parents=True)
    for tag, letters in (("it", LATIN), ("ka", GEORGIAN)):
        chance = random.Random(0)  # as in conftest: the same words as those of its first language
        words = ["".join(chance.choices(letters, k=chance.randint(2, 6))) + letters[0] for _ in range(120)]
        lines = [" ".join(chance.choices(words, k=3)) + f" {index}" for index in range(400)]
        (folder / f"{tag}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> Path:
    return write_new_texts(tmp_path_factory.mktemp("new") / "texts")


@pytest.fixture(scope="module")
def parent(data, tmp_path_factory) -> Path:
    """A modular run that plain transformers has, with dropout."""
    out = tmp_path_factory.mktemp("parent") / "run"
    xmod = ["--model.positions", "learned", "--model.pre-norm", "false", "--model.gated", "false"]
    xmod += ["--model.module-norm", "reuse", "--model.norm-before-residual", "true"]
    assert pretrain(data, out, *xmod, "--model.dropout", "0.1", "--train.steps", "12") == 0
    return out


@pytest.fixture(scope="module")
def extended(parent, texts, tmp_path_factory) -> Path:
    """Two languages with vocabularies of their own."""
    out = tmp_path_factory.mktemp("extended") / "run"
    assert extend(parent, "ita,kat", texts, out, "--vocab", "new", "--vocab-size", "500") == 0
    return out


@pytest.fixture(scope="module")
def kept(parent, texts, tmp_path_factory) -> Path:
    """A language with the run's tokenizer, which starts from its relatives."""
    out = tmp_path_factory.mktemp("kept") / "run"
    assert extend(parent, "it", texts / "it.txt", out, "--init-from", "auto") == 0
    return out


def extend(run: Path, tags: str, text: Path, out: Path, *more: str) -> int:
    words = [str(run), "--language", tags, "--text", str(text), "--out", str(out), *STEPS, *more]
    return execute("extend", words)


def newest(run: Path) -> Path:
    return sorted((run / "checkpoints").iterdir())[-1]


def language_file(run: Path, tag: str) -> bytes:
    return (newest(run) / "languages" / f"lang-{tag}.safetensors").read_bytes()


def result(run: Path) -> dict:
    return json.loads((run / "extend.json").read_text())


def document(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_new_languages_stand_beside_the_old_ones(extended):
    found = result(extended)
    assert found["step"] == 8
    assert list(found["languages"]) == ["it", "ka"]
    for tag, entry in found["languages"].items():
        assert entry["vocabulary"]["mode"] == "new"
        assert entry["vocabulary"]["size"] == entry["vocabulary"]["own_rows"] == 500
        assert sum(entry["vocabulary"]["began"].values()) == 500
        assert entry["loss"] < entry["start"]
        assert entry["no_module"] != entry["loss"]
        assert entry["predicted"] > 0
        assert entry["unigram_entropy"] > 1
        assert entry["tokens"] == pytest.approx(4 * 256, rel=0.05), tag
        assert entry["seconds"] > 0
    record = json.loads((extended / "run.json").read_text())
    assert record["config"]["train"]["block_tokens"] == 32  # as the run had it
    assert record["identity"]["languages"] == [*TAGS, "it", "ka"]
    assert execute("verify", [str(extended)]) == 0


def test_nothing_old_changes_in_the_proof_and_in_the_files(parent, extended, kept):
    for run in (extended, kept):
        assert result(run)["old_languages"] == {tag: {"bit_equal": True} for tag in TAGS}
        assert (newest(run) / "trunk.safetensors").read_bytes() == (
            newest(parent) / "trunk.safetensors"
        ).read_bytes()
        for tag in TAGS:
            assert language_file(run, tag) == language_file(parent, tag)


def test_two_processes_add_the_same_languages(parent, texts, extended, tmp_path):
    """With dropout the draws differ, so the weights do; the data and the proof are the same."""
    run = tmp_path / "run"
    words = ["extend", str(parent), "--language", "it,ka", "--text", str(texts), "--out", str(run), *STEPS]
    assert commands(2, [*words, "--vocab", "new", "--vocab-size", "500"]) == [0, 0]
    ours, theirs = result(run), result(extended)
    assert ours["old_languages"] == {tag: {"bit_equal": True} for tag in TAGS}
    assert (newest(run) / "trunk.safetensors").read_bytes() == (
        newest(parent) / "trunk.safetensors"
    ).read_bytes()
    for tag, entry in ours["languages"].items():
        assert entry["start"] == theirs["languages"][tag]["start"]
        assert entry["loss"] == pytest.approx(theirs["languages"][tag]["loss"], rel=0.02)
    chains = [
        [line["chain"] for line in read_metrics(each) if line["kind"] == "train"] for each in (run, extended)
    ]
    assert chains[0] == chains[1]


def test_a_language_does_not_depend_on_its_neighbours(parent, texts, extended, tmp_path):
    words = ("--vocab", "new", "--vocab-size", "500")
    assert extend(parent, "ka", texts, tmp_path / "alone", *words) == 0
    assert language_file(tmp_path / "alone", "ka") == language_file(extended, "ka")


def test_killed_and_started_again_it_ends_bit_identical(parent, texts, extended, tmp_path, monkeypatch):
    words = [str(parent), "--language", "it,ka", "--text", str(texts), "--out", str(tmp_path / "run"), *STEPS]
    words += ["--vocab", "new", "--vocab-size", "500"]
    with monkeypatch.context() as patch:
        patch.setenv("POLYMOD_FAULTS", "written:survey.json:ENOSPC")
        assert execute("extend", words) == 2
    environment = {**os.environ, "POLYMOD_FAULTS": "renamed:step-00000006:kill"}
    command = [sys.executable, "-m", "polymod", "extend", *words]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert execute("extend", words) == 0
    for tag in ("it", "ka"):
        assert language_file(tmp_path / "run", tag) == language_file(extended, tag)
    for key in ("start", "loss", "no_module"):
        one, other = (result(run)["languages"]["ka"][key] for run in (tmp_path / "run", extended))
        assert one == other
    assert [line["step"] for line in read_metrics(tmp_path / "run") if line["kind"] == "train"] == [8]


def test_the_same_command_on_a_finished_run_says_so(parent, texts, kept, capsys):
    before = newest(kept).stat().st_mtime_ns
    words = (parent, "it", texts / "it.txt", kept, "--init-from", "auto")
    assert extend(*words, "--json") == 0
    found = document(capsys)
    assert found["finished_before"]
    assert found["languages"]["it"] == result(kept)["languages"]["it"]
    assert newest(kept).stat().st_mtime_ns == before
    assert extend(*words, "--train.seed", "7") == 2
    assert "train.seed: 0 -> 7" in capsys.readouterr().err


def test_the_relatives_are_found_and_the_reason_is_told(kept):
    entry = result(kept)["languages"]["it"]
    assert next(iter(entry["relatives"]["overlap"])) == "qaa"
    assert set(entry["relatives"]["overlap"]) == set(TAGS)
    assert entry["init_from"] == entry["relatives"]["chosen"]
    assert "qaa 0." in entry["relatives"]["why"]
    assert set(entry["others"]) == set(TAGS)
    assert entry["fertility"]["characters_per_token"] > 1
    assert entry["advice"]["vocab"] in ("keep", "extend", "new")
    assert entry["vocabulary"] == {"mode": "keep", "size": 500, "own_rows": 0, "began": {}}


def test_an_extended_run_can_be_scored_extended_and_exported(kept, data, texts, tmp_path, capsys):
    assert execute("score", [str(kept), "--data", str(kept / "data" / "lang-it"), "--json"]) == 0
    scores = document(capsys)
    assert scores["languages"]["it"]["loss"] == pytest.approx(
        result(kept)["languages"]["it"]["loss"], abs=1e-6
    )
    assert execute("score", [str(kept), "--data", str(data), "--json"]) == 0
    captured = capsys.readouterr()
    assert set(json.loads(captured.out)["languages"]) == set(TAGS)
    assert "not scored" in captured.err
    words = (
        kept,
        "ka",
        texts,
        tmp_path / "again",
        "--vocab",
        "extend",
        "--vocab-size",
        "60",
        "--init-from",
        "it",
    )
    assert extend(*words, "--embedding-init", "focus") == 0
    found = result(tmp_path / "again")
    assert set(found["old_languages"]) == {*TAGS, "it"}
    vocabulary = found["languages"]["ka"]["vocabulary"]
    assert vocabulary["size"] == 500 + vocabulary["own_rows"]
    assert 0 < vocabulary["own_rows"] <= 60
    assert vocabulary["began"]["combined"] > 0
    again = str(tmp_path / "again")
    assert execute("export", [again, "--out", str(tmp_path / "mixed")]) == 2
    said = capsys.readouterr().err
    assert f"polymod export {again} --out {tmp_path / 'mixed'}-ka --languages ka" in said
    for tags, name in (("ka", "ka"), ("it,qaa,qab,to", "old")):
        words = [again, "--out", str(tmp_path / name), "--languages", tags, "--json"]
        assert execute("export", words) == 0
        exported = document(capsys)
        assert exported["kind"] == "transformers"
        assert max(exported["hidden_difference"], exported["logits_difference"]) < 1e-5
    own = json.loads((tmp_path / "ka" / "tokenizer.json").read_text())["model"]["vocab"]
    assert len(own) == vocabulary["size"]


def test_controls_of_score(extended, capsys):
    data = extended / "data" / "lang-ka"
    losses = {}
    for module in ("target", "none", "qaa"):
        assert execute("score", [str(extended), "--data", str(data), "--module", module, "--json"]) == 0
        found = document(capsys)
        assert found["module"] == module
        losses[module] = found["languages"]["ka"]["loss"]
    entry = result(extended)["languages"]["ka"]
    assert losses["target"] == pytest.approx(entry["loss"], abs=1e-6)
    assert losses["none"] == pytest.approx(entry["no_module"], abs=1e-6)
    assert len(set(losses.values())) == 3
    assert execute("score", [str(extended), "--data", str(data), "--module", "zu"]) == 2
    assert execute("score", [str(extended), "--data", str(data), "--languages", "it"]) == 2
    assert "lang-it --languages it" in capsys.readouterr().err


@pytest.mark.parametrize("arm", ["shared", "dense"])
def test_without_packs_only_a_vocabulary_can_be_learnt(data, texts, tmp_path, arm, capsys):
    assert pretrain(data, tmp_path / "run", "--arm", arm, "--train.steps", "2") == 0
    assert extend(tmp_path / "run", "it", texts, tmp_path / "keep") == 2
    assert "nothing could be trained" in capsys.readouterr().err
    assert not (tmp_path / "keep").exists()
    assert (
        extend(tmp_path / "run", "it", texts, tmp_path / "new", "--vocab", "new", "--vocab-size", "500") == 0
    )
    entry = result(tmp_path / "new")["languages"]["it"]
    assert entry["no_module"] is None
    assert entry["parameters"] == 500 * 33
    assert entry["loss"] != entry["start"]


WRONG = {
    "a language that is there": (["--language", "ton"], "has the language 'to' already"),
    "a language twice": (["--language", "it,ita"], "both the language 'it'"),
    "an unknown tag": (["--language", "jp"], "did you mean 'ja'"),
    "a language without text": (["--language", "fr"], "no text in the language 'fr'"),
    "an empty text": (["--language", "nl"], "'nl'"),
    "no text": (["--language", "it", "--text", "nowhere.txt"], "no such file or folder"),
    "too little text": (["--language", "de"], "a block needs 32"),
    "an unknown relative": (["--language", "it", "--init-from", "tonga"], "--init-from"),
    "auto and a language": (["--language", "it", "--init-from", "auto,to"], "either auto or languages"),
    "a size without a vocabulary": (["--language", "it", "--vocab-size", "9"], "--vocab-size"),
    "long blocks": (["--language", "it", "--train.block-tokens", "600"], "at most 512"),
    "data of another run": (["--language", "it", "--data", "nothing"], "no such folder"),
}


@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG)
def test_wrong_input_is_exit_2_and_nothing_is_written(
    parent, texts, tmp_path, words, said, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder = shutil.copytree(texts, tmp_path / "texts")
    (folder / "nl.txt").write_text("\n \n")
    (folder / "de.txt").write_text("ein Satz\n")
    given = ["--text", str(folder), *words] if "--text" not in words else words
    assert execute("extend", [str(parent), "--out", str(tmp_path / "out"), *given]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_a_run_without_a_checkpoint_and_a_run_of_something_else(parent, texts, kept, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "run.json").write_text(
        json.dumps({"config": {}, "identity": {"languages": ["en"]}})
    )
    assert extend(tmp_path / "empty", "it", texts, tmp_path / "out") == 2
    assert "no checkpoint" in capsys.readouterr().err
    assert extend(parent, "ka", texts, kept) == 2
    assert "another config" in capsys.readouterr().err
    assert extend(parent, "ka", texts, parent) == 2
    assert "never changed" in capsys.readouterr().err


def test_relatives_need_the_data_of_the_run(parent, texts, data, tmp_path, capsys):
    run = shutil.copytree(parent, tmp_path / "run")
    record = json.loads((run / "run.json").read_text())
    record["config"]["data"] = str(tmp_path / "gone")
    (run / "run.json").write_text(json.dumps(record))
    assert extend(run, "it", texts, tmp_path / "out", "--init-from", "auto") == 2
    assert "give --data" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert extend(run, "it", texts, tmp_path / "out", "--init-from", "auto", "--data", str(data)) == 0


def test_languages_move_from_run_to_run(parent, extended, kept, tmp_path, capsys):
    file = tmp_path / "files" / "ka.safetensors"
    assert execute("languages", [str(extended), "export", "kat", "--file", str(file)]) == 0
    words = [str(kept), "import", str(file), "--out", str(tmp_path / "both")]
    assert execute("languages", words) == 0
    assert execute("languages", [*words, "--json"]) == 0
    assert '"finished_before": true' in capsys.readouterr().out
    assert language_file(tmp_path / "both", "ka") == language_file(extended, "ka")
    assert language_file(tmp_path / "both", "it") == language_file(kept, "it")
    assert (
        execute("languages", [str(tmp_path / "both"), "rename", "ka", "xmf", "--out", str(tmp_path / "b")])
        == 0
    )
    assert execute("languages", [str(tmp_path / "b"), "drop", "it", "--out", str(tmp_path / "c")]) == 0
    capsys.readouterr()
    assert execute("languages", [str(tmp_path / "c"), "list", "--json"]) == 0
    rows = document(capsys)["languages"]
    assert list(rows) == [*TAGS, "xmf"]
    assert rows["xmf"]["own_rows"] == 500
    assert rows["xmf"]["origin"]["tokens"] == result(extended)["languages"]["ka"]["tokens"]
    assert rows["to"]["origin"] == {"from": "pretrained"}
    assert execute("languages", [str(tmp_path / "b"), "drop", "it", "xmf", "--out", str(tmp_path / "d")]) == 0
    assert capsys.readouterr().out.endswith(f"{', '.join(TAGS)}\n")
    data = extended / "data" / "lang-ka"
    shutil.copytree(data, tmp_path / "data")
    (tmp_path / "data" / "data.json").write_text((data / "data.json").read_text())
    assert execute("verify", [str(tmp_path / "c")]) == 0


def test_a_language_for_another_trunk_or_tokenizer_is_refused(data, kept, extended, parent, tmp_path, capsys):
    file = tmp_path / "it.safetensors"
    assert execute("languages", [str(kept), "export", "it", "--file", str(file)]) == 0
    assert pretrain(data, tmp_path / "other", "--train.steps", "2") == 0
    assert (
        execute("languages", [str(tmp_path / "other"), "import", str(file), "--out", str(tmp_path / "x")])
        == 2
    )
    assert "another trunk" in capsys.readouterr().err
    run = shutil.copytree(parent, tmp_path / "run")
    (run / "tokenizer.json").write_text((run / "tokenizer.json").read_text() + " ")
    assert execute("languages", [str(run), "import", str(file), "--out", str(tmp_path / "x")]) == 2
    assert "another tokenizer" in capsys.readouterr().err
    assert execute("languages", [str(kept), "import", str(file), "--out", str(tmp_path / "x")]) == 2
    assert "installed already" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


USES = (["drop", "to"], ["rename", "to", "--out", "x"], ["list", "to"], ["export", "to"], ["fly"])


@pytest.mark.parametrize("words", USES, ids=" ".join)
def test_what_languages_does_not_understand(parent, words, capsys):
    assert execute("languages", [str(parent), *words]) == 2
    assert "fix: " in capsys.readouterr().err
