"""``python -m polymod.study.child PARENT VERB ...``: the program as users run it, ended with its parent.

If the process PARENT is gone, even by ``kill -9``, the run saves and stops; else it would go on unseen and
hold its folder against the next start of the study.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

_POLL = 0.5  # seconds


def main() -> None:
    """Watch the parent in a thread, and be ``python -m polymod``."""
    parent = int(sys.argv.pop(1))
    threading.Thread(target=_stop_without, args=(parent,), daemon=True).start()
    runpy.run_module("polymod", run_name="__main__", alter_sys=True)


def _stop_without(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
