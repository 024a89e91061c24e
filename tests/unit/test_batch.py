"""Routes and packed batches: rows in order without gaps, no padding, languages on the host."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polymod.batch import Batch, Route, Span

TAGS = st.sampled_from(["en", "de", "to", None])
SEQUENCES = st.lists(st.tuples(TAGS, st.integers(1, 5)), max_size=12)


def assert_covers(route: Route, num_rows: int) -> None:
    """Spans lie in order without gaps, from 0 to the last row; neighbours differ."""
    bounds = [0, *(stop for _, _, stop in route.spans)]
    assert [start for _, start, _ in route.spans] == bounds[:-1]
    assert bounds[-1] == route.num_rows == num_rows
    assert all(one != other for one, other in pairwise(route.tags))


def per_row(route: Route) -> list[str | None]:
    """The tag of every row, row by row."""
    return [tag for tag, start, stop in route.spans for _ in range(start, stop)]


@given(SEQUENCES)
def test_a_route_gives_every_row_the_tag_of_its_sequence(sequences: list[tuple[str | None, int]]) -> None:
    tags, lengths = [tag for tag, _ in sequences], [length for _, length in sequences]
    route = Route.of(tags, lengths)
    assert per_row(route) == [tag for tag, length in sequences for _ in range(length)]
    assert_covers(route, sum(lengths))


@given(SEQUENCES, st.dictionaries(st.sampled_from(["en", "de", "to"]), TAGS))
def test_via_replaces_tags_row_by_row(
    sequences: list[tuple[str | None, int]], substitutes: dict[str, str | None]
) -> None:
    route = Route.of([tag for tag, _ in sequences], [length for _, length in sequences])
    other = route.via(substitutes)
    assert per_row(other) == [substitutes.get(tag, tag) if tag else None for tag in per_row(route)]
    assert_covers(other, route.num_rows)


def test_neighbours_of_one_tag_are_one_span() -> None:
    assert Route.of(["en", "en", "de", "en"], [2, 3, 4, 1]).spans == (
        Span("en", 0, 5),
        Span("de", 5, 9),
        Span("en", 9, 10),
    )


def test_substitution_does_not_chain() -> None:
    route = Route.of(["en", "de"], [1, 1])
    assert route.via({"en": "de", "de": "en"}).tags == ("de", "en")


def test_routes_to_one_pack_are_one_span() -> None:
    route = Route.of(["en", "de", "to"], [2, 3, 4])
    assert route.via({"en": "mul", "de": "mul", "to": "mul"}).spans == (Span("mul", 0, 9),)
    assert route.via(dict.fromkeys(["en", "de", "to"])).spans == (Span(None, 0, 9),)


def test_no_sequences_are_no_rows() -> None:
    assert Route.of([], []) == Route(())
    batch = Batch.pack([], [])
    assert batch.num_tokens == batch.route.num_rows == 0
    assert batch.starts_S1.tolist() == [0]


@given(SEQUENCES.filter(bool))
def test_packing_keeps_every_token_and_adds_none(sequences: list[tuple[str | None, int]]) -> None:
    ids = [torch.arange(10 * row, 10 * row + length) for row, (_, length) in enumerate(sequences)]
    batch = Batch.pack(ids, [tag for tag, _ in sequences])
    starts = batch.starts_S1.tolist()
    unpacked = [batch.ids_N[start:stop] for start, stop in pairwise(starts)]
    assert all(torch.equal(one, other) for one, other in zip(unpacked, ids, strict=True))
    assert [batch.positions_N[s:e].tolist() for s, e in pairwise(starts)] == [
        list(range(length)) for _, length in sequences
    ]
    assert batch.lengths == tuple(length for _, length in sequences)
    assert batch.num_tokens == batch.route.num_rows == sum(batch.lengths)


def test_types_are_those_that_kernels_take() -> None:
    batch = Batch.pack([torch.tensor([1, 2], dtype=torch.int16)], ["en"])
    assert (batch.ids_N.dtype, batch.positions_N.dtype) == (torch.int64, torch.int64)
    assert batch.starts_S1.dtype == torch.int32


def test_a_packed_batch_predicts_nothing() -> None:
    batch = Batch.pack([torch.tensor([1, 2]), torch.tensor([3])], ["en", "de"])
    assert len(batch.target_rows_M) == len(batch.targets_M) == 0
    assert batch.target_counts == (0, 0)


def test_a_moved_batch_keeps_its_host_side() -> None:
    batch = Batch.pack([torch.tensor([1, 2])], ["en"])
    moved = batch.to(torch.device("meta"))
    assert moved.ids_N.device.type == moved.targets_M.device.type == "meta"
    assert (moved.route, moved.lengths) == (batch.route, batch.lengths)


def test_a_route_is_data_that_cannot_change() -> None:
    route = Route.of(["en"], [1])
    with pytest.raises(AttributeError):
        route.spans = ()  # type: ignore[misc]
    assert hash(route) == hash(Route.of(["en"], [1]))
