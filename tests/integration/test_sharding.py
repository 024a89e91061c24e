"""A trunk spread over processes (--shard) trains as a whole one; its checkpoints are those of any run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from _ranks import assert_alike, commands, together, train, trains
from polymod.cli import execute
from polymod.train.checkpoint import checkpoint_folders, read_tensors
from polymod.train.parallel import Ranks

from .conftest import SMALL_MODEL

STEPS = 20
CASES: dict[str, dict[str, Any]] = {
    # 80 tokens are micro-batches of 64 and 16: the second process computes parts of both, the first of one
    "modular": {"arm": "modular", "batch_tokens": 80},
    "shared": {"arm": "shared", "batch_tokens": 128},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where both kinds of run have saved."""
    return tmp_path_factory.mktemp("sharding")


@pytest.fixture(scope="module")
def found(folder) -> dict[str, list[dict[str, Any]]]:
    """What one process makes of all cases with a whole trunk, and what two do with a spread one."""
    cases = {name: {"update": "joint", "steps": STEPS, **case} for name, case in CASES.items()}
    half = {**cases["modular"], "steps": STEPS // 2, "spread": True, "run": str(folder / "halves")}
    whole = {name: {**case, "run": str(folder / f"whole-{name}")} for name, case in cases.items()}
    spread = {name: {**case, "spread": True} for name, case in cases.items()}
    loaded = {name: {**case, "steps": 0, "spread": True} for name, case in whole.items()}
    compiled = {**spread["modular"], "steps": 3, "compiled": True}
    more = {
        "compiled": compiled,
        "begun": half,
        "gone on": half,
        "loaded": loaded["modular"],
        "loaded shared": loaded["shared"],
    }
    return {"whole": together(1, trains, whole), "spread": together(2, both, {**spread, **more})}


def both(ranks: Ranks, cases: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The trainings, and one with a gradient that is not finite on one process, in its second step."""
    calls = iter(range(1000))

    def poison(gradient: torch.Tensor) -> torch.Tensor:
        return gradient * (float("nan") if next(calls) == 1 and ranks.rank == 1 else 1.0)

    poisoned = train(ranks, "joint", steps=4, poison=poison, spread=True)
    return {**trains(ranks, cases), "poisoned": poisoned}


@pytest.mark.parametrize("case", CASES)
def test_losses_are_those_of_one_process(found, case):
    (one,), many = found["whole"], found["spread"]
    assert many[0][case]["losses"] == many[1][case]["losses"]
    assert many[0][case]["losses"] == pytest.approx(one[case]["losses"], rel=1e-6)
    assert {each[case]["chain"] for each in many} == {one[case]["chain"]}
    assert {each[case]["weights"] for each in many} == {many[0][case]["weights"]}
    mine, theirs = ([set(tags) for _, tags in each["shared"]["active"][:STEPS]] for each in many)
    assert not any(a & b for a, b in zip(mine, theirs, strict=True))


def test_a_process_has_its_share_and_sends_gradients_once_a_pass(found):
    for rank, each in enumerate(found["spread"]):
        for case, passes in (("modular", 2), ("shared", 1)):
            result = each[case]
            assert result["kept"][""] == result["bytes"][""] // 2
            assert all(result["kept"][tag] == size for tag, size in result["bytes"].items() if tag)
            assert result["sent"]["trunk"] == STEPS * passes * result["bytes"][""], rank
        result = each["modular"]
        packs = [sum(result["bytes"][tag] for tag in tags) for tags, _ in result["active"][:STEPS]]
        assert result["sent"]["packs"] == sum(packs)


def test_going_on_is_bitwise(found):
    first = found["spread"][0]
    assert first["gone on"]["weights"] == first["modular"]["weights"]
    assert first["gone on"]["chain"] == first["modular"]["chain"]


def test_pieces_may_be_compiled(found):
    for each in found["spread"]:
        assert each["compiled"]["losses"] == pytest.approx(each["modular"]["losses"][:3], rel=1e-6)


def test_each_loads_what_the_other_saved(found, folder):
    for case, name in (("modular", "loaded"), ("shared", "loaded shared")):
        assert found["spread"][0][name]["weights"] == found["whole"][0][case]["weights"]
    (back,) = together(1, trains, {"": {"update": "joint", "steps": 0, "run": str(folder / "halves")}})
    assert back[""]["weights"] == found["spread"][0]["gone on"]["weights"]


def test_all_skip_a_step_that_is_not_finite_on_one(found):
    assert [each["poisoned"]["skipped"] for each in found["spread"]] == [[False, True, False, False]] * 2


def test_the_command_spreads_the_trunk_and_one_process_takes_the_run(data, tmp_path, capsys):
    spread, whole = tmp_path / "spread", tmp_path / "whole"
    words = ["--data", str(data), *SMALL_MODEL]
    assert commands(2, ["pretrain", *words, "--out", str(spread), "--shard", "true"]) == [0, 0]
    assert execute("pretrain", [*words, "--out", str(whole)]) == 0
    assert_alike(spread, whole)
    for place in (".", "optimizer"):
        a, b = (read_tensors(checkpoint_folders(run)[-1] / place) for run in (spread, whole))
        assert a.keys() == b.keys()
        for name, tensor in a.items():  # counts of steps are vectors of one where shares were merged
            assert tensor.numel() == b[name].numel()
            assert tensor.shape == b[name].shape or name.endswith(".step")
    assert execute("pretrain", [*words, "--out", str(spread)]) == 0
    assert "this run is finished" in capsys.readouterr().err


def test_one_process_cannot_share(data, tmp_path, capsys):
    words = ["--data", str(data), *SMALL_MODEL, "--out", str(tmp_path / "run"), "--shard", "true"]
    assert execute("pretrain", words) == 2
    said = capsys.readouterr().err
    assert "one process has nobody to share the trunk with" in said
    assert "give --nproc" in said
    assert not (tmp_path / "run").exists()
