"""The run folder's record: what a later start may differ in."""

from pathlib import Path

import pytest

from _asserts import assert_user_error
from polymod.commands import extend, finetune, pretrain
from polymod.config import Config, resolve
from polymod.files import read_json, write_json
from polymod.train.run import RECORD, opened


class Options(Config):
    steps: int = 3
    keep: int = 1


def begin(run: Path, config: Config, **identity: str) -> None:
    with opened(run, config, identity=identity, free=("keep",)):
        pass


@pytest.fixture
def run(tmp_path: Path) -> Path:
    begin(tmp_path / "run", Options(), data="a")
    return tmp_path / "run"


def test_the_same_and_what_is_free_go_on(run):
    begin(run, Options(keep=2), data="a")


def test_another_config_or_identity_is_refused_with_the_difference(run):
    assert_user_error(lambda: begin(run, Options(steps=4), data="a"), "steps: 3 -> 4", "--out")
    assert_user_error(lambda: begin(run, Options(), data="b"), "data: a -> b")


def test_an_option_that_came_later_counts_as_its_default(run):
    record = read_json(run / RECORD)
    del record["config"]["steps"]
    write_json(run / RECORD, record)
    begin(run, Options(), data="a")
    assert_user_error(lambda: begin(run, Options(steps=4), data="a"), "steps: 3 -> 4")


def test_an_option_that_is_gone_is_named(run):
    record = read_json(run / RECORD)
    record["config"]["gone"] = True
    write_json(run / RECORD, record)
    assert_user_error(lambda: begin(run, Options(), data="a"), "gone: True -> (absent)")


COMMANDS = {"pretrain": pretrain, "extend": extend, "finetune": finetune}
NEEDED = {
    "pretrain": {"data": "d"},
    "extend": {"run": "r", "language": "it", "text": "t"},
    "finetune": {"run": "r", "task": "nli", "data": "d", "source": "en"},
}


@pytest.mark.parametrize("before", COMMANDS)
@pytest.mark.parametrize("now", COMMANDS)
def test_a_run_of_another_command_is_called_so(tmp_path, before, now):
    out = tmp_path / "run"
    configs = {
        name: resolve(COMMANDS[name].Config, {**NEEDED[name], "out": str(out)}, {}).value
        for name in (before, now)
    }
    begin(out, configs[before])
    if now == before:
        begin(out, configs[now])
        return
    error = assert_user_error(lambda: begin(out, configs[now]), f"a run of {before}, not of {now}", "--out")
    assert "->" not in str(error)


def test_a_derived_model_says_what_it_was_made_from(run):
    record = read_json(run / RECORD)
    record["identity"]["source"] = "some/model"
    write_json(run / RECORD, record)
    assert_user_error(lambda: begin(run, Options(), data="a"), "made from some/model", "--out")
