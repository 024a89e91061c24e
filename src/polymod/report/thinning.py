"""Fewer points of a curve, without changing what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

T = TypeVar("T")


def thin(points: Sequence[T], most: int) -> list[T]:
    """At most ``most`` (2 or more) of the points, evenly by number, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    last = len(points) - 1
    return [points[round(index * last / (most - 1))] for index in range(most)]


def buckets(points: Sequence[T], most: int) -> list[Sequence[T]]:
    """The points in at most ``most`` runs of equal length (to one), in their order."""
    number = min(most, len(points))
    cuts = [round(index * len(points) / number) for index in range(number + 1)] if number else []
    return [points[start:stop] for start, stop in pairwise(cuts)]
