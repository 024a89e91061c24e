"""The folder of a diagnosis: what was asked for binds once a part of the answer is there."""

from pathlib import Path

import pytest

from _asserts import assert_user_error
from polymod.diagnose.work import opened
from polymod.errors import UserError


def begin(out: Path, *, refused: bool = False) -> None:
    with opened(out, "controls", {"config": {"seed": 0}}) as work:
        if refused:
            raise UserError("too little text")
        work.part("000", dict)


def test_a_folder_of_something_else_is_refused_and_left_as_it_was(tmp_path):
    (tmp_path / "world.json").write_text("{}")
    (tmp_path / "text").mkdir()
    assert_user_error(lambda: begin(tmp_path), "holds no diagnosis", "--out")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["text", "world.json"]


def test_a_refusal_before_any_part_leaves_nothing(tmp_path):
    assert_user_error(lambda: begin(tmp_path / "new", refused=True), "too little text")
    assert not (tmp_path / "new").exists()
    (tmp_path / "there").mkdir()
    assert_user_error(lambda: begin(tmp_path / "there", refused=True), "too little text")
    assert not list((tmp_path / "there").iterdir())


def test_a_refusal_leaves_what_other_commands_have_found(tmp_path):
    with opened(tmp_path, "masks", {}) as work:
        work.part("000", dict)
    before = sorted(tmp_path.rglob("*"))
    assert_user_error(lambda: begin(tmp_path, refused=True), "too little text")
    assert sorted(tmp_path.rglob("*")) == before
    begin(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert_user_error(lambda: begin(tmp_path, refused=True), "too little text")
    assert sorted(tmp_path.rglob("*")) == before


def test_another_request_is_refused_once_a_part_is_finished(tmp_path):
    few, many = ({"config": {"batches": number}} for number in (3, 400))
    with pytest.raises(UserError, match="too few blocks"), opened(tmp_path, "gradients", many):
        raise UserError("too few blocks")
    with opened(tmp_path, "gradients", few) as work:
        work.of("000").part("all", dict)
    with (
        pytest.raises(UserError, match="something else") as refused,
        opened(tmp_path, "gradients", many),
    ):
        pass
    assert "batches: 3 -> 400" in str(refused.value.what)
    with opened(tmp_path, "gradients", few):
        pass
    (tmp_path / "masks.json").write_text("{}")
    with opened(tmp_path, "masks", few):  # noted beside a result whose parts are gone
        pass
    with pytest.raises(UserError, match="something else"), opened(tmp_path, "masks", many):
        pass
