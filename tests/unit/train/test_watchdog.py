"""Who is named when nothing moves: the silent one, the one that is behind; nobody when all were paused."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from polymod.train.watchdog import Watchdog


class Store(dict):
    """The store that processes share."""

    def set(self, key: str, value: str) -> None:
        self[key] = value.encode()

    def check(self, keys: list[str]) -> bool:
        return all(key in self for key in keys)


class Scene:
    """Three processes, of which the first one looks."""

    def __init__(self, hang_after: float = 40.0) -> None:
        self.store, self.now, self.beats = Store(), 100.0, 0
        self.ranks = SimpleNamespace(rank=0, size=3, calls=0, in_step=True)
        self.dog = Watchdog(self.ranks, self.store, hang_after)
        self.look([0, 0, 0])

    def look(self, calls: list[int | None], *, seconds: float = 1.0, in_step: bool = True):
        """After some seconds the others have begun so many exchanges; ``None`` gave no sign."""
        self.now += seconds
        self.beats += 1
        self.ranks.calls, self.ranks.in_step = calls[0], in_step
        self.dog.beat()
        for rank, count in enumerate(calls[1:], 1):
            if count is not None:
                self.store.set(f"sign/{rank}", json.dumps([self.beats, count, True]))
        return self.dog.look(self.now)

    def until_told(self, calls: list[int | None], most: int = 500, **how):
        for second in range(1, most):
            what, who = self.look(calls, **how)
            if what:
                return second, what, who
        return most, "", []


def test_whoever_gives_no_sign_is_named():
    second, what, who = Scene().until_told([3, 3, None])
    assert (second, who) == (31, [2])
    assert "no sign of life for 30 s" in what


def test_whoever_is_behind_is_named():
    scene = Scene()
    scene.look([7, 6, 7])
    second, what, who = scene.until_told([7, 6, 7])
    assert (second, who) == (41, [1])
    assert "did not get on for 41 s" in what


def test_all_behind_is_the_network():
    assert Scene().until_told([0, 0, 0])[1:] == (
        "wait for each other since 41 s: the network does not carry",
        [0, 1, 2],
    )


def test_progress_is_no_hang():
    scene = Scene()
    assert all(scene.look([n, n, n]) == ("", []) for n in range(200))


def test_the_first_one_may_save_for_longer():
    scene = Scene()
    scene.look([7, 8, 8])
    second, _, who = scene.until_told([7, 8, 8], in_step=False)
    assert (second, who) == (401, [0])


def test_whoever_has_not_come_yet_has_time():
    scene = Scene()
    del scene.store["sign/2"]
    second, _, who = scene.until_told([0, 0, None])
    assert second == 401
    assert who == [0, 1, 2]


def test_a_pause_of_all_is_not_held_against_anybody():
    scene = Scene()
    assert scene.look([0, None, None], seconds=5000.0) == ("", [])
    assert scene.look([0, 0, 0]) == ("", [])


@pytest.mark.parametrize(("calls", "speaks"), [([3, 3, None], True), ([3, None, 3], True)])
def test_the_first_that_lives_speaks(calls, speaks):
    scene = Scene()
    scene.until_told(calls)
    assert scene.dog.speaks is speaks
    scene.ranks.rank = 2
    assert scene.dog.speaks is False
