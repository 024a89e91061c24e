"""Gaps by hand: paired differences, t intervals, verdicts, conditions, plateau."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from scipy.stats import t as student

from polymod.diagnose.gaps import NOTE, ON_PLATEAU, Compared, gap, gaps
from polymod.diagnose.student import interval, quantile
from polymod.diagnose.tables import gap_lines
from polymod.errors import UserError

ENTROPY = {"en": 6.0, "to": 6.5}


def mono(tag: str, seed: int, loss: float, steps: int = 100) -> Compared:
    return Compared("mono", seed, steps, 64, {tag: 64.0 * steps}, {tag: loss})


def among(seed: int, en: float, to: float, setting: str = "shared") -> Compared:
    return Compared(setting, seed, 100, 64, {"en": 4800.0, "to": 1600.0}, {"en": en, "to": to})


RUNS = [
    *(mono("en", seed, loss) for seed, loss in enumerate((3.0, 3.1, 3.2))),
    *(mono("to", seed, loss) for seed, loss in enumerate((4.0, 4.0, 4.3))),
    *(among(*each) for each in ((0, 3.5, 3.8), (1, 3.7, 3.9), (2, 3.6, 4.4))),
]


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 12, 61])
def test_quantiles_are_those_of_scipy(freedom):
    assert quantile(freedom) == pytest.approx(student.ppf(0.975, freedom), rel=1e-9)


def test_an_interval_by_hand():
    low, high = interval([1.0, 2.0, 3.0])
    assert (low, high) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), abs=1e-6)
    assert interval([1.0]) == (None, None)


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([0.2, 0.21, 0.19], "interference"),
        ([-0.2, -0.21, -0.19], "transfer"),
        ([0.3, -0.1, 0.2], "neither"),
        ([0.5], "one seed"),
    ],
)
def test_a_verdict_needs_an_interval_without_zero(differences, verdict):
    assert gap(differences)["verdict"] == verdict


def test_differences_are_paired_by_seed_and_positive_where_a_language_is_worse_among_others():
    document = gaps(RUNS[::-1], ENTROPY, condition="same-updates")
    assert document["reference"] == "mono"
    en = document["languages"]["en"]
    assert en["settings"]["mono"] == {
        "losses": [3.0, 3.1, 3.2], "mean": pytest.approx(3.1), "sd": pytest.approx(0.1), "tokens": 6400
    }  # fmt: skip
    assert en["gaps"]["shared"]["difference"] == pytest.approx(0.5)  # 0.5, 0.6, 0.4
    half = 4.302653 * 0.1 / 3**0.5
    assert en["gaps"]["shared"]["low"] == pytest.approx(0.5 - half, abs=1e-6)
    assert en["gaps"]["shared"]["verdict"] == "interference"
    to = document["languages"]["to"]["gaps"]["shared"]  # -0.2, -0.1, 0.1
    assert (to["difference"], to["verdict"]) == (pytest.approx(-0.2 / 3), "neither")
    mean = document["mean"]["shared"]  # 0.15, 0.25, 0.25
    assert mean["difference"] == pytest.approx(0.65 / 3)
    assert document["notes"] == {}
    assert document["languages"]["to"]["unigram_entropy"] == 6.5


def test_one_seed_has_no_interval():
    document = gaps([run for run in RUNS if run.seed == 1], ENTROPY, condition="same-updates")
    assert document["languages"]["en"]["settings"]["shared"]["sd"] is None
    expected = {"difference": pytest.approx(0.6), "low": None, "high": None, "verdict": "one seed"}
    assert document["languages"]["en"]["gaps"]["shared"] == expected


def test_pairs_of_a_seed_are_averaged():
    pairs = [among(seed, en, 4.0, "pairs") for seed in (0, 1, 2) for en in (3.0, 4.0)]
    document = gaps([*RUNS, *pairs], ENTROPY, condition="same-updates")
    assert document["languages"]["en"]["settings"]["pairs"]["losses"] == [3.5, 3.5, 3.5]


def test_each_condition_finds_its_reference_and_leaves_the_rest_out():
    few = [
        replace(mono(tag, seed, 3.0 + seed, steps), setting="mono-examples")
        for tag, steps in (("en", 75), ("to", 25))
        for seed in (0, 1, 2)
    ]
    updates = gaps([*few, *RUNS], ENTROPY, condition="same-updates")
    assert (updates["reference"], list(updates["left_out"])) == ("mono", ["mono-examples"])
    assert list(updates["mean"]) == ["shared"]
    examples = gaps([*few, *RUNS], ENTROPY, condition="same-examples")
    assert (examples["reference"], list(examples["left_out"])) == ("mono-examples", ["mono"])
    assert examples["languages"]["to"]["settings"]["mono-examples"]["tokens"] == 1600
    with pytest.raises(UserError, match="shared: 100 steps"):
        gaps([*few, *RUNS[6:]], ENTROPY, condition="same-updates")


def test_a_setting_without_the_language_of_the_reference_is_left_out():
    runs = [replace(mono(tag, 0, 3.0), setting=f"mono-{tag}") for tag in ("en", "to")]
    document = gaps([*runs, among(0, 3.5, 3.8)], ENTROPY, condition="same-updates")
    assert document["reference"] == "mono-en"
    assert document["left_out"] == {"mono-to": "has not en"}
    assert set(document["mean"]) == {"shared"}


def test_who_has_learnt_only_frequencies_is_noted():
    near = [replace(run, setting="near", losses={"en": 5.6, "to": 6.0}) for run in RUNS[6:]]
    assert gaps([*RUNS, *near], ENTROPY, condition="same-updates")["notes"] == {"near": NOTE}
    past = [replace(run, setting="near", losses={"en": 5.4, "to": 6.0}) for run in RUNS[6:]]
    assert gaps([*RUNS, *past], ENTROPY, condition="same-updates")["notes"] == {}


def verdicts(document: dict[str, Any], name: str) -> set[str]:
    """Those of a setting in each language and on average."""
    gaps_ = [entry["gaps"][name] for entry in document["languages"].values()]
    return {each["verdict"] for each in (*gaps_, document["mean"][name])}


def test_who_has_learnt_only_frequencies_gets_no_verdict():
    near = [replace(run, setting="near", losses={"en": 5.6, "to": 6.0}) for run in RUNS[6:]]
    document = gaps([*RUNS, *near], ENTROPY, condition="same-updates")
    assert verdicts(document, "near") == {ON_PLATEAU}
    assert document["languages"]["en"]["gaps"]["near"]["low"] > 0
    assert verdicts(document, "shared") == {"interference", "neither"}
    said = "\n".join(gap_lines(document))
    assert "near: on the plateau 2; all languages together: on the plateau" in said
    assert "not past the unigram plateau: near; train longer: no verdict there" in said


def test_a_reference_that_has_learnt_only_frequencies_gives_no_verdict():
    alone = [replace(run, losses=dict.fromkeys(run.losses, 6.2)) for run in RUNS[:6]]
    document = gaps([*alone, *RUNS[6:]], ENTROPY, condition="same-updates")
    assert document["notes"] == {"mono": NOTE}
    assert verdicts(document, "shared") == {ON_PLATEAU}
    assert gap([0.5], on_plateau=True)["verdict"] == ON_PLATEAU


def test_a_condition_that_nothing_fits_says_what_the_plan_needs():
    with pytest.raises(UserError, match="shared: 4,800 tokens of 'en' instead of 6,400") as error:
        gaps(RUNS, ENTROPY, condition="same-examples")
    assert "mono-examples: {languages: each, examples-of: shared} (docs/study.md)" in error.value.fix
    longer = [replace(run, steps=200) for run in RUNS[6:]]
    with pytest.raises(UserError, match="shared: 200 steps") as error:
        gaps([*RUNS[:6], *longer], ENTROPY, condition="same-updates")
    assert "as many steps" in error.value.fix


def test_what_cannot_be_compared_is_told():
    with pytest.raises(UserError, match="no setting is monolingual"):
        gaps(RUNS[6:], ENTROPY, condition="same-updates")
    with pytest.raises(UserError, match="seeds 0, 1 in 'shared' and 0, 1, 2 in 'mono'"):
        gaps(RUNS[:-1], ENTROPY, condition="same-updates")
    with pytest.raises(UserError, match="settings: mono, shared"):
        gaps(RUNS, ENTROPY, condition="same-updates", reference="alone")
