"""Bars of a stage: in a unit that fits what there is to do."""

import io
from typing import NamedTuple

import pytest
from rich.console import Console

from polymod.progress import bars
from polymod.text.watch import Watch
from polymod.text.workers import Event


class Task(NamedTuple):
    tag: str
    size: int


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ((0,), "0 of 0 bytes"),
        ((400, 41), "441 of 441 bytes"),
        ((4000, 7800), "12 of 12 KB"),
        ((4_000_000, 7_800_000), "12 of 12 MB"),
    ],
)
def test_a_stage_is_told_in_bytes_kilobytes_or_megabytes(sizes, said):
    text = io.StringIO()
    tasks = [Task(f"q{number}", size) for number, size in enumerate(sizes)]
    with bars("MB", Console(file=text, soft_wrap=True)) as group:
        watch = Watch(group, "read", tasks)
        for task in tasks:
            watch.take(Event(task, 0, ("done",)))
        watch.close()
    assert text.getvalue() == f"read: {said}  done\n"
