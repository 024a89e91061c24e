"""Checkpoints: whole or absent, one file per language, bit-identical after reading."""

import json

import pytest
import torch

from _models import tiny_batch, tiny_model
from polymod.batch import GlobalBatch
from polymod.errors import UserError
from polymod.train.checkpoint import (
    checkpoint_folders,
    load_model,
    newest,
    optimizer_tensors,
    restore,
    save,
)
from polymod.train.config import TrainOptions
from polymod.train.joint import joint
from polymod.train.loop import TrainState
from polymod.train.optim import build_optimizer

OPTIONS = TrainOptions(steps=20, learning_rate=1e-2)


def trained(seed: int = 0, steps: int = 3) -> TrainState:
    """A state in which one language has never been seen."""
    model = tiny_model(seed=seed, language_embedding=True)
    state = TrainState(model, build_optimizer(model, OPTIONS))
    update = joint(OPTIONS, torch.device("cpu"), torch.float32)
    for _ in range(steps):
        batch = tiny_batch(("en", "to"), (7, 5), seed=state.step)
        update(state, GlobalBatch((batch,), len(batch.targets_M), ""))
        state.step += 1
    state.chain = "abc"
    return state


def test_restored_state_is_bit_identical_and_trains_on_alike(tmp_path):
    state, other = trained(), trained(seed=9, steps=1)
    save(state, tmp_path, facts={"note": 1}, keep=2)
    saved, complaints = newest(tmp_path)
    assert complaints == []
    assert saved.facts == {"note": 1}
    fresh = TrainState(other.model, build_optimizer(other.model, OPTIONS))
    restore(fresh, saved)
    assert (fresh.step, fresh.chain) == (3, "abc")
    for a, b in zip(state.model.parameters(), fresh.model.parameters(), strict=True):
        assert torch.equal(a, b)
    ours, theirs = optimizer_tensors(state), optimizer_tensors(fresh)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert not any("sr-Latn" in name for name in ours)  # never in a batch: no moments
    batch = GlobalBatch((tiny_batch(seed=5),), 6, "")
    for each in (state, fresh):
        joint(OPTIONS, torch.device("cpu"), torch.float32)(each, batch)
    for a, b in zip(state.model.parameters(), fresh.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_model_alone_can_be_read(tmp_path):
    state = trained()
    save(state, tmp_path, facts={}, keep=1)
    model = load_model(newest(tmp_path)[0])
    assert model.config == state.model.config
    for a, b in zip(state.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_only_the_newest_are_kept(tmp_path):
    state = trained(steps=1)
    for _ in range(4):
        save(state, tmp_path, facts={}, keep=2)
        state.step += 5
    assert [folder.name for folder in checkpoint_folders(tmp_path)] == ["step-00000011", "step-00000016"]


def test_a_damaged_checkpoint_is_passed_over_and_named(tmp_path):
    state = trained()
    save(state, tmp_path, facts={}, keep=3)
    state.step, state.written = 7, None  # nothing is linked
    damaged = save(state, tmp_path, facts={}, keep=3) / "languages" / "lang-en.safetensors"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 4
    damaged.write_bytes(bytes(content))
    saved, complaints = newest(tmp_path)
    assert saved.step == 3
    assert "lang-en.safetensors" in complaints[0]
    (checkpoint_folders(tmp_path)[0] / "trunk.safetensors").unlink()
    with pytest.raises(UserError, match="no checkpoint is whole"):
        newest(tmp_path)


def test_no_checkpoint_is_no_error(tmp_path):
    assert newest(tmp_path) == (None, [])


def test_a_checkpoint_of_a_later_version_is_refused(tmp_path):
    from polymod.files import write_manifest

    folder = save(trained(), tmp_path, facts={}, keep=1)
    document = json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(json.dumps({**document, "schema": 99}))
    write_manifest(folder)
    with pytest.raises(UserError, match="schema 99"):
        newest(tmp_path)


@pytest.mark.parametrize("stage", ["written", "synced"])
def test_a_save_that_fails_leaves_the_earlier_ones_and_nothing_else(tmp_path, monkeypatch, stage):
    state = trained()
    save(state, tmp_path, facts={}, keep=1)
    state.step = 9
    monkeypatch.setenv("POLYMOD_FAULTS", f"{stage}:step-*:EIO")
    with pytest.raises(UserError, match="cannot write"):
        save(state, tmp_path, facts={}, keep=1)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000003"]
