"""Exact duplicates, found in bounded passes, are those that a set would find."""

import random

import numpy as np
import pytest

from polymod.text import dedup
from polymod.text.dedup import Duplicates, find_duplicates, ranges, repeated
from polymod.text.normalise import digest
from polymod.text.parts import Summary, part_path, write_part


def naive(documents: list[bytes]) -> list[int]:
    seen: set[bytes] = set()
    return [n for n, document in enumerate(documents) if document in seen or seen.add(document)]


def write_parts(folder, documents: list[bytes], cuts: list[int]):
    for number, (start, stop) in enumerate(zip([0, *cuts], [*cuts, len(documents)], strict=True)):
        summary = Summary()
        summary.counts.documents = stop - start
        part = documents[start:stop]
        write_part(part_path(folder, number, 0), part, [digest(line) for line in part], [], summary)


@pytest.mark.parametrize("at_once", [10**6, 400, 60])
def test_duplicates_are_those_that_a_set_finds(tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(dedup, "RANGE_DOCUMENTS", at_once)
    chance = random.Random(0)
    documents = [str(chance.randrange(700)).encode() for _ in range(1500)]
    write_parts(tmp_path / "parts", documents, [1, 400, 400, 1100])
    planned = ranges("en", tmp_path / "parts", tmp_path / "out", len(documents))
    assert len(planned) == -(-1500 // at_once)
    for task in planned:
        assert sum(find_duplicates(task)) == task.size
    duplicates = Duplicates(tmp_path / "out")
    expected = naive(documents)
    assert len(duplicates) == len(expected)
    assert np.flatnonzero(duplicates.mask(0, 1500)).tolist() == expected
    assert np.flatnonzero(duplicates.mask(400, 1100)).tolist() == [
        n - 400 for n in expected if 400 <= n < 1100
    ]


def test_the_ranges_hold_every_digest_once():
    for documents in (0, 1, 10**7, 10**9, 10**12):
        planned = ranges("en", None, None, documents)
        assert [task.first for task in planned[1:]] == [task.stop for task in planned[:-1]]
        assert (planned[0].first, planned[-1].stop) == (0, 1024)


def test_a_range_of_a_billion_documents_is_bounded():
    planned = ranges("en", None, None, 10**9)
    widest = max(task.stop - task.first for task in planned)
    assert widest / 1024 * 10**9 < 3 * dedup.RANGE_DOCUMENTS


def test_the_first_in_the_corpus_stays():
    same = np.array([[5, 5], [1, 1], [5, 5], [5, 5], [1, 2]], dtype=np.uint64)
    assert repeated(same, np.array([30, 2, 10, 20, 1])).tolist() == [20, 30]
