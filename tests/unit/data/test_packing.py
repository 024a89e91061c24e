"""Packing for reading a model: every sequence once, sorted, within the budget."""

from __future__ import annotations

import numpy as np

from polymod.data.packing import packed


def test_every_sequence_once_in_sorted_batches_within_the_budget() -> None:
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 40, 200)
    sequences = [list(range(length)) for length in lengths]
    tags = [("en", "to", "ar")[i % 3] for i in range(200)]
    seen = []
    for indices, batch in packed(sequences, tags, budget=64):
        assert batch.num_tokens <= 64
        assert batch.lengths == tuple(len(sequences[i]) for i in indices)
        expected = [tag for i in indices for tag in [tags[i]] * len(sequences[i])]
        assert [span.tag for span in batch.route.spans for _ in range(span.start, span.stop)] == expected
        seen += indices
    keys = [(tags[i], len(sequences[i])) for i in seen]
    assert keys == sorted(keys)
    assert sorted(seen) == list(range(200))


def test_a_sequence_over_the_budget_comes_alone() -> None:
    assert [indices for indices, _ in packed([[1] * 9, [1], [2]], ["en"] * 3, budget=4)] == [[1, 2], [0]]
    assert list(packed([], [])) == []
