"""Agreement of languages averaged over the checkpoints of a run, and over runs that differ in their seed.

At one checkpoint agreement is that of a moment: it rises while the loss falls fast and fades at the end. What
languages have in common over a training is steadier, and over several trainings steadier again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from polymod.diagnose.agreement import listed
from polymod.diagnose.kinship import Kinship

Rows = list[list[float | None]]


def averages(
    results: Sequence[Mapping[str, Any]], settings: Sequence[str], kinship: Kinship | None
) -> list[dict[str, Any]]:
    """Mean matrices of every run with several checkpoints and of every setting with several runs.

    Args:
        results: of all checkpoints as ``diagnose gradients`` has them, those of a run side by side.
        settings: of the training of each; runs of one setting differ in their seed.
    """
    by_run = [list(group) for _, group in groupby(results, key=lambda each: each["run"])]
    by_setting: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for setting, each in zip(settings, results, strict=True):
        by_setting.setdefault((setting, *each["languages"]), []).append(each)
    several = [some for some in by_setting.values() if len({each["run"] for each in some}) > 1]
    return [_average(some, kinship) for some in (*by_run, *several) if len(some) > 1]


def _average(results: Sequence[Mapping[str, Any]], kinship: Kinship | None) -> dict[str, Any]:
    first = results[0]
    found = {
        "runs": list(dict.fromkeys(each["run"] for each in results)),
        "steps": sorted({each["step"] for each in results}),
        "languages": first["languages"],
        "trunk": _means([each["trunk"] for each in results], ("cosine", "corrected")),
        "groups": {
            name: _means([each["groups"][name] for each in results], ("cosine",)) for name in first["groups"]
        },
    }
    return found if kinship is None else {**found, "along_relatedness": kinship.of_gradients(found)}


def _means(parts: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Rows]:
    """Means of the matrices that are there; not defined where one of them is not."""
    return {
        name: listed(np.mean([np.array(part[name], dtype=np.float64) for part in parts], axis=0))
        for name in names
        if name in parts[0]
    }
