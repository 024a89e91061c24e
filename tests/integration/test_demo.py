"""``demo``: one command, a page and the numbers behind it; the second time nothing is done again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from polymod.cli import execute

WORDS = (
    *("--languages", "2", "--families", "1", "--sentences", "1000", "--vocab-size", "800"),
    *("--steps", "4", "--examples", "16"),
)


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "demo"
    assert execute("demo", ["--out", str(folder), *WORDS]) == 0
    return folder


def test_the_numbers_are_those_of_the_runs(out, capsys):
    results = json.loads((out / "results.json").read_text())
    assert set(results["arms"]) == {"modular", "shared"}
    for arm, entry in results["arms"].items():
        words = [str(out / "runs" / arm), "--data", str(out / "data"), "--max-tokens", "16384", "--json"]
        assert execute("score", words) == 0
        scores = json.loads(capsys.readouterr().out)
        assert entry["valid"]["languages"] == scores["languages"]
        assert set(scores["languages"]) == {"qaa", "qab"}
    modular, shared = results["arms"]["modular"], results["arms"]["shared"]
    assert modular["flops_per_token"] == shared["flops_per_token"]
    assert modular["parameters"] > shared["parameters"]
    assert modular["steps"] == shared["steps"] == 4


def test_a_language_is_added_that_was_not_pre_trained(out):
    results = json.loads((out / "results.json").read_text())
    assert list(results["world"]["languages"]) == ["qaa", "qab", "qac"]
    assert set(results["data"]["languages"]) == {"qaa", "qab"}
    assert set(results["added"]["languages"]) == {"qac"}
    assert results["added"]["old_languages"] == {tag: {"bit_equal": True} for tag in ("qaa", "qab")}
    for kind in ("modular", "shared"):
        assert "qac" not in results["arms"][kind]["valid"]["languages"]


def test_tasks_are_learnt_in_one_language_and_read_in_all_with_every_control(out, capsys):
    results = json.loads((out / "results.json").read_text())
    assert set(results["transfer"]) == {"nli", "ner"}
    for task, entry in results["transfer"].items():
        assert entry["source"] == "qaa"
        assert entry["learnt"]["examples"] == {"qaa": 16}
        assert set(entry["modules"]) == {"target", "source", "none"}
        for table in entry["modules"].values():
            assert {tag: each["examples"] for tag, each in table["languages"].items()} == dict.fromkeys(
                ("qaa", "qab", "qac"), 16
            )
        words = [str(out / "runs" / task), "--data", str(out / "world" / task), "--json"]
        assert execute("transfer", words) == 0
        alone = json.loads(capsys.readouterr().out)
        assert alone["languages"] == entry["languages"] == entry["modules"]["target"]["languages"]


def test_the_page_needs_nothing_else(out):
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "qaa" in page
    assert "A language added" in page
    assert "Transfer" in page
    assert "src=" not in page
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")


def test_the_same_command_trains_nothing_again(out, capsys):
    before = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*.safetensors")}
    assert execute("demo", ["--out", str(out), *WORDS]) == 0
    shown = capsys.readouterr()
    assert shown.err.count("finished") == 2 + 1 + 2  # two arms, the added language, two tasks
    lines = shown.out.replace(str(out), "demo").splitlines()
    assert max(map(len, lines)) <= 80
    assert before == {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*.safetensors")}


def test_other_options_are_refused(out, capsys):
    assert execute("demo", ["--out", str(out), *WORDS, "--seed", "1"]) == 2
    assert "seed: 0 -> 1" in capsys.readouterr().err
