"""Every update through the whole command: it trains, and goes on after a stop as if there had been none."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from polymod.cli import execute
from polymod.train.checkpoint import checkpoint_folders, read_tensors

from .conftest import pretrain

SHORT = (
    "--train.steps",
    "6",
    "--train.save-every",
    "3",
    "--train.score-every",
    "6",
    "--train.log-every",
    "2",
)
DROPOUT = ("--model.dropout", "0.1")
NAMES = ("pcgrad", "gradvac", "balance", "meta", "meta-fast", "jd:Random")
STATEFUL = ("gradvac", "balance", "meta-fast")


@pytest.mark.parametrize("name", NAMES)
def test_an_update_trains_and_resumes_bit_for_bit(data, tmp_path, name, capsys):
    if name.startswith("jd:"):
        pytest.importorskip("torchjd", reason="needs the extra mtl")
    words = [*SHORT, *DROPOUT, "--update", name]
    assert pretrain(data, tmp_path / "straight", *words) == 0
    first, last = checkpoint_folders(tmp_path / "straight")
    (tmp_path / "halves" / "checkpoints").mkdir(parents=True)
    record = (tmp_path / "straight" / "run.json").read_bytes()
    (tmp_path / "halves" / "run.json").write_bytes(record)
    first.rename(tmp_path / "halves" / "checkpoints" / first.name)
    capsys.readouterr()
    assert pretrain(data, tmp_path / "halves", *words) == 0
    assert "going on at step 3" in capsys.readouterr().err
    again = checkpoint_folders(tmp_path / "halves")[-1]
    for part in (".", "optimizer"):
        ours, theirs = read_tensors(again / part), read_tensors(last / part)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert (last / "extra.safetensors").exists() == (name in STATEFUL)
    if name in STATEFUL:
        ours, theirs = load_file(again / "extra.safetensors"), load_file(last / "extra.safetensors")
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert execute("verify", [str(tmp_path / "halves")]) == 0


def test_less_memory_and_smaller_micro_batches_give_the_same_run(data, tmp_path):
    """All languages in one micro-batch or cut by others, kept or computed again."""
    finals = []
    for number, more in enumerate(([], ["--treatment.hold", "1", "--train.micro-tokens", "64"])):
        assert pretrain(data, tmp_path / str(number), *SHORT, "--update", "gradvac", *more) == 0
        finals.append(read_tensors(checkpoint_folders(tmp_path / str(number))[-1]))
    for name, tensor in finals[0].items():
        torch.testing.assert_close(finals[1][name], tensor, rtol=1e-2, atol=1e-4)


WRONG = {
    "an unknown update": (["--update", "pcgrat"], "--update"),
    "an unknown aggregator": (["--update", "jd:Magic"], "--update"),
    "meta without modules": (["--update", "meta", "--arm", "shared"], "--arm modular"),
    "an option of the other": (["--update", "meta-fast", "--treatment.head"], "--update meta"),
}


@pytest.mark.parametrize(("words", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_work_is_refused_and_nothing_written(data, tmp_path, capsys, words, said):
    assert pretrain(data, tmp_path / "run", *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()


def test_plan_takes_the_config_of_a_treated_run(data, tmp_path, capsys):
    capsys.readouterr()
    words = ["--data", str(data), "--json", "--train.batch-tokens", "256", "--train.block-tokens", "32"]
    assert execute("plan", words) == 0
    plain = json.loads(capsys.readouterr().out)["memory"]
    assert execute("plan", [*words, "--update", "pcgrad"]) == 0
    treated = json.loads(capsys.readouterr().out)["memory"]
    assert treated["treatment"] > plain["treatment"] == 0
    assert treated["total"] == plain["total"] + treated["treatment"]
