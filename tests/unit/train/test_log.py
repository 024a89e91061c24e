"""What a run says while it runs."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from _asserts import assert_user_error
from polymod.errors import Stopped
from polymod.metrics import LossSum, StepMetrics
from polymod.train.config import TrainOptions
from polymod.train.log import logged, read_metrics
from polymod.train.parallel import ALONE


def test_the_bar_of_a_stopped_run_is_at_its_last_step_whatever_was_logged(tmp_path):
    text, run = io.StringIO(), tmp_path / "run"
    run.mkdir()
    options = TrainOptions(steps=100, log_every=10)

    def stop() -> None:
        with logged(run, Console(file=text, soft_wrap=True), options, since=0, ranks=ALONE) as log:
            for step in range(1, 14):
                state = SimpleNamespace(step=step, chain="", ranks=ALONE)
                log.step(state, StepMetrics({"en": LossSum(3.0, 1)}))
            raise Stopped("stopped")

    with pytest.raises(Stopped):
        stop()
    assert text.getvalue() == "run: 13 of 100 steps  stopped\n"
    assert [line["step"] for line in read_metrics(run)] == [10]


def test_a_disk_that_fills_while_it_trains_is_told_and_lines_before_are_kept(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n')
    with logged(tmp_path, Console(file=io.StringIO()), TrainOptions(steps=9), since=1, ranks=ALONE) as log:
        path.rename(tmp_path / "before")
        path.symlink_to("/dev/full")
        assert_user_error(
            lambda: log.valid(2, {"languages": {}}), str(path), "the disk is full", "free some space"
        )
    assert (tmp_path / "before").read_text() == '{"step": 1}\n'
