"""Settings of all tests: reproducible property tests, one thread per worker."""

from __future__ import annotations

import os

from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers share the cores; also holds for processes they start

settings.register_profile("polymod", derandomize=True, deadline=None, max_examples=100)
settings.load_profile("polymod")
