"""``report`` as users run it: runs and diagnoses become one page; what is wrong is refused with reasons."""

from __future__ import annotations

import json

from _asserts import assert_nothing_half_written
from _pages import Page
from polymod.cli import execute

from .conftest import TAGS, pretrain

STEPS = ("--train.steps", "8", "--train.save-every", "4", "--train.score-every", "4")


def test_runs_and_diagnoses_become_a_page(data, tmp_path, capsys):
    run, found = tmp_path / "modular", tmp_path / "diagnosis"
    assert pretrain(data, run, *STEPS, "--monitor.gradients", "2") == 0
    few = ("--gradients.batches", "3", "--gradients.batch-tokens", "64", "--gradients.checkpoints", "all")
    words = (str(run), "--data", str(data), "--out", str(found))
    assert execute("diagnose", ["gradients", *words, *few]) == 0
    masks = ("--masks.steps", "2", "--masks.batch-tokens", "64", "--masks.max-tokens", "256")
    assert execute("diagnose", ["masks", *words, *masks]) == 0
    assert execute("diagnose", ["controls", *words, "--controls.max-tokens", "512"]) == 0
    capsys.readouterr()
    page = tmp_path / "out" / "report.html"
    command = [str(run), str(found), "--out", str(page)]
    assert execute("report", [*command, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["schema"] == 1
    assert printed["languages"] == list(TAGS)
    diagnosed = ["gradients", "gradient-parts", "gradient-time", "masks", "overlap", "controls"]
    rest = ["data", "differences", "reading", "provenance"]
    assert printed["sections"] == ["losses", "learning", *diagnosed, *rest]
    seen = Page(page.read_text(encoding="utf-8"))
    assert [each["id"] for each in seen.all("section")] == printed["sections"]
    assert "1 run and 3 diagnoses" in seen.text
    numbers = json.loads((tmp_path / "out" / "report.json").read_text())
    assert numbers["kind"] == "report"
    assert len(numbers["monitor"]["modular"]) == 4
    assert numbers["masks"][0]["run"] == "modular"
    before = page.read_bytes()
    assert execute("report", command) == 0
    assert page.read_bytes() == before
    assert "open " in capsys.readouterr().out
    assert_nothing_half_written(tmp_path / "out")


def test_what_is_no_folder_of_polymod_is_refused_with_what_can_be(tmp_path, capsys):
    assert execute("report", [str(tmp_path), "--out", str(tmp_path / "report.html")]) == 2
    said = capsys.readouterr().err
    assert "nothing that a report can show is here" in said
    assert "a folder of pretrain, extend, finetune" in said
    assert not (tmp_path / "report.html").exists()


def test_a_page_overwrites_no_other_document(tmp_path, capsys):
    (tmp_path / "gaps").mkdir()
    (tmp_path / "gaps" / "gaps.json").write_text('{"schema": 1, "kind": "gaps"}')
    assert execute("report", [str(tmp_path / "gaps"), "--out", str(tmp_path / "gaps" / "gaps.html")]) == 2
    assert "would overwrite a file that is no report" in capsys.readouterr().err
    assert (tmp_path / "gaps" / "gaps.json").read_text() == '{"schema": 1, "kind": "gaps"}'
    assert execute("report", [str(tmp_path / "gaps"), "--out", str(tmp_path / "page")]) == 2
    assert "does not end in .html" in capsys.readouterr().err
