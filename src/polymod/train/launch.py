"""``--nproc``: the same command in several processes of this machine, which find each other as torchrun's do.

The first one has the terminal. Of the others what was said last is shown if one of them is why all ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import IO

from polymod.errors import Lost

LAUNCHED = "POLYMOD_LAUNCHED"  # in the environment of a process: somebody else says which one failed
LOST = 76  # exit code of a launched process that only lost contact: not the reason why all ended
_POLL, _SETTLE, _GRACE = 0.05, 0.5, 5.0  # seconds
_TAIL = 4000  # characters


def launch(nproc: int, command: Sequence[str]) -> int:
    """Run a command ``nproc`` times together; returns the exit code of all.

    A stop signal is passed on, and all stop after the same step. If one process fails, the others are ended.

    Raises:
        Lost: a process was killed.
    """
    import torch.distributed as dist

    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    environment = {
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // nproc)),
        **os.environ,
        "WORLD_SIZE": str(nproc),
        "LOCAL_WORLD_SIZE": str(nproc),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
        LAUNCHED: "1",
    }
    processes: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        said = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(1, nproc)]
        stack.callback(_kill, processes)
        with _passed_on(processes):
            for rank in range(nproc):
                place = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
                processes.append(
                    _started(command, {**environment, **place}, said[rank - 1] if rank else None)
                )
            codes = _ended(processes)
        _kill(processes)
        return _told(codes, said)


def _started(
    command: Sequence[str], environment: dict[str, str], said: IO[bytes] | None
) -> subprocess.Popen[bytes]:
    """A process in a session of its own: Ctrl-C reaches it once, from here."""
    if said is None:
        return subprocess.Popen(list(command), env=environment, start_new_session=True)
    return subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=said,
        env=environment,
        start_new_session=True,
    )


@contextmanager
def _passed_on(processes: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Send stop signals on instead of dying of them."""

    def pass_on(number: int, _: FrameType | None) -> None:
        for process in processes:
            process.send_signal(number)

    def pause(number: int, _: FrameType | None) -> None:
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)  # returns when this process is continued
        for process in processes:
            process.send_signal(signal.SIGCONT)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    old = {number: signal.signal(number, pass_on) for number in numbers}
    old[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, pause)
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def _ended(processes: list[subprocess.Popen[bytes]]) -> list[int | None]:
    """Exit codes when all have ended, or when those that still run are not worth waiting for: ``None``."""
    while not any(codes := _codes(processes)):
        if None not in codes:
            return codes
        time.sleep(_POLL)
    _wait(processes, _SETTLE)
    codes = _codes(processes)
    failed = any(code not in (0, 75, None) for code in codes)
    for process in processes:
        if failed and process.poll() is None:
            process.terminate()
    _wait(processes, _GRACE)
    return codes if failed else _codes(processes)


def _kill(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.kill()
        process.wait()


def _codes(processes: list[subprocess.Popen[bytes]]) -> list[int | None]:
    return [process.poll() for process in processes]


def _wait(processes: list[subprocess.Popen[bytes]], seconds: float) -> None:
    """For all to end, at most so long."""
    until = time.monotonic() + seconds
    while None in _codes(processes) and time.monotonic() < until:
        time.sleep(_POLL)


def _told(codes: list[int | None], said: Sequence[IO[bytes]]) -> int:
    """The exit code of all; says why they ended if the first process did not say it."""
    fix = "run the same command to go on from the last checkpoint"
    for rank, code in enumerate(codes):
        if code is not None and code < 0:
            memory = " (the system does that when memory runs out)" if code == -signal.SIGKILL else ""
            what = f"rank {rank} of {len(codes)} was killed by {signal.Signals(-code).name}{memory}"
            raise Lost(f"{what}; all ranks have ended", fix=fix)
    failed = [(rank, code) for rank, code in enumerate(codes) if code not in (0, LOST, None)]
    if not failed:
        if not any(codes):
            return 0
        raise Lost(f"the {len(codes)} processes lost contact with each other; all have ended", fix=fix)
    rank, code = failed[0]
    if rank:
        said[rank - 1].seek(0)
        text = said[rank - 1].read().decode(errors="replace")[-_TAIL:]
        print(f"rank {rank} of {len(codes)}:\n{text.rstrip()}", file=sys.stderr)
    assert code is not None
    return code
