"""What comes of processes that are started together: signals, the code of all, who is named."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

import pytest

from polymod.errors import Lost
from polymod.train.launch import LOST, launch

RANK = "import os, sys, time, signal; rank = int(os.environ['RANK']); "


def run(script: str, nproc: int = 3) -> int:
    return launch(nproc, [sys.executable, "-S", "-c", RANK + script])


def test_they_know_their_places(tmp_path):
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "OMP_NUM_THREADS")
    place = f"print(*(os.environ[n] for n in {names}), file=open('{tmp_path}/' + str(rank), 'w'))"
    assert run(place, 2) == 0
    assert (tmp_path / "0").read_text().split()[:4] == ["0", "2", "0", "127.0.0.1"]
    assert (tmp_path / "1").read_text().split()[:4] == ["1", "2", "1", "127.0.0.1"]


def test_one_that_fails_ends_all_and_is_shown(capfd):
    started = time.monotonic()
    assert run("rank == 2 and sys.exit('no such file'); time.sleep(60)") == 1
    assert time.monotonic() - started < 20
    assert capfd.readouterr().err == "rank 2 of 3:\nno such file\n"


def test_the_first_one_speaks_for_itself(capfd):
    assert run("rank and time.sleep(60); sys.exit(print('mine', file=sys.stderr) or 2)") == 2
    assert capfd.readouterr().err == "mine\n"


def test_one_that_is_killed_is_named():
    script = f"rank == 1 and os.kill(os.getpid(), signal.SIGKILL); time.sleep(1); sys.exit({LOST})"
    with pytest.raises(Lost, match=r"rank 1 of 3 was killed by SIGKILL .*; all ranks have ended"):
        run(script)


def test_a_signal_reaches_all_once():
    caught = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(75)); time.sleep(60)"
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    assert run(caught) == 75
    timer.join()


def test_nobody_outlives_it(tmp_path):
    """Even one that does not end on a signal."""
    script = f"open('{tmp_path}/' + str(os.getpid()), 'w'); signal.signal(15, signal.SIG_IGN); "
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("polymod.train.launch._GRACE", 0.5)
        assert run(script + "rank == 1 and sys.exit(3); time.sleep(60)") == 3
    for path in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.name), 0)
