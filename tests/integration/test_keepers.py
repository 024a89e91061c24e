"""Packs shared out among processes (--shard-packs) train as if each had all; so do their checkpoints."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
import torch

from _ranks import TAGS, assert_alike, commands, together, train, trains
from polymod.cli import execute
from polymod.errors import UserError
from polymod.files import read_json
from polymod.train.checkpoint import checkpoint_folders, read_tensors
from polymod.train.parallel import Ranks

from .conftest import SMALL_MODEL

STEPS = 12
SIZES = (2, 3)  # of which the second does not divide the four languages
CASES: dict[str, dict[str, Any]] = {
    "joint": {"update": "joint", "batch_tokens": 48},  # not all languages in each step
    "pcgrad": {"update": "pcgrad"},
    "both": {"update": "joint", "spread": True},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where all of them have saved."""
    return tmp_path_factory.mktemp("keepers")


@pytest.fixture(scope="module")
def found(folder) -> dict[int, list[dict[str, Any]]]:
    """What so many processes make of the cases; one has nobody to share with."""
    alone = {name: {**case, "steps": STEPS, "spread": False} for name, case in CASES.items()}
    alone["joint"]["run"] = str(folder / "alone")
    return {1: together(1, trains, alone), **{size: together(size, several, folder) for size in SIZES}}


def several(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """The trainings, the first one in halves too, and one with a gradient that is not finite."""
    calls = iter(range(1000))

    def poison(gradient: torch.Tensor) -> torch.Tensor:
        return gradient * (float("nan") if next(calls) == 1 and ranks.rank == 1 else 1.0)

    cases = {name: {**case, "steps": STEPS, "shared_out": True} for name, case in CASES.items()}
    cases["joint"]["run"] = str(folder / f"through-{ranks.size}")
    half = {**cases["joint"], "steps": STEPS // 2, "run": str(folder / f"halves-{ranks.size}")}
    loaded = {**cases["joint"], "steps": 0, "run": str(folder / "alone")}
    loaded["again"] = str(folder / f"again-{ranks.size}")
    more = {"begun": half, "gone on": half, "loaded": loaded}
    poisoned = train(ranks, "joint", steps=4, poison=poison, shared_out=True)
    return {**trains(ranks, {**cases, **more}), "poisoned": poisoned}


def tensors(run: Path) -> dict[str, torch.Tensor]:
    """Of the newest checkpoint of a run."""
    last = checkpoint_folders(run)[-1]
    return {**read_tensors(last), **read_tensors(last / "optimizer")}


def assert_same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    """Bitwise."""
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("case", CASES)
def test_losses_are_those_of_one_process(found, case, size):
    (one,), many = found[1], found[size]
    for each in many:
        assert each[case]["losses"] == pytest.approx(one[case]["losses"], rel=1e-6)
        assert each[case]["chain"] == one[case]["chain"]


@pytest.mark.parametrize("size", SIZES)
def test_a_process_has_its_languages_and_sends_those_of_the_step_once(found, size):
    for rank, each in enumerate(found[size]):
        mine = set(TAGS[rank::size])
        for case in CASES:
            result = each[case]
            steps, weight = result["active"][:STEPS], result["bytes"]
            assert {tag for tag in TAGS if result["kept"][tag]} == mine
            assert result["sent"]["packs"] == sum(weight[tag] for tags, _ in steps for tag in tags)
            lent = sum(weight[tag] for tags, _ in steps for tag in tags if tag in mine)
            assert result["sent"].get("lent", 0) == lent
        assert any(len(tags) < len(TAGS) for tags, _ in each["joint"]["active"][:STEPS])


@pytest.mark.parametrize("size", SIZES)
def test_going_on_is_bitwise(found, folder, size):
    assert found[size][0]["gone on"]["chain"] == found[size][0]["joint"]["chain"]
    assert_same(tensors(folder / f"halves-{size}"), tensors(folder / f"through-{size}"))


@pytest.mark.parametrize("size", SIZES)
def test_what_one_process_saved_is_loaded_and_saved_by_several_and_the_other_way_round(found, folder, size):
    assert_same(tensors(folder / f"again-{size}"), tensors(folder / "alone"))
    (back,) = together(1, trains, {"": {"update": "joint", "steps": 0, "run": str(folder / f"again-{size}")}})
    assert back[""]["weights"] == found[1][0]["joint"]["weights"]


@pytest.mark.parametrize("size", SIZES)
def test_all_skip_a_step_that_is_not_finite_on_one(found, size):
    skipped = found[size][0]["poisoned"]["skipped"]
    assert sum(skipped) == 1
    assert all(each["poisoned"]["skipped"] == skipped for each in found[size])


@pytest.mark.parametrize("more", [("--residency.mapped", "true", "--residency.languages", "0"), ()])
def test_the_command_shares_packs_out_and_one_process_takes_the_run(data, tmp_path, capsys, more):
    shared, whole = tmp_path / "shared", tmp_path / "whole"
    words = ["--data", str(data), *SMALL_MODEL, "--monitor.gradients", "8", "--train.save-every", "8"]
    assert commands(2, ["pretrain", *words, "--out", str(shared), "--shard-packs", "true", *more]) == [0, 0]
    assert execute("pretrain", [*words, "--out", str(whole)]) == 0
    assert_alike(shared, whole)
    for a, b in zip(checkpoint_folders(shared), checkpoint_folders(whole), strict=True):
        assert (
            read_json(a / "manifest.json")["files"].keys() == read_json(b / "manifest.json")["files"].keys()
        )
    assert execute("pretrain", [*words, "--out", str(shared)]) == 0
    assert "this run is finished" in capsys.readouterr().err


@pytest.mark.parametrize("share", ["shared_out", "spread"])
def test_a_checkpoint_that_one_process_cannot_write_is_none(tmp_path, share):
    first, second = together(2, refused, tmp_path / "run", share)
    assert "rank 1" in first
    for said in (first, second):
        assert "disk is full" in said or "No space left" in said
        assert "fix: free some space" in said
    assert not checkpoint_folders(tmp_path / "run")
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


def refused(ranks: Ranks, run: Path, share: str) -> str:
    """What the user is told when the second process cannot write its share."""
    from polymod.train import checkpoint, tensorfile

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if ranks.rank == 1 and share == "spread":
        tensorfile.HuggingFaceStorageWriter.write_data = full
    elif ranks.rank == 1:
        checkpoint.write = full
    with pytest.raises(UserError) as caught:
        train(ranks, "joint", steps=1, run=str(run), **{share: True})
    ranks.wait()
    return str(caught.value)
