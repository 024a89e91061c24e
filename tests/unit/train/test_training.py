"""The update, the optimiser and the loop: isolation, accumulation, guards, stops."""

import os
import signal

import pytest
import torch

from _models import LANGUAGES, gradients, tiny_batch, tiny_model
from _tokens import MemoryTokens
from polymod.batch import GlobalBatch
from polymod.data.loader import BatchPlan, TrainLoader
from polymod.data.masking import Masking
from polymod.errors import Failure, Stopped
from polymod.metrics import StepMetrics
from polymod.model.partition import owner
from polymod.train.config import TrainOptions
from polymod.train.joint import joint
from polymod.train.loop import Job, TrainState, fit
from polymod.train.optim import build_optimizer, learning_rate

OPTIONS = TrainOptions(steps=20, learning_rate=1e-2, weight_decay=0.1)
CPU = torch.device("cpu")


def new_state(options: TrainOptions = OPTIONS, **model) -> TrainState:
    made = tiny_model(**model)
    return TrainState(made, build_optimizer(made, options))


def loader(micro: int = 128) -> TrainLoader:
    plan = BatchPlan(16, 128, micro, 0.7, 0)
    masking = Masking(59, (0, 1, 2, 3, 59), 60)
    return TrainLoader(MemoryTokens(dict.fromkeys(LANGUAGES, 3000)), LANGUAGES, masking, plan, bos_id=0)


def whole(batch) -> GlobalBatch:
    return GlobalBatch((batch,), len(batch.targets_M), "digest")


def test_a_language_that_is_absent_stays_bit_identical_with_its_optimiser_state():
    state = new_state(language_embedding=True)
    update = joint(OPTIONS, CPU, torch.float32)
    update(state, whole(tiny_batch(("en", "to", "sr-Latn"), (7, 7, 7))))  # now everybody has moments

    def of(tag):
        named = [(n, p) for n, p in state.model.named_parameters() if owner(n) == tag]
        moments = [t.clone() for _, p in named for t in state.optimizer.state[p].values()]
        return [p.detach().clone() for _, p in named] + moments

    before = {tag: of(tag) for tag in LANGUAGES}
    for _ in range(5):
        update(state, whole(tiny_batch(("en", "en"), (7, 5))))
    assert all(a.equal(b) for a, b in zip(before["to"], of("to"), strict=True))
    assert all(a.equal(b) for a, b in zip(before["sr-Latn"], of("sr-Latn"), strict=True))
    assert not any(a.equal(b) for a, b in zip(before["en"], of("en"), strict=True))


def test_micro_batches_add_up_to_the_large_batch():
    results = []
    for micro in (128, 64, 16):
        state = new_state()
        metrics = joint(OPTIONS, CPU, torch.float32)(state, loader(micro).at(3))
        results.append((metrics, gradients(state.model)))
    (one, reference), *others = results
    for metrics, found in others:
        assert metrics.loss == pytest.approx(one.loss, rel=1e-6)
        assert metrics.gradient_norm == pytest.approx(one.gradient_norm, rel=1e-5)
        for name, gradient in found.items():
            torch.testing.assert_close(gradient, reference[name], rtol=1e-4, atol=1e-6)


def test_losses_are_counted_under_their_language():
    metrics = joint(OPTIONS, CPU, torch.float32)(state := new_state(), whole(batch := tiny_batch()))
    assert {tag: losses.count for tag, losses in metrics.by_language.items()} == dict(
        zip(batch.route.tags, batch.target_counts, strict=True)
    )
    assert metrics.tokens == batch.num_tokens
    assert state.step == 0


def test_the_gradient_is_clipped():
    options = OPTIONS.model_copy(update={"clip": 1e-3})
    state = new_state(options)
    metrics = joint(options, CPU, torch.float32)(state, whole(tiny_batch()))
    clipped = torch.cat([p.grad.flatten() for p in state.model.parameters() if p.grad is not None]).norm()
    assert metrics.gradient_norm > 1e-3
    assert float(clipped) == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nothing_is_updated_when_a_gradient_is_not_finite(value):
    state = new_state()
    state.model.encoder.packs["to"].up_bias_LD.data[0, 0] = value
    before = {name: tensor.clone() for name, tensor in state.model.state_dict().items()}
    metrics = joint(OPTIONS, CPU, torch.float32)(state, whole(tiny_batch()))
    assert metrics.skipped
    after = state.model.state_dict()
    assert all(torch.equal(before[name].nan_to_num(), after[name].nan_to_num()) for name in before)
    assert not state.optimizer.state


def test_ten_such_steps_in_a_row_end_the_run_and_name_the_language():
    state = new_state()
    state.model.encoder.packs["to"].up_bias_LD.data.fill_(float("nan"))
    with pytest.raises(Failure, match="not finite") as error:
        run(state, until=20)
    assert "to" in str(error.value)
    assert state.step == 10


def test_the_learning_rate_rises_then_falls_to_zero():
    options = TrainOptions(steps=100, warmup=0.1, learning_rate=2.0)
    rates = [learning_rate(step, options) for step in range(101)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == rates[9] == rates[10] == pytest.approx(2.0)
    assert rates[55] == pytest.approx(1.0)
    assert rates[100] == 0


def run(state: TrainState, until: int, jobs=(), update=None, log=lambda *_: None) -> None:
    update = update or joint(OPTIONS, CPU, torch.float32)
    fit(state, update, loader().at, until=until, seed=0, log=log, jobs=jobs)


def test_stopping_and_going_on_equals_never_stopping_with_dropout():
    straight, halves = new_state(dropout=0.3), new_state(dropout=0.3)
    run(straight, until=6)
    run(halves, until=3)
    run(halves, until=6)
    assert straight.chain == halves.chain != ""
    for a, b in zip(straight.model.parameters(), halves.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_jobs_run_at_their_steps_and_at_the_end():
    calls: list[int] = []
    run(new_state(), until=7, jobs=[Job(3, lambda state, _: calls.append(state.step))])
    assert calls == [3, 6, 7]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_signal_ends_the_step_runs_the_saving_jobs_and_stops(number):
    calls: list[tuple[str, int]] = []

    def update(state: TrainState, batch: GlobalBatch) -> StepMetrics:
        if state.step == 2:
            os.kill(os.getpid(), number)
        return StepMetrics()

    jobs = [
        Job(100, lambda state, _: calls.append(("save", state.step)), on_stop=True),
        Job(100, lambda state, _: calls.append(("score", state.step))),
    ]
    handler = signal.getsignal(number)
    state = new_state()
    with pytest.raises(Stopped, match=number.name):
        run(state, until=20, jobs=jobs, update=update)
    assert state.step == 3
    assert calls == [("save", 3)]
    assert signal.getsignal(number) == handler


def test_it_learns():
    options = TrainOptions(steps=60, learning_rate=1e-2)
    state, batch = new_state(options), whole(tiny_batch())
    update = joint(options, CPU, torch.float32)
    losses = []
    for _ in range(60):
        losses.append(update(state, batch).loss)
        state.step += 1
    assert losses[-1] < 0.1 * losses[0]
