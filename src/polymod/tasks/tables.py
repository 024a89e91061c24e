"""Statistics of a transfer -> its tables: scores with intervals, macro mean, worst language, differences.

R runs, B resamples.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from polymod.tasks.bootstrap import compare, drawn, quantiles
from polymod.tasks.task import Statistics
from polymod.tasks.transfer import ALL, Measured

DIFFERENCES = "transfer-differences.json"  # in a fine-tuned folder, beside its tables
TEST = "test"  # the split whose tables have no split in their names
SEED = 0  # of all resamples, so that results are repeated and differences paired


def of_split(path: Path, split: str) -> Path:
    """The file of a table: ``transfer.json`` for the test split, ``transfer.dev.json`` for another one."""
    return path if split == TEST else path.with_suffix(f".{split}.json")


def comparison(measured: Mapping[str, Measured], sources: Collection[str], resamples: int) -> dict[str, Any]:
    """The table of the first control; of several all tables, and how far the first is above the others."""
    tables = {control: score_table(each, sources, resamples) for control, each in measured.items()}
    first, *rest = measured
    if not rest:
        return {"module": first, **tables[first]}
    apart = differences(measured, sources, resamples)
    return {"module": ALL, **tables[first], "modules": tables, "differences": apart}


def differences(
    measured: Mapping[str, Measured], sources: Collection[str], resamples: int
) -> dict[str, dict[str, Any]]:
    """How far the first control is above each of the others, by ``first-other``."""
    first, *rest = measured
    return {
        f"{first}-{control}": difference_table(measured[first], measured[control], sources, resamples)
        for control in rest
    }


def score_table(measured: Measured, sources: Collection[str], resamples: int) -> dict[str, Any]:
    """Every language's main metric with its bootstrap interval, over all runs, and what they say together.

    ``macro`` and ``worst`` are over the languages that the task was not learnt in, and ``None`` without any.
    ``source_gap`` is how far the macro mean is below the mean of the source languages.
    """
    scores = {tag: measured.scores(tag) for tag in measured.statistics}
    draws = {tag: _drawn(measured, tag, resamples) for tag in scores}
    languages = {
        tag: {
            **_summary(scores[tag], draws[tag]),
            "examples": measured.statistics[tag].shape[1],
            "module": measured.modules[tag],
            "metrics": {key: float(values_R.mean()) for key, values_R in measured.metrics(tag).items()},
            "signatures": list(measured.signatures[tag]),
        }
        for tag in scores
    }
    targets = [tag for tag in scores if tag not in sources]
    at_home = [languages[tag]["score"] for tag in scores if tag in sources]
    macro = _summary(_mean(scores, targets), _mean(draws, targets)) if targets else None
    worst = min(targets, key=lambda tag: scores[tag].mean(), default=None)
    source = sum(at_home) / len(at_home) if at_home else None
    return {
        "languages": languages,
        "macro": macro["score"] if macro else None,
        "macro_interval": macro,
        "worst": languages[worst]["score"] if worst else None,
        "worst_language": worst,
        "source_score": source,
        "source_gap": source - macro["score"] if macro and source is not None else None,
    }


def difference_table(a: Measured, b: Measured, sources: Collection[str], resamples: int) -> dict[str, Any]:
    """How far ``a`` is above ``b`` in every language, and in the mean of those that are no source.

    Means over the runs of each. The intervals are of a paired bootstrap over examples, ``p`` of a test that
    exchanges the results of an example between the two.
    """
    languages, draws = {}, {}
    for tag in a.statistics:
        runs = math.lcm(len(a.statistics[tag]), len(b.statistics[tag]))
        (first, metric), (second, _) = a.side_by_side(tag, runs), b.side_by_side(tag, runs)
        languages[tag] = compare(first, second, metric, seed=SEED, samples=resamples)._asdict()
        draws[tag] = _drawn(a, tag, resamples) - _drawn(b, tag, resamples)
    targets = [tag for tag in languages if tag not in sources]
    macro = None
    if targets:
        low, high = quantiles(_mean(draws, targets))
        mean = sum(languages[tag]["difference"] for tag in targets) / len(targets)
        macro = {"difference": mean, "low": low, "high": high}
    return {"languages": languages, "macro": macro}


def _drawn(measured: Measured, tag: str, resamples: int) -> Statistics:
    """The main metric, averaged over the runs, on resamples of a language's examples, (B,)."""
    runs = len(measured.statistics[tag])
    return drawn(*measured.side_by_side(tag, runs), seed=SEED, samples=resamples)


def _mean(of_tags: Mapping[str, Statistics], tags: Sequence[str]) -> Statistics:
    """Mean over languages."""
    mean: Statistics = np.mean([of_tags[tag] for tag in tags], axis=0)
    return mean


def _summary(scores_R: Statistics, drawn_B: Statistics) -> dict[str, Any]:
    """Mean over runs with its 95 % interval, and the spread over runs if there are several."""
    low, high = quantiles(drawn_B)
    found = {"score": float(scores_R.mean()), "low": low, "high": high}
    if len(scores_R) > 1:
        return {**found, "sd": float(scores_R.std(ddof=1)), "scores": scores_R.tolist()}
    return found
