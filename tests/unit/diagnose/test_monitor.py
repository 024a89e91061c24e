"""The monitor: what it writes, that training does not change by a bit, resuming, agreement with offline."""

from __future__ import annotations

import numpy as np
import torch

from _models import LANGUAGES, VOCAB, tiny_model
from _tokens import MemoryTokens
from polymod.data.loader import BatchPlan, TrainLoader
from polymod.data.masking import Masking
from polymod.diagnose.gradients import Collection
from polymod.diagnose.monitor import measure, monitored, read_gradients
from polymod.diagnose.samples import SamplePlan, samples
from polymod.diagnose.sketch import Rows
from polymod.train.config import TrainOptions
from polymod.train.joint import joint
from polymod.train.loop import TrainState, fit
from polymod.train.optim import build_optimizer

OPTIONS = TrainOptions(steps=12, learning_rate=1e-2)
CPU = torch.device("cpu")
MASKING = Masking(VOCAB - 1, (0, 1, 2, 3, VOCAB - 1), VOCAB)


def tokens() -> MemoryTokens:
    """Three languages; the first two have much the same words."""
    streams = MemoryTokens(dict.fromkeys(LANGUAGES, 6000))
    chance = np.random.default_rng(0)
    for tag, stream in streams.streams.items():
        frequent_first = 4 + chance.geometric(0.1, len(stream)) % 54
        stream[:] = 61 - frequent_first if tag == "sr-Latn" else frequent_first
    return streams


def loader(batch_tokens: int = 192) -> TrainLoader:
    plan = BatchPlan(16, batch_tokens, 64, 0.7, 0)
    return TrainLoader(tokens(), LANGUAGES, MASKING, plan, bos_id=0)


def trained(run, every: int, *, until: int = 12, state: TrainState | None = None) -> TrainState:
    if state is None:
        model = tiny_model(dropout=0.2)
        state = TrainState(model, build_optimizer(model, OPTIONS))
    update = monitored(
        joint(OPTIONS, CPU, torch.float32), run, every=every, since=state.step, dtype=torch.float32
    )
    fit(state, update, loader().at, until=until, seed=0, log=lambda *_: None)
    return state


def test_training_does_not_change_by_a_bit(tmp_path):
    plain, watched = trained(tmp_path, 0), trained(tmp_path, 4)
    for (name, a), b in zip(plain.model.named_parameters(), watched.model.parameters(), strict=True):
        assert torch.equal(a, b), name
    assert plain.chain == watched.chain
    lines = read_gradients(tmp_path)
    assert [line["step"] for line in lines] == [0, 4, 8]
    assert lines[0]["kind"] == "gradients"
    assert sorted(lines[0]["languages"]) == sorted(LANGUAGES)
    assert np.array(lines[0]["trunk"]["cosine"], dtype=float).shape == (3, 3)
    assert watched.model.training


def test_without_steps_between_it_is_the_update_itself(tmp_path):
    update = joint(OPTIONS, CPU, torch.float32)
    assert monitored(update, tmp_path, every=0, since=0, dtype=torch.float32) is update
    assert list(tmp_path.iterdir()) == []


def test_what_is_done_again_is_written_once(tmp_path):
    state = trained(tmp_path, 2, until=5)
    assert [line["step"] for line in read_gradients(tmp_path)] == [0, 2, 4]
    with (tmp_path / "gradients.jsonl").open("a") as file:
        file.write('{"kind": "gradients", "step": 6, "trunk": {"co')  # a kill in the middle of a line
    state.step = 4  # as if restored from there
    trained(tmp_path, 2, until=8, state=state)
    assert [line["step"] for line in read_gradients(tmp_path)] == [0, 2, 4, 6]


def test_it_agrees_with_the_diagnosis_of_the_same_model():
    model = tiny_model("shared")
    online = measure(model, loader(6 * 1024).at(0), torch.float32)
    collection = Collection(model, Rows(20, 0))
    plan = SamplePlan(block=16, batches=4, batch_tokens=1024, split="train")
    for tag in online["languages"]:
        for micro in samples(tokens(), tag, MASKING, plan, bos_id=0):
            collection.add(tag, micro)
    offline = collection.document(("cosine", "corrected"), ())
    pairs = np.triu_indices(3, 1)
    for name in ("cosine", "corrected"):
        a, b = (np.array(each["trunk"][name])[pairs] for each in (online, offline))
        assert np.corrcoef(a, b)[0, 1] > 0.9
