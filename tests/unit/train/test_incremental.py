"""A checkpoint writes what has changed since the last one and links the rest."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from _models import VOCAB, tiny_batch, tiny_model
from _tokens import MemoryTokens
from _toys import run as run_python
from polymod.batch import GlobalBatch
from polymod.data.loader import BatchPlan
from polymod.data.masking import Masking
from polymod.errors import UserError
from polymod.files import problems, remove_temporary
from polymod.train.checkpoint import newest, optimizer_tensors, read_tensors, restore, save
from polymod.train.config import TrainOptions, TreatmentOptions, UpdateName
from polymod.train.episodes import Episodes
from polymod.train.loop import TrainState
from polymod.train.optim import build_optimizer
from polymod.train.updates import Plan, build

OPTIONS = TrainOptions(steps=20, learning_rate=1e-2)
KEEP = partial(save, facts={}, keep=9)


def new_state(languages: int = 4) -> TrainState:
    model = tiny_model(languages=[f"qaa-x-{index}" for index in range(languages)], language_embedding=True)
    return TrainState(model, build_optimizer(model, OPTIONS))


def batch_of(state: TrainState, *numbers: int) -> GlobalBatch:
    """A batch in some of the languages."""
    tags = [state.model.config.languages[number] for number in numbers]
    micro = tiny_batch(tags, [9] * len(tags), seed=state.step)
    return GlobalBatch((micro,), len(micro.targets_M), "digest")


def train(state: TrainState, *numbers: int, name: UpdateName = "joint") -> None:
    """A step in some of the languages."""
    batch = batch_of(state, *numbers)

    def episodes(num_tokens: int) -> Episodes:
        plan, tags = BatchPlan(8, num_tokens, num_tokens, 0.7, 0), state.model.config.languages
        masking = Masking(VOCAB - 1, (0, 1, 2, 3, VOCAB - 1), VOCAB)
        tokens = MemoryTokens(dict.fromkeys(tags, 400))
        return Episodes(tokens, tags, masking, plan, bos_id=0, num_tokens=num_tokens)

    options = OPTIONS.model_copy(update={"batch_tokens": 64})
    cpu = (state.model, options, TreatmentOptions(), torch.float32)
    build(name, Plan(*cpu, lambda _: batch, episodes))(state, batch)
    state.step += 1


def written(folder: Path) -> set[str]:
    """Files of a checkpoint that no other checkpoint has."""
    files = [path for path in folder.rglob("*.safetensors") if path.stat().st_nlink == 1]
    return {path.relative_to(folder).as_posix() for path in files}


def assert_holds(folder: Path, state: TrainState) -> None:
    """What lies in the folder is the state, bit by bit, and every hash holds."""
    assert problems(folder) == []
    there, moments = read_tensors(folder), read_tensors(folder / "optimizer")
    parameters, wanted = dict(state.model.named_parameters()), optimizer_tensors(state)
    assert there.keys() == parameters.keys()
    assert moments.keys() == wanted.keys()
    assert all(torch.equal(there[name], parameters[name]) for name in there)
    assert all(torch.equal(moments[name], wanted[name]) for name in moments)


def test_what_has_not_changed_is_linked(tmp_path):
    state = new_state()
    train(state, 0, 1)
    first = KEEP(state, tmp_path)
    train(state, 1)
    train(state, 2)
    second = KEEP(state, tmp_path)
    changed = ["trunk", *(f"languages/lang-qaa-x-{number}" for number in (1, 2))]
    places = [prefix + name for name in changed for prefix in ("", "optimizer/")]
    assert written(second) == {f"{place}.safetensors" for place in places}
    shared = "languages/lang-qaa-x-0.safetensors"
    assert (first / shared).samefile(second / shared)
    assert_holds(second, state)


def test_bytes_follow_the_languages_that_were_trained_not_those_installed(tmp_path):
    sizes = []
    for languages in (4, 40):
        state, run = new_state(languages), tmp_path / str(languages)
        train(state, 0, 1, 2, 3)
        KEEP(state, run)
        train(state, 0, 1)
        folder = KEEP(state, run)
        sizes.append(sum((folder / name).stat().st_size for name in written(folder)))
    assert sizes[0] == sizes[1]


def test_a_run_that_goes_on_links_to_the_checkpoint_that_it_was_read_from(tmp_path):
    state = new_state()
    train(state, 0, 1)
    KEEP(state, tmp_path)
    other = new_state()
    restore(other, newest(tmp_path)[0])
    train(other, 0)
    second = KEEP(other, tmp_path)
    assert not any("x-1" in name or "x-2" in name for name in written(second))
    assert_holds(second, other)


def test_a_new_checkpoint_is_whole_when_those_that_it_is_linked_to_are_gone(tmp_path):
    state = new_state()
    for step in range(4):
        train(state, step % 2)
        folder = save(state, tmp_path, facts={}, keep=1)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [folder.name]
    assert_holds(folder, state)


@pytest.mark.parametrize("name", ["joint", "pcgrad", "gradvac", "balance", "meta", "meta-fast", "jd:MGDA"])
def test_whatever_makes_the_steps_the_checkpoint_holds_the_state(tmp_path, name):
    if name.startswith("jd:"):
        pytest.importorskip("torchjd")
    state = new_state()
    train(state, 0, 1, name=name)
    KEEP(state, tmp_path)
    train(state, 1, 2, name=name)
    assert_holds(KEEP(state, tmp_path), state)


def test_a_disk_without_links_gets_files(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    state = new_state()
    KEEP(state, tmp_path)
    train(state, 0)
    folder = KEEP(state, tmp_path)
    assert len(written(folder)) == 4 + 1 + 2  # languages, trunk; moments of the trunk and of one language
    assert_holds(folder, state)


def test_what_has_gone_from_the_last_checkpoint_is_written_anew(tmp_path):
    state = new_state()
    first = KEEP(state, tmp_path)
    (first / "languages" / "lang-qaa-x-3.safetensors").unlink()
    train(state, 0)
    second = KEEP(state, tmp_path)
    assert "languages/lang-qaa-x-3.safetensors" in written(second)
    assert_holds(second, state)
    (second / "manifest.json").write_text("{}")
    train(state, 0)
    assert_holds(KEEP(state, tmp_path), state)


def test_a_hash_is_kept_so_that_damage_to_a_shared_file_is_never_hashed_as_if_it_were_right(tmp_path):
    state = new_state()
    first = KEEP(state, tmp_path)
    shared = first / "languages" / "lang-qaa-x-3.safetensors"
    content = bytearray(shared.read_bytes())
    content[-1] ^= 1
    shared.write_bytes(bytes(content))
    train(state, 0)
    second = KEEP(state, tmp_path)
    assert [problem.split(": ")[0] for problem in problems(second)] == [
        str(second / shared.relative_to(first))
    ]
    with pytest.raises(UserError, match="no checkpoint is whole"):
        newest(tmp_path)


@pytest.mark.parametrize("stage", ["written", "synced"])
def test_a_save_that_fails_leaves_the_files_that_it_was_linked_to(tmp_path, monkeypatch, stage):
    state = new_state()
    train(state, 0, 1)
    first = KEEP(state, tmp_path)
    train(state, 0)
    monkeypatch.setenv("POLYMOD_FAULTS", f"{stage}:step-*:EIO")
    with pytest.raises(UserError, match="cannot write"):
        KEEP(state, tmp_path)
    monkeypatch.delenv("POLYMOD_FAULTS")
    assert problems(first) == []
    assert len(written(first)) == len(list(first.rglob("*.safetensors")))
    train(state, 0)
    second = KEEP(state, tmp_path)
    assert (first / "languages" / "lang-qaa-x-1.safetensors").samefile(
        second / "languages" / "lang-qaa-x-1.safetensors"
    )
    assert_holds(second, state)


KILLED = """
import sys, pathlib, importlib.util
spec = importlib.util.spec_from_file_location("here", sys.argv[1])
here = importlib.util.module_from_spec(spec)
spec.loader.exec_module(here)
state = here.new_state()
for _ in range(2):
    here.train(state, 0)
    here.KEEP(state, pathlib.Path(sys.argv[2]))
"""


def test_a_kill_in_the_middle_of_linking_leaves_the_last_one_whole(tmp_path):
    env = {"POLYMOD_FAULTS": "synced:step-00000002:kill", "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = run_python("-c", KILLED, Path(__file__), tmp_path, env=env)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    remove_temporary(tmp_path)
    saved, complaints = newest(tmp_path)
    assert (saved.step, complaints) == (1, [])
    state = new_state()
    restore(state, saved)
    train(state, 0)
    assert_holds(KEEP(state, tmp_path), state)
