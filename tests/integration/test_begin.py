"""``pretrain --begin``: modules added to a trunk that another run has trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from polymod.files import read_json
from polymod.train.checkpoint import checkpoint_folders

from .conftest import pretrain

NO_STEP = ("--train.steps", "1", "--train.learning-rate", "1e-12")  # fp32 weights stay as they are


def tensors(run: Path) -> dict[str, torch.Tensor]:
    folder = checkpoint_folders(run)[-1]
    files = [folder / "trunk.safetensors", *folder.glob("languages/*.safetensors")]
    return {name: tensor for path in files for name, tensor in load_file(path).items()}


@pytest.fixture(scope="module")
def dense(data, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("begin") / "dense"
    assert pretrain(data, run, "--arm", "dense") == 0
    return run


def test_a_dense_trunk_takes_modules_and_learns_them_by_meta_steps(data, dense, tmp_path):
    assert pretrain(data, tmp_path / "same", "--begin", str(dense), *NO_STEP) == 0
    assert pretrain(data, tmp_path / "new", *NO_STEP) == 0
    before, begun, new = (tensors(run) for run in (dense, tmp_path / "same", tmp_path / "new"))
    for name, tensor in before.items():
        torch.testing.assert_close(begun[name], tensor, atol=1e-9, rtol=0)
    modules = begun.keys() - before.keys()
    assert modules
    for name in modules:
        torch.testing.assert_close(begun[name], new[name], atol=1e-9, rtol=0)
    meta = ("--update", "meta", "--treatment.inner-rate", "0.1", "--treatment.draws", "3")
    assert pretrain(data, tmp_path / "meta", "--begin", str(dense), *meta, "--train.steps", "4") == 0
    learnt = tensors(tmp_path / "meta")
    assert any(not torch.equal(learnt[name], new[name]) for name in modules if "by_key" in name)


def test_packs_of_the_same_languages_go_on_and_the_run_resumes_without_the_other(data, tmp_path, capsys):
    first, second = tmp_path / "first", tmp_path / "second"
    assert pretrain(data, first) == 0
    assert pretrain(data, second, "--begin", str(first), *NO_STEP) == 0
    before, begun = tensors(first), tensors(second)
    assert begun.keys() == before.keys()
    for name, tensor in before.items():
        torch.testing.assert_close(begun[name], tensor, atol=1e-9, rtol=0)
    assert len(read_json(second / "run.json")["identity"]["begun_from"]) == 64
    shutil.rmtree(first)
    assert pretrain(data, second, "--begin", str(first), *NO_STEP) == 0
    assert "this run is finished" in capsys.readouterr().err


def test_what_does_not_fit_is_refused(data, dense, tmp_path, capsys):
    def refused(*words: str | Path, says: tuple[str, ...]) -> None:
        assert pretrain(data, tmp_path / "out", *map(str, words)) == 2
        error = capsys.readouterr().err
        assert all(part in error for part in says), error
        assert not (tmp_path / "out").exists()

    refused("--begin", dense, "--model.hidden-size", "48", says=("the trunks differ", "(500, 32)"))
    refused("--begin", dense, "--model.num-layers", "3", says=("the trunks differ", "does not have it"))
    refused("--begin", tmp_path / "nowhere", says=("no run here",))
    other = tmp_path / "other"
    shutil.copytree(dense, other)
    text = (other / "tokenizer.json").read_text()
    (other / "tokenizer.json").write_text(text + "\n")
    refused("--begin", other, says=("another tokenizer", "--tokenizer"))
    assert pretrain(data, tmp_path / "run", "--train.steps", "1") == 0
    assert pretrain(data, tmp_path / "run", "--train.steps", "1", "--begin", str(dense)) == 2
    assert "begin: left out -> " in capsys.readouterr().err
