"""The folder of a diagnosis: what was asked for binds once a part of the answer is there."""

import pytest

from polymod.diagnose.work import opened
from polymod.errors import UserError


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
