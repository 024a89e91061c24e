"""Languages that no step needs are out of memory, and training does not notice."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
import torch

from _asserts import assert_user_error
from _models import tiny_batch, tiny_config, tiny_model
from _tokens import MemoryTokens
from polymod.batch import GlobalBatch
from polymod.commands import pretrain
from polymod.data.loader import BatchPlan, TrainLoader
from polymod.data.masking import Masking
from polymod.data.parts import part
from polymod.model.heads import MaskedLM, initialise
from polymod.model.partition import owner, partition
from polymod.train.checkpoint import newest, optimizer_tensors, restore, save
from polymod.train.config import ResidencyOptions, TrainOptions, TreatmentOptions, UpdateName
from polymod.train.loop import Job, TrainState, fit
from polymod.train.mapped import MappedHome
from polymod.train.optim import build_optimizer
from polymod.train.parallel import Ranks
from polymod.train.pinned import PinnedHome
from polymod.train.residency import Residency, around, begin_at_home, home_for, languages_of
from polymod.train.updates import Plan, build

STEPS = 12
OPTIONS = TrainOptions(steps=STEPS, learning_rate=1e-2, weight_decay=0.1)
CPU = torch.device("cpu")
TAGS = [f"qaa-x-{index}" for index in range(9)]
HOMES = ["mapped", "pinned"]


def new_state(folder: Path, home: str = "", most: int = 1) -> TrainState:
    """A model with dropout and language embeddings; most steps have few of its nine languages."""
    model = tiny_model(languages=TAGS, language_embedding=True, dropout=0.1)
    state = TrainState(model, build_optimizer(model, OPTIONS))
    if home:
        place = MappedHome(folder, len(TAGS)) if home == "mapped" else PinnedHome(CPU)
        state.residency = Residency(adopted(model, place), state.optimizer, most)
    return state


def adopted(model: MaskedLM, home: MappedHome | PinnedHome) -> MappedHome | PinnedHome:
    """The home, to which all languages have been taken."""
    named = dict(model.named_parameters())
    for tag, names in partition(named).items():
        if tag is not None:
            home.adopt(tag, [named[name] for name in names])
    return home


def loader() -> TrainLoader:
    plan = BatchPlan(16, 48, 32, 0.7, 0)
    masking = Masking(59, (0, 1, 2, 3, 59), 60)
    sizes = {tag: 900 * (1 + index % 3) for index, tag in enumerate(TAGS)}
    return TrainLoader(MemoryTokens(sizes), TAGS, masking, plan, bos_id=0)


def run(
    state: TrainState, until: int = STEPS, name: UpdateName = "joint", jobs: tuple[Job, ...] = ()
) -> None:
    at = loader().at
    plan = Plan(state.model, OPTIONS, TreatmentOptions(), torch.float32, at, lambda _: None)
    update, at = around(state.residency, build(name, plan), at)
    fit(state, update, at, until=until, seed=0, log=lambda *_: None, jobs=jobs)


def content(state: TrainState) -> dict[str, torch.Tensor]:
    """All that a checkpoint would hold."""
    return {**dict(state.model.named_parameters()), **optimizer_tensors(state)}


def assert_same(ours: TrainState, theirs: TrainState) -> None:
    a, b = content(ours), content(theirs)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("name", ["joint", "pcgrad"])
def test_training_is_bitwise_the_same(tmp_path, home, name):
    ours, theirs = new_state(tmp_path, home), new_state(tmp_path)
    run(ours, name=name)
    run(theirs, name=name)
    assert ours.chain == theirs.chain
    assert_same(ours, theirs)
    assert len(ours.residency.out) < len(TAGS)


@pytest.mark.parametrize("home", HOMES)
def test_stopped_and_gone_on_with_another_home_it_is_bitwise_the_same(tmp_path, home):
    straight = new_state(tmp_path)
    run(straight)
    first = new_state(tmp_path, home)
    saving = Job(3, lambda state, _: save(state, tmp_path, facts={}, keep=9))
    run(first, until=5, jobs=(saving,))
    for again in (home, ""):
        second = new_state(tmp_path, again)
        saved, complaints = newest(tmp_path)
        assert (saved.step, complaints) == (5, [])
        restore(second, saved)
        run(second)
        assert_same(second, straight)


@pytest.mark.parametrize("home", HOMES)
def test_no_more_languages_are_out_than_a_step_needs_and_some_more(tmp_path, home):
    state = new_state(tmp_path, home, most=2)
    at, out = loader().at, []
    run(state, jobs=(Job(1, lambda state, _: out.append(state.residency.out)),))
    for step, tags in enumerate(out):
        needed = {tag for micro in at(step).micro for tag in micro.route.tags}
        assert needed <= set(tags)
        assert len(tags) <= len(needed) + 2


def test_the_ones_used_last_stay(tmp_path):
    residency = new_state(tmp_path, "mapped", most=2).residency
    for tag in TAGS[:5]:
        residency.need((tag,))
    assert residency.out == tuple(TAGS[2:5])
    residency.need(TAGS[2:3])
    assert residency.out == (*TAGS[3:5], TAGS[2])


def pages(address: int) -> int:
    """Bytes of the mapping around an address that the process holds in memory."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first = line.split(maxsplit=1)[0]
        if "-" in first and not first.endswith(":"):
            start, stop = (int(part, 16) for part in first.split("-"))
            inside = start <= address < stop
        elif inside and first == "Rss:":
            return 1024 * int(line.split()[1])
    raise AssertionError("no such mapping")


