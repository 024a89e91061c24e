"""Tables of a transfer: means over runs, intervals, macro mean, worst language, paired differences."""

from __future__ import annotations

import numpy as np
import pytest

from polymod.tasks.bootstrap import drawn, quantiles
from polymod.tasks.tables import comparison, difference_table, score_table
from polymod.tasks.task import TASKS
from polymod.tasks.transfer import Measured

TASK, RESAMPLES = TASKS["nli"], 300


def measured(right: dict[str, list[list[int]]], module: str = "") -> Measured:
    """Examples of each language, right or not, for each run."""
    statistics = {}
    for tag, runs in right.items():
        statistics[tag] = np.zeros((len(runs), len(runs[0]), 11))
        statistics[tag][..., 0], statistics[tag][..., 1] = 1, runs
    return Measured(TASK, statistics, {tag: module or tag for tag in right}, {tag: ["s"] for tag in right})


def flips(share: float, count: int, seed: int) -> list[int]:
    return (np.random.default_rng(seed).random(count) < share).astype(int).tolist()


def naive_interval(runs: list[list[int]]) -> tuple[float, float]:
    """Each run resampled by itself, with the draws that all have."""
    by_run = []
    for run in runs:
        of_E1 = np.array(run, dtype=float)[:, None]
        by_run.append(drawn(of_E1, lambda totals: totals[..., 0] / len(runs[0]), seed=0, samples=RESAMPLES))
    return quantiles(np.mean(by_run, axis=0))


def test_scores_are_means_over_runs_and_intervals_those_of_the_mean():
    runs = {"en": [flips(0.9, 50, 0), flips(0.8, 50, 1)], "to": [flips(0.5, 40, 2), flips(0.4, 40, 3)]}
    table = score_table(measured(runs), ["en"], RESAMPLES)
    for tag, both in runs.items():
        entry, scores = table["languages"][tag], [float(np.mean(run)) for run in both]
        assert entry["scores"] == pytest.approx(scores)
        assert entry["score"] == pytest.approx(np.mean(scores))
        assert entry["sd"] == pytest.approx(np.std(scores, ddof=1))
        assert (entry["low"], entry["high"]) == pytest.approx(naive_interval(both))
        assert (entry["examples"], entry["module"]) == (len(both[0]), tag)
        assert entry["metrics"]["accuracy"] == pytest.approx(entry["score"])


def test_one_run_has_no_spread():
    entry = score_table(measured({"en": [[1, 0]]}), ["en"], RESAMPLES)["languages"]["en"]
    assert "sd" not in entry
    assert entry["score"] == 0.5


def test_the_macro_mean_is_without_the_source_and_the_worst_is_named():
    table = score_table(
        measured({"en": [[1, 1, 1, 1]], "de": [[1, 1, 1, 0]], "to": [[1, 0, 0, 0]]}), ["en"], 100
    )
    assert (table["macro"], table["worst"], table["worst_language"]) == (0.5, 0.25, "to")
    assert (table["source_score"], table["source_gap"]) == (1.0, 0.5)
    assert table["macro_interval"]["low"] <= 0.5 <= table["macro_interval"]["high"]


def test_what_there_is_not_is_none():
    only_source = score_table(measured({"en": [[1, 0]]}), ["en"], 100)
    assert (only_source["macro"], only_source["worst"], only_source["source_gap"]) == (None, None, None)
    only_target = score_table(measured({"to": [[1, 0]]}), ["en"], 100)
    assert (only_target["macro"], only_target["source_score"], only_target["source_gap"]) == (0.5, None, None)


def test_a_difference_is_paired():
    easy, hard = flips(0.5, 200, 0), flips(0.5, 200, 1)
    better = [min(1, each + (index % 10 == 0)) for index, each in enumerate(easy)]
    paired = difference_table(measured({"to": [better]}), measured({"to": [easy]}), [], RESAMPLES)
    other = difference_table(measured({"to": [better]}), measured({"to": [hard]}), [], RESAMPLES)
    found, unpaired = paired["languages"]["to"], other["languages"]["to"]
    assert found["difference"] == pytest.approx(np.mean(better) - np.mean(easy))
    assert found["low"] > 0
    assert found["p"] < 0.05
    assert found["high"] - found["low"] < (unpaired["high"] - unpaired["low"]) / 2
    assert paired["macro"] == pytest.approx({key: found[key] for key in ("difference", "low", "high")})


def test_the_same_is_no_difference_whatever_the_number_of_runs():
    runs = [flips(0.5, 30, 0), flips(0.6, 30, 1)]
    table = difference_table(measured({"to": runs}), measured({"to": [*runs, *runs, *runs]}), [], 100)
    entry = table["languages"]["to"]
    assert [entry[key] for key in ("difference", "low", "high", "p")] == pytest.approx(
        [0, 0, 0, 1], abs=1e-12
    )


def test_groups_of_different_sizes_are_compared_by_their_means():
    a, b = [flips(0.9, 60, 0), flips(0.8, 60, 1)], [flips(0.5, 60, 2), flips(0.4, 60, 3), flips(0.3, 60, 4)]
    entry = difference_table(measured({"to": a}), measured({"to": b}), [], RESAMPLES)["languages"]["to"]
    assert entry["difference"] == pytest.approx(np.mean(a) - np.mean(b))
    assert entry["low"] < entry["difference"] < entry["high"]
    assert entry["p"] == pytest.approx(1 / (RESAMPLES + 1))


def test_controls_stand_side_by_side():
    controls = {"target": [[1, 1, 0, 1]], "source": [[1, 0, 0, 1]], "none": [[0, 0, 0, 1]]}
    tables = {name: measured({"en": [[1, 1, 1, 1]], "to": right}, name) for name, right in controls.items()}
    document = comparison(tables, ["en"], 100)
    assert document["module"] == "all"
    assert [document["modules"][name]["macro"] for name in controls] == [0.75, 0.5, 0.25]
    assert document["macro"] == 0.75
    assert document["differences"]["target-none"]["macro"]["difference"] == 0.5
    assert document["differences"]["target-source"]["languages"]["en"]["difference"] == 0
    assert comparison({"none": tables["none"]}, ["en"], 100)["module"] == "none"
