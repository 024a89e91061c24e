"""Faults on purpose, so that tests see what a full disk or a kill leaves behind."""

from __future__ import annotations

import errno
import fnmatch
import os
import signal
from pathlib import Path


def fault(stage: str, path: Path) -> None:
    """Fail or die here if ``POLYMOD_FAULTS`` says so: ``"synced:manifest.json:kill;written:*.bin:ENOSPC"``.

    Raises:
        OSError: the error that a rule for this stage and name asks for.
    """
    for rule in filter(None, os.environ.get("POLYMOD_FAULTS", "").split(";")):
        at, pattern, action = rule.split(":")
        if at == stage and fnmatch.fnmatch(path.name, pattern):
            if action == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(getattr(errno, action), os.strerror(getattr(errno, action)))
