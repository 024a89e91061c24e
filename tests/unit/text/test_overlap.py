"""Overlap of splits: none where there is none, and every planted one is found."""

import numpy as np
import pytest

from polymod.text import overlap
from polymod.text.overlap import Question, count_overlap, document_keys, keys_of
from polymod.text.shards import Shards


def documents(count: int) -> list[list[int]]:
    chance = np.random.default_rng(0)
    rows = [chance.integers(4, 300, chance.integers(0, 9)).tolist() for _ in range(count)]
    return [[*row, 2] for row in [*rows, *map(sorted, rows), *(row[::-1] for row in rows)]]


def stream(rows: list[list[int]]):
    return np.array([token for row in rows for token in row], dtype=np.uint16)


def test_keys_are_equal_exactly_where_documents_are():
    rows = documents(5000)
    flat = stream(rows)
    keys = keys_of(flat, np.flatnonzero(flat == 2))
    assert len(set(keys.tolist())) == len(set(map(tuple, rows)))
    by_document = dict(zip(map(tuple, rows), keys.tolist(), strict=True))
    assert all(by_document[tuple(row)] == key for row, key in zip(rows, keys.tolist(), strict=True))


@pytest.mark.parametrize("at_once", [1, 10, 10**6])
def test_keys_do_not_depend_on_how_much_is_read_at_once(written, monkeypatch, at_once):
    shards = Shards.open(written[0])
    expected = np.concatenate(list(document_keys(shards, "en", "train")))
    monkeypatch.setattr(overlap, "TOKENS_AT_ONCE", at_once)
    assert (np.concatenate(list(document_keys(shards, "en", "train"))) == expected).all()
    assert len(expected) == shards.info("en")["documents"]["train"]


def overlap_of(folder) -> int:
    steps = count_overlap(Question("en", folder, 1))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def test_planted_documents_are_found(data):
    assert overlap_of(data) == 0
    folder = data / "shards/lang-en"
    held_out = np.fromfile(folder / "meta-00001.bin", dtype="<u2")
    three = held_out[: np.flatnonzero(held_out == 2)[2] + 1]
    train = folder / "train-00003.bin"
    train.write_bytes(train.read_bytes() + three.tobytes())
    assert overlap_of(data) == 3
