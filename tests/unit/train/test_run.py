"""The run folder's record: what a later start may differ in."""

from pathlib import Path

import pytest

from _asserts import assert_user_error
from polymod.config import Config
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


def test_a_derived_model_says_what_it_was_made_from(run):
    record = read_json(run / RECORD)
    record["identity"]["source"] = "some/model"
    write_json(run / RECORD, record)
    assert_user_error(lambda: begin(run, Options(), data="a"), "made from some/model", "--out")
