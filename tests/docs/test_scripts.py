"""The scripts and the notebook in examples/ run, made small, in one folder that they share."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALLER = ["--steps", "3", "--examples", "40"]
SMALL = {
    "train_and_fill_mask.py": ([], "the model says"),
    "transfer_a_task.py": (["--epochs", "1"], "qbb: f1"),
    "add_a_language.py": ([], "qbb: vectors before and after are equal"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where the examples write."""
    return tmp_path_factory.mktemp("examples")


@pytest.mark.parametrize("name", SMALL)
def test_a_script_runs(name, folder, monkeypatch, capsys) -> None:
    words, said = SMALL[name]
    monkeypatch.setattr(sys, "argv", [name, "--folder", str(folder / "runs" / "example"), *SMALLER, *words])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    out = capsys.readouterr().out
    assert said in out
    assert "NOT" not in out


def test_every_script_is_run() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SMALL)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_runs(path, folder, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    names: dict[str, object] = {}
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert ", 200\n" in cells[0]
    cells[0] = cells[0].replace(", 200\n", ", 3\n").replace('"300"', '"40"')
    for source in cells:
        exec(compile(source, path.name, "exec"), names)
    out = capsys.readouterr().out
    assert "'qax' is not installed" in out
    assert "(12, 128)" in out


def test_a_notebook_is_stored_without_results() -> None:
    for path in EXAMPLES.glob("*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        assert {cell["cell_type"] for cell in notebook["cells"]} == {"code", "markdown"}
        ids = [cell["id"] for cell in notebook["cells"]]
        assert len(set(ids)) == len(ids)
        for cell in notebook["cells"]:
            assert isinstance(cell["source"], list)
            if cell["cell_type"] == "code":
                assert (cell["outputs"], cell["execution_count"]) == ([], None)
