"""Finds and names the process that all others wait for in vain: stopped, cut off, or stuck in its work.

Every process notes in the common store that it lives and how many exchanges it has begun, and reads what the
others note. Whoever is behind when nothing moves is the one. All end then; no checkpoint is touched.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import torch.distributed as dist

SILENCE = 30.0  # seconds without a sign of life; a thread gives it, however busy the process is
PATIENCE = 10  # times longer outside steps: reading, scoring, saving
_FIX = "run the same command to go on from the last checkpoint"


class Watched(Protocol):
    """What is watched of this process."""

    rank: int
    size: int
    calls: int
    in_step: bool


@dataclass
class _Sign:
    """The last that was heard of a process, and when it last changed, on the clock of this one."""

    text: bytes = b""
    calls: int = 0
    in_step: bool = False
    lived: float = 0.0
    moved: float = 0.0


class Watchdog:
    """Looks after ``size`` processes from one of them.

    Args:
        hang_after: seconds in a step without progress; signs of life may lack as long, at most 30 s.
    """

    def __init__(self, ranks: Watched, store: Any, hang_after: float) -> None:
        self._ranks, self._store, self._hang_after = ranks, store, hang_after
        self._silence = min(SILENCE, hang_after)
        self.interval = min(1.0, self._silence / 4)
        self._signs = [_Sign() for _ in range(ranks.size)]
        self._beats = 0
        self._looked = 0.0

    def beat(self) -> None:
        """Give a sign of life."""
        self._beats += 1
        self._store.set(self._name(self._ranks.rank), json.dumps([self._beats, *self._place()]))

    def look(self, now: float) -> tuple[str, list[int]]:
        """What is wrong with which processes; nothing, as a rule."""
        late = (
            now - self._looked > self.interval + self._silence / 2
        )  # this one was stopped: all may have been
        self._looked = now
        for rank, sign in enumerate(self._signs):
            there = self._store.check([self._name(rank)])  # else it has not come so far yet
            text = self._store.get(self._name(rank)) if there else b"[0, 0, false]"
            _, calls, in_step = json.loads(text)
            if late or calls != sign.calls:
                sign.moved = now
            if late or not there or text != sign.text:
                sign.lived = now
            sign.text, sign.calls, sign.in_step = text, calls, in_step
        silent = [rank for rank, sign in enumerate(self._signs) if now - sign.lived > self._silence]
        if silent:
            return f"gave no sign of life for {self._silence:.0f} s: stopped, or cut off", silent
        patience = 1 if all(sign.in_step for sign in self._signs) else PATIENCE
        moved = max(sign.moved for sign in self._signs)
        if now - moved <= patience * self._hang_after:
            return "", []
        least = min(sign.calls for sign in self._signs)
        behind = [rank for rank, sign in enumerate(self._signs) if sign.calls == least]
        if len(behind) == len(self._signs):
            return f"wait for each other since {now - moved:.0f} s: the network does not carry", behind
        return f"did not get on for {now - moved:.0f} s, and the others wait", behind

    @property
    def speaks(self) -> bool:
        """Whether this process is the one that says it: the first that lives."""
        lives = (rank for rank, s in enumerate(self._signs) if self._looked - s.lived <= self._silence)
        return self._ranks.rank == next(lives, self._ranks.rank)

    def _name(self, rank: int) -> str:
        return f"sign/{rank}"

    def _place(self) -> tuple[int, bool]:
        return self._ranks.calls, self._ranks.in_step


def common_store(rank: int | None, limit: timedelta) -> Any:
    """The store that the environment tells of, by a connection of its own; rank 0 hosts it if nobody does.

    Args:
        limit: of an answer.
    """
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    hosts = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    make = dist.TCPStore  # type: ignore[attr-defined]
    store = make(host, port, is_master=hosts, wait_for_workers=False, timeout=limit)
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")  # of torchrun, over the same store
    return dist.PrefixStore(f"polymod/{attempt}", store)  # type: ignore[attr-defined]


@contextmanager
def watched(ranks: Watched, hang_after: float) -> Iterator[None]:
    """While this lasts, end this process with code 75 when one of the run's does not go on, and name it."""
    limit = timedelta(seconds=min(SILENCE, hang_after))
    dog = Watchdog(ranks, common_store(None, limit), hang_after)
    over = threading.Event()

    def watch() -> None:
        while not over.wait(dog.interval):
            try:
                dog.beat()
                what, who = dog.look(time.monotonic())
            except (RuntimeError, ValueError):  # no answer, no connection
                what, who = "the process that started all, or rank 0, does not answer", []
            if what and not over.is_set():
                _end(dog, ranks, what, who)

    dog.beat()
    thread = threading.Thread(target=watch, name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(2 * dog.interval)


def _end(dog: Watchdog, ranks: Watched, what: str, who: list[int]) -> None:
    """Say what is wrong, show where this process is if it is the one, and end it: it may be unable to."""
    if ranks.rank in who:
        faulthandler.dump_traceback()
        time.sleep(3 * dog.interval)  # the others speak first: they would lose contact, and know less
    elif who and not dog.speaks:
        time.sleep(2 * dog.interval)  # who speaks may look a moment later, and would only lose contact
    if dog.speaks or ranks.rank in who or not who:  # who hears nothing cannot know what others say
        names = f"rank{'s' * (len(who) > 1)} {', '.join(map(str, who))} of {ranks.size} " if who else ""
        shown = "\x1b[?25h" if sys.stderr.isatty() else ""  # a bar hides the cursor
        print(f"{shown}error: {names}{what}\n  fix: {_FIX}", file=sys.stderr, flush=True)
    os._exit(75)
