"""The examples run: README's commands in their order, then every Python block, in one folder, made small."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from _toys import run
from polymod.cli import execute

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Later options win, so these make an example small without changing what it shows.
SMALLER = {
    "world": ["--sentences", "400", "--train-examples", "20", "--test-examples", "10"],
    "prepare": ["--vocab-size", "600"],
    "pretrain": ["--train.steps", "4", "--train.score-tokens", "256", "--train.log-every", "2"],
    "score": ["--max-tokens", "512"],
    "plan": ["--flops", "1e9"],
    "extend": ["--train.steps", "2"],
    "finetune": ["--train.epochs", "1"],
    "diagnose": ["--gradients.batches", "3", "--gradients.batch-tokens", "256"],
    "transfer": ["--resamples", "100"],
    "retrieve": ["--resamples", "100"],
}


def blocks(path: Path, language: str) -> list[str]:
    """Fenced blocks of a language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which README's examples have run."""
    folder = tmp_path_factory.mktemp("example")
    lines = "".join(blocks(ROOT / "README.md", "bash")).splitlines()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in lines:
            if line.startswith("polymod "):
                name, *words = shlex.split(line, comments=True)[1:]
                assert execute(name, [*words, *SMALLER.get(name, [])]) == 0, line
    return folder


def test_the_example_ends_in_a_directory_for_transformers(example: Path) -> None:
    assert {path.name for path in (example / "exported").iterdir()} >= {
        "config.json",
        "model.safetensors",
        "README.md",
    }


WITH_PYTHON = [path for path in PAGES if blocks(path, "python")]


@pytest.mark.parametrize("path", WITH_PYTHON, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_python_blocks_run(path: Path, example: Path) -> None:
    done = run("-c", "\n".join(blocks(path, "python")), cwd=example)
    assert done.returncode == 0, done.stderr
