"""Named properties that tests assert."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from polymod.errors import UserError
from polymod.files import LOCK, TEMPORARY


def assert_user_error(call: Callable[[], Any], *parts: str, code: int = 2) -> UserError:
    """The call raises a ``UserError`` with this exit code whose text has every part."""
    with pytest.raises(UserError) as caught:
        call()
    assert caught.value.exit_code == code
    for part in parts:
        assert part in str(caught.value), f"{part!r} is not in: {caught.value}"
    return caught.value


def assert_refused(done: CompletedProcess[str], *parts: str, code: int = 2) -> None:
    """A command ended with this code, one message on stderr that has every part, and nothing on stdout."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("error: ") == 1, done.stderr
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr, f"{part!r} is not in: {done.stderr}"


def assert_one_document(done: CompletedProcess[str], code: int = 0) -> dict[str, Any]:
    """A command ended with this code and printed one JSON document, in ASCII, and nothing else."""
    assert done.returncode == code, done.stderr
    assert done.stdout.isascii()
    assert done.stdout.count("\n") == 1
    document = json.loads(done.stdout)
    assert document["schema"] == 1
    return document


def assert_nothing_half_written(folder: Path) -> None:
    """No temporary file or folder is left below."""
    assert [path for path in folder.rglob("*") if TEMPORARY in path.name and path.name != LOCK] == []
