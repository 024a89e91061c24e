"""Agreement over the checkpoints of a run: means of what is there, by run."""

from __future__ import annotations

import numpy as np
import pytest

from polymod.diagnose.averages import averages
from polymod.diagnose.kinship import Kinship

TAGS = ["a", "b", "c", "d"]


def checkpoint(run: str, step: int, cosine: np.ndarray, *, groups: bool = True) -> dict:
    corrected = (2 * cosine).tolist()
    corrected[0][1] = None if step == 2 else corrected[0][1]
    part, norms = {"cosine": (-cosine).tolist(), "cosine_se": []}, {"cosine": (3 * cosine).tolist()}
    trunk = {"cosine": cosine.tolist(), "corrected": corrected, "conflict": []}
    return {
        "run": run,
        "step": step,
        "languages": TAGS,
        "trunk": trunk,
        "groups": {"head": part, "norms": norms} if groups else {"head": {}},
    }


def test_means_of_every_run_with_several_checkpoints():
    chance = np.random.default_rng(0)
    drawn = chance.normal(size=(4, 4, 4))
    one, two, three, four = drawn + drawn.transpose(0, 2, 1)
    results = [
        checkpoint("x", 1, one),
        checkpoint("y", 1, two),
        checkpoint("y", 2, three),
        checkpoint("y", 3, four),
    ]
    related = (two + three + four) / 3
    kinship = Kinship(tuple(TAGS), related, {})
    (found,) = averages(results, ["a", "b", "b", "b"], kinship)
    assert found["runs"] == ["y"]
    assert found["steps"] == [1, 2, 3]
    assert np.array(found["trunk"]["cosine"]) == pytest.approx(related, abs=1e-5)
    assert np.array(found["groups"]["head"]["cosine"]) == pytest.approx(-related, abs=1e-5)
    assert found["trunk"]["corrected"][0][1] is None
    assert found["trunk"]["corrected"][1][2] == pytest.approx(2 * related[1, 2], abs=1e-5)
    assert found["along_relatedness"]["cosine"] == 1
    assert found["along_relatedness"]["groups"] == {"head": -1, "norms": 1}
    assert found["along_relatedness"]["mean_of_groups"] == 1  # of -1 and 3 times the same


def test_without_relatedness_or_matrices_of_groups():
    results = [checkpoint("x", step, np.eye(4), groups=False) for step in (1, 3)]
    (found,) = averages(results, ["a", "a"], None)
    assert found["groups"] == {"head": {}}
    assert "along_relatedness" not in found
    (found,) = averages(results, ["a", "a"], Kinship(tuple(TAGS), np.eye(4), {}))
    assert found["along_relatedness"]["groups"] == {}
    assert averages(results[:1], ["a"], None) == []


def test_runs_of_one_setting_have_a_mean_of_their_own():
    one, two, three = np.random.default_rng(0).normal(size=(3, 4, 4))
    results = [
        checkpoint("seed 0", 1, one),
        checkpoint("seed 0", 3, two),
        checkpoint("seed 1", 3, three),
        checkpoint("other", 3, one),
    ]
    alone, both = averages(results, ["a", "a", "a", "b"], None)
    assert (alone["runs"], alone["steps"]) == (["seed 0"], [1, 3])
    assert (both["runs"], both["steps"]) == (["seed 0", "seed 1"], [1, 3])
    assert np.array(both["trunk"]["cosine"]) == pytest.approx((one + two + three) / 3, abs=1e-5)
    results[2]["languages"] = TAGS[::-1]
    assert len(averages(results, ["a", "a", "a", "b"], None)) == 1, "other languages are another matter"