def test_the_process_holds_no_pages_of_languages_that_are_at_home(tmp_path):
    model = tiny_model(languages=TAGS, hidden_size=64, bottleneck_size=256)
    optimizer = build_optimizer(model, OPTIONS)
    for tag in TAGS:
        for name in partition(dict(model.named_parameters()))[tag]:
            parameter = model.get_parameter(name)
            moments = {"exp_avg": torch.ones_like(parameter), "exp_avg_sq": torch.ones_like(parameter)}
            optimizer.state[parameter] = {"step": torch.tensor(1.0), **moments}
    residency = Residency(adopted(model, MappedHome(tmp_path, len(TAGS))), optimizer, 0)
    for tag in TAGS:
        residency.let_go(tag)
    address = model.encoder.packs[TAGS[0]].down_LBD.data_ptr()
    of_one = sum(12 * parameter.numel() for parameter in model.encoder.packs[TAGS[0]].parameters())
    assert pages(address) < of_one / 10
    everything = sum(
        float(tensor.sum()) for state in optimizer.state.values() for tensor in state.values()
    )  # reads all moments
    assert everything > 0
    assert pages(address) > 0.6 * len(TAGS) * of_one
    residency.need(TAGS[:1])
    for tag in TAGS:
        residency.let_go(tag)
    assert pages(address) < 1.1 * of_one
    assert not list(tmp_path.iterdir())  # the file has no name


def test_saving_and_restoring_leave_the_idle_ones_at_home(tmp_path):
    state = new_state(tmp_path, "mapped", most=0)
    run(state)
    state.residency.need(())
    save(state, tmp_path, facts={}, keep=1)
    address = state.model.encoder.packs[TAGS[0]].down_LBD.data_ptr()
    assert pages(address) == 0
    other = new_state(tmp_path, "mapped", most=0)
    restore(other, newest(tmp_path)[0])
    packs = other.model.encoder.packs
    first = packs[TAGS[0]].down_LBD.data_ptr()
    size = len(TAGS) * 2**21
    tensors = [packs[TAGS[-1]].up_LDB, *other.optimizer.state[packs[TAGS[-1]].up_LDB].values()]
    assert [0 <= tensor.data_ptr() - first < size for tensor in tensors] == [True, False, True, True]
    assert pages(first) == 0


def test_what_was_set_before_the_first_step_goes_home(tmp_path):
    state = new_state(tmp_path, "mapped")
    packs = state.model.encoder.packs
    packs[TAGS[3]].up_LDB.data = torch.ones_like(packs[TAGS[3]].up_LDB)
    around(state.residency, lambda *_: None, lambda _: None)
    places = [packs[tag].up_LDB.data_ptr() for tag in TAGS]
    assert [place - places[0] for place in places] == [index * 2**21 for index in range(len(TAGS))]


def test_a_copy_that_was_begun_before_a_language_was_set_is_not_used(tmp_path):
    residency = (state := new_state(tmp_path, "pinned")).residency
    residency.let_go(TAGS[0])
    residency.expect(TAGS[:1])
    pack = state.model.encoder.packs[TAGS[0]]
    with torch.no_grad():
        pack.down_LBD.fill_(7.0)
    residency.let_go(TAGS[0])
    residency.need(TAGS[:1])
    assert torch.all(pack.down_LBD == 7.0)


def test_a_language_has_no_moments_and_no_space_for_them_before_its_first_step(tmp_path):
    state = new_state(tmp_path, "mapped", most=0)
    run(state, until=1)
    trained = {tag for micro in loader().at(0).micro for tag in micro.route.tags}
    with_moments = {owner(name.rsplit(".", 1)[0]) for name in optimizer_tensors(state)}
    assert with_moments == {None, *trained}


def test_a_new_model_is_the_same_one_language_after_the_other(tmp_path):
    config = tiny_config(languages=TAGS, language_embedding=True)
    ours, theirs = begin_at_home(config, MappedHome(tmp_path, len(TAGS)), 3), MaskedLM(config)
    initialise(theirs, 3)
    assert ours.config == theirs.config
    assert pages(ours.encoder.packs[TAGS[0]].down_LBD.data_ptr()) == 0
    for (name, a), (other, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == other
        assert torch.equal(a, b), name
        assert owner(name) is None or a.data_ptr() % 64 == 0


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    state = new_state(tmp_path, "mapped", most=0)
    run(state, until=1)
    monkeypatch.setattr(os, "posix_fallocate", full)
    assert_user_error(lambda: state.residency.need(()), "No space left", "--residency.folder")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 0))
    assert_user_error(lambda: new_state(tmp_path, "mapped"), "too full")


def test_every_process_needs_room_for_its_file(tmp_path, monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr("polymod.files.require_space", lambda _, size: asked.append(size))
    for processes in (0, 1, 3):
        config = pretrain.Config.model_validate(
            {"data": tmp_path, "out": tmp_path, "residency": {"mapped": processes > 0}}
        )
        pretrain._room(config, tiny_config(), Ranks(0, max(1, processes)))
    none, one, three = asked
    assert three - none == 3 * (one - none) > 0


def test_a_file_in_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    assert_user_error(lambda: new_state(tmp_path / "file", "mapped"), "idle languages")


def test_arms_without_packs_and_updates_that_read_other_languages_are_refused(tmp_path):
    options, joint = ResidencyOptions(mapped=True), ("joint", tmp_path, CPU)
    assert_user_error(lambda: home_for(tiny_config("shared"), options, *joint), "--arm modular")
    assert isinstance(home_for(tiny_config(), options, *joint), MappedHome)
    meta = ("meta-fast", tmp_path, CPU)
    assert_user_error(
        lambda: home_for(tiny_config(), options, *meta), "--update meta-fast", "--residency.mapped"
    )


def test_languages_that_another_process_computes_are_needed_too():
    batch = GlobalBatch((tiny_batch(("en", "to"), (7, 5)),), 4, "")
    assert languages_of(part(batch, 1, 2)) == {"en", "to"}
