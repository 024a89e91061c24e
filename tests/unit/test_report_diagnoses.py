"""Sections of the diagnoses: what they say of documents that are clear, noisy, small, in part or wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from _diagnoses import RUN, SHARES, controls, diagnoses, gaps, gradients, line, masks
from _pages import Page
from polymod.errors import UserError
from polymod.report.ablations import OTHERS, ablations
from polymod.report.agreements import agreements, newest
from polymod.report.blocks import Section, Table
from polymod.report.contributions import contributions
from polymod.report.document import Document, read
from polymod.report.finding import finding, tiles
from polymod.report.page import render
from polymod.report.sections import (
    controls as controls_section,
)
from polymod.report.sections import (
    gaps as gaps_section,
)
from polymod.report.sections import (
    gradient_parts,
    gradient_time,
    overlap,
)
from polymod.report.sections import (
    gradients as gradients_section,
)
from polymod.report.sections import (
    masks as masks_section,
)
from polymod.report.settings import ON_PLATEAU, comparisons

TAGS = ("qaa", "qab", "qba", "qbb")
HEAD = {"schema": 1, "kind": "report", "title": "t"}


def document(**parts: Any) -> Document:
    return read(HEAD | parts)


def made(make: Callable[[Document], Section | None], **parts: Any) -> Section:
    section = make(document(**parts))
    assert section is not None
    return section


def page(**parts: Any) -> Page:
    return Page(render(HEAD | parts))


def test_diagnoses_alone_make_a_page_with_a_finding() -> None:
    said = finding(document(**diagnoses(TAGS)))
    for part in (
        "bilingual beside mono: \N{MINUS SIGN}0.20 nats",
        "a cosine of",
        "own mask costs",
        "module is worth 0.27 nats",
    ):
        assert part in said
    seen = page(**diagnoses(TAGS))
    assert "This document holds no losses yet." not in seen.text
    assert "compare it with its ceiling" in seen.text


# gradients


def test_the_gradients_section_says_cosine_ceiling_and_conflicts_and_names_clear_conflicts() -> None:
    section = made(gradients_section.section, gradients=[gradients(TAGS)])
    assert re.search(
        r"In modular at step 1,200 gradients of two languages have a cosine of \N{MINUS SIGN}?0\.\d\d",
        section.means,
    )
    assert "those of one language 0.30, and 37\N{NO-BREAK SPACE}% of the pairs" in section.means
    assert "pull in opposite directions: qa" in section.advice
    assert " and qb" in section.advice


def test_a_cosine_below_zero_within_its_error_is_no_conflict_to_treat() -> None:
    part = gradients(TAGS)
    part["trunk"]["cosine_se"] = [[0.5] * 4] * 4
    assert "No pair of languages clearly" in made(gradients_section.section, gradients=[part]).advice


@pytest.mark.parametrize(
    "noise", [{"mean_ceiling": -0.01}, {"ceiling_conflict_rate": 0.5}, {"mean_ceiling": None}]
)
def test_noisy_gradients_ask_for_larger_batches(noise: dict[str, Any]) -> None:
    part = gradients(TAGS)
    part["trunk"] |= noise
    assert "Use larger batches" in made(gradients_section.section, gradients=[part]).advice


def test_corrected_cosines_are_left_out_where_batches_of_one_language_hardly_agree() -> None:
    part = gradients(TAGS)
    part["trunk"]["ceiling_conflict_rate"] = part["groups"]["norms"]["mean_ceiling"] = 0.0
    part["trunk"]["conflict"][1][1] = 0.4
    (found,) = agreements(document(gradients=[part]))
    assert found.trunk.corrected == 0.41
    assert found.groups["norms"].corrected is None
    hidden = [[x is None for x in row] for row in found.corrected]
    assert hidden == [[1 in (i, j) for j in range(4)] for i in range(4)]
    part["trunk"]["ceiling_conflict_rate"] = 0.4
    for each in range(4):
        part["trunk"]["conflict"][each][each] = 0.4
    (found,) = agreements(document(gradients=[part]))
    assert found.trunk.corrected is None
    assert found.corrected == []
    seen = page(gradients=[part])
    assert "without the noise)" not in seen.text
    assert "0.410" in seen.text  # of layers
    assert "Corrected cosine" not in seen.text


def test_the_newest_checkpoint_of_each_run_is_drawn_and_all_are_in_the_table() -> None:
    parts = [gradients(TAGS, step=step, run=run) for run in ("a", "b") for step in (20, 10)]
    assert [(each.run, each.step) for each in newest(agreements(document(gradients=parts)))] == [
        ("a", 20),
        ("b", 20),
    ]
    seen = page(gradients=parts)
    assert "Cosine of gradients, a, step 20" in seen.text
    assert "Cosine of gradients, a, step 10" not in seen.text
    assert seen.text.count("Compare a square with its two ceilings") == 2


def test_means_over_checkpoints_and_runs_have_a_map_and_numbers() -> None:
    parts = [gradients(TAGS, step=20, run=run) for run in ("a", "b")]
    cosine = [[0.7 if i == j else 0.125 for j in range(4)] for i in range(4)]
    mean = {"runs": ["a", "b"], "steps": [20], "languages": [*TAGS], "trunk": {"cosine": cosine}}
    along = {"along_relatedness": {"cosine": 0.81}}
    seen = page(gradients=parts, averages=[mean, mean | {"steps": [10, 20]} | along])
    assert "Mean of a and b at 20 steps" in seen.text
    assert "Mean of a and b at 10 and 20 steps" in seen.text
    assert "Cosine of two languages 0.12, of one 0.70." in seen.text
    assert "Cosine of two languages 0.12, of one 0.70, along relatedness 0.81" in seen.text
    assert seen.text.count("Mean cosine of every pair") == 2
    assert "1 further mean left out here" in page(gradients=parts, averages=[mean] * 4).text
    assert "Mean of" not in page(gradients=parts).text


def test_the_map_has_families_together_and_the_ceiling_framed() -> None:
    world = {"languages": {tag: {"family": tag[1]} for tag in TAGS}}
    seen = page(gradients=[gradients(("qaa", "qba", "qab", "qbb"))], world=world)
    rows = [text for text in seen.texts if text in TAGS]
    assert rows[:4] in (["qaa", "qaa", "qab", "qab"], ["qab", "qab", "qaa", "qaa"])
    assert any(each.get("class") == "frame" for each in seen.all("path"))
    assert "family a" in seen.texts


def test_without_matrices_of_parts_the_means_are_there() -> None:
    part = gradients(TAGS)
    for each in (*part["groups"].values(), *part["layers"]):
        del each["cosine"], each["cosine_se"]
    for name in ("conflict", "cosine_se"):
        del part["trunk"][name]
    seen = page(gradients=[part])
    assert "feed-forward" in seen.text
    assert "A map of each part" not in seen.text


def test_one_language_has_no_pairs() -> None:
    for make in (gradients_section.section, overlap.section):
        assert make(document(gradients=[gradients(("qaa",))], masks=[masks(("qaa",))])) is None


def test_parts_name_where_conflicts_are_most() -> None:
    part = gradients(TAGS)
    part["groups"]["attention"]["conflict_rate"] = 0.61
    part["layers"][1]["conflict_rate"] = 0.52
    section = made(gradient_parts.section, gradients=[part])
    assert "most in the group attention (61\N{NO-BREAK SPACE}%)" in section.means
    assert "by layer most in layer 2 (52\N{NO-BREAK SPACE}%)" in section.means
    assert "attention" in section.advice


def test_agreement_over_training_needs_two_steps() -> None:
    assert gradient_time.section(document(gradients=[gradients(TAGS)])) is None
    assert gradient_time.section(document(monitor={RUN: [line(0)]})) is None
    section = made(gradient_time.section, gradients=[gradients(TAGS, step=step) for step in (1, 2)])
    assert "in the first half of the steps" in section.means


def test_rising_conflicts_are_told() -> None:
    lines = [line(step) for step in range(8)]
    for number, each in enumerate(lines):
        each["trunk"]["conflict_rate"] = number / 10
    section = made(gradient_time.section, monitor={RUN: lines})
    assert section.advice.startswith("Conflicts rise")
    assert "In modular (monitor) the cosine" in section.means
    assert "45\N{NO-BREAK SPACE}%" not in section.means
    assert "55\N{NO-BREAK SPACE}% of the pairs" in section.means


# masks


def test_others_masks_that_are_worse_speak_for_own_parameters() -> None:
    section = made(masks_section.section, masks=[masks(TAGS)])
    assert (
        "with 75\N{NO-BREAK SPACE}% of the gates closed a language's own mask costs 0.865 nats"
        in section.means
    )
    assert "another language's +0.150" in section.means
    assert "from 25\N{NO-BREAK SPACE}% closed gates on" in section.advice
    alike = made(masks_section.section, masks=[masks(TAGS, apart=0.02)])
    assert alike.advice.startswith("Do not conclude")


def test_one_mask_of_each_language_says_nothing_of_chance() -> None:
    part = masks(TAGS)
    for entry in part["languages"].values():
        for at in entry["sparsity"].values():
            at["own_again"] = None
    for each in part["overlap"].values():
        each["all"]["jaccard"] = [
            [None if i == j else x for j, x in enumerate(r)] for i, r in enumerate(each["all"]["jaccard"])
        ]
    assert "--masks.repeats 2" in made(masks_section.section, masks=[part]).advice
    assert "--masks.repeats 2" in made(overlap.section, masks=[part]).advice


def test_losses_under_masks_are_means_over_languages() -> None:
    (found,) = ablations(document(masks=[masks(TAGS)]))
    assert found.shares == SHARES
    assert found.above(OTHERS, 0.5) == pytest.approx(0.1)
    whole = found.overlaps[0.75].whole
    assert (whole.pairs, whole.own) == (pytest.approx((4 * 0.15 + 8 * 0.05) / 12), pytest.approx(0.625))
    assert found.by_mask["qaa"][0.5]["qab"] == pytest.approx(2.6)


def test_overlap_names_the_layer_that_differs_most() -> None:
    part = masks(TAGS, layers=3)
    own = part["overlap"]["0.75"]["layers"][0]
    rows = [[1.0 if i == j else 0.0 for j in range(4)] for i in range(4)]
    part["overlap"]["0.75"]["layers"] = [own, own | {"jaccard": rows}, own]
    section = made(overlap.section, masks=[part])
    assert "first in layer 2" in section.advice
    assert "two masks of one language 0.62, random ones 0.00" in section.means


def test_masks_no_better_than_chance_ask_for_more_steps() -> None:
    part = masks(TAGS)
    part["overlap"]["0.75"]["all"]["jaccard_by_chance"] = 0.62
    assert made(overlap.section, masks=[part]).advice.startswith("Learn masks longer")


# controls


def test_controls_name_modules_that_do_nothing() -> None:
    section = made(controls_section.section, controls=[controls(TAGS)])
    assert section.means.startswith("In modular a language's own module is worth 0.27 nats against none")
    assert "Train qbb in modular longer" in section.advice
    assert "qaa" not in section.advice


def test_modules_that_all_work_are_said_to() -> None:
    part = controls(TAGS)
    part["languages"]["qbb"]["none"]["above_own"] = 0.3
    assert made(controls_section.section, controls=[part]).advice.startswith("Every module does something")


def test_a_shared_run_has_only_the_control_without_module() -> None:
    part = controls(TAGS)
    for entry in part["languages"].values():
        entry |= {"source": None, "shuffled": None}
        del entry["through"]
    del part["packs"]
    part |= {"source": None, "mean": {"target": 2.0, "source": None, "shuffled": None, "none": 0.2}}
    seen = page(controls=[part])
    assert "the source's module" not in seen.text
    assert "Every module, " not in seen.text
    assert "0.20 nats against none" in seen.text


def test_a_map_of_all_modules_holds_the_distance_from_the_own() -> None:
    (found,) = contributions(document(controls=[controls(TAGS)]))
    assert found.through[0] == pytest.approx([0.0, 0.6, 0.6, 0.6])


# gaps


def test_gaps_tell_sides_and_name_the_worst() -> None:
    section = made(gaps_section.section, gaps=[gaps(TAGS)])
    assert (
        "bilingual beside mono: \N{MINUS SIGN}0.20 nats on average (\N{MINUS SIGN}0.25 to "
        "\N{MINUS SIGN}0.15), transfer in 4 of 4 languages" in section.means
    )
    assert "qab (+0.15 in multilingual)" in section.advice
    bars = [
        each["class"] for each in page(gaps=[gaps(TAGS)]).all("rect") if "bar" in (each.get("class") or "")
    ]
    assert bars.count("bar") == 4 + 1
    assert bars.count("bar negative") == 2 + 1
    assert bars.count("bar unsure") == 2


def test_one_seed_has_no_interval_and_says_so() -> None:
    section = made(gaps_section.section, gaps=[gaps(TAGS, seeds=1)])
    assert section.advice.startswith("Repeat with other seeds")
    seen = page(gaps=[gaps(TAGS, seeds=1)])
    assert not any(each.get("class") == "whisker" for each in seen.all("line"))


def test_notes_come_before_any_reading_of_the_gaps() -> None:
    part = gaps(TAGS) | {"notes": {"bilingual": "not past the unigram plateau"}}
    assert made(gaps_section.section, gaps=[part]).advice.startswith("Train longer")
    assert "bilingual: not past the unigram plateau." in page(gaps=[part]).text


def test_a_setting_on_the_plateau_has_no_verdict_anywhere() -> None:
    """Even where an older document gives one."""
    found = document(gaps=[gaps(TAGS) | {"notes": {"bilingual": "not past the unigram plateau"}}])
    first, second = finding(found).split("; ")
    assert first == "The gap of bilingual beside mono: no verdict yet, bilingual is on the unigram plateau"
    assert "interference in 2" in second
    assert [tile.note for tile in tiles(found) if "Gap" in tile.label] == ["nats, multilingual beside mono"]
    (compared,) = comparisons(found)
    assert {each["bilingual"].verdict for each in (*compared.gaps.values(), compared.means)} == {ON_PLATEAU}


def test_a_reference_on_the_plateau_leaves_no_verdict_at_all() -> None:
    note = "not past the unigram plateau"
    part = gaps(TAGS) | {"notes": {"mono": note, "bilingual": note}}
    found = document(gaps=[part])
    assert finding(found) == (
        "The gap of bilingual beside mono: no verdict yet, mono and bilingual are on the unigram plateau; "
        "the gap of multilingual beside mono: no verdict yet, mono is on the unigram plateau."
    )
    assert not [tile for tile in tiles(found) if "Gap" in tile.label]
    bars = [each["class"] for each in page(gaps=[part]).all("rect") if "bar" in (each.get("class") or "")]
    assert set(bars) == {"bar unsure", "bar negative unsure"}
    tables = [block for block in made(gaps_section.section, gaps=[part]).blocks if isinstance(block, Table)]
    rows = [row for table in tables for group in table.groups for row in (*group.rows, table.foot)]
    assert {row[-1].text for row in rows} == {ON_PLATEAU}


def test_settings_that_do_not_fit_are_named() -> None:
    part = gaps(TAGS) | {"left_out": {"pairs": "8 steps of 64 tokens"}}
    assert "pairs is left out: 8 steps of 64 tokens." in page(gaps=[part]).text


def test_gaps_without_interference_have_nothing_to_treat() -> None:
    part = gaps(TAGS)
    for entry in part["languages"].values():
        entry["gaps"].pop("multilingual")
    assert made(gaps_section.section, gaps=[part]).advice.startswith("No language is clearly worse off")


# wrong and odd values


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda d: d["gradients"][0]["trunk"]["cosine"].pop(), r"gradients\[0\].trunk.cosine"),
        (lambda d: d["gradients"][0]["groups"].update(norms=3), r"gradients\[0\].groups.norms"),
        (lambda d: d.update(monitor={"modular": {"step": 1}}), "monitor.modular"),
        (
            lambda d: d["masks"][0]["overlap"].update(half=d["masks"][0]["overlap"]["0.5"]),
            r"masks\[0\].overlap.half",
        ),
        (
            lambda d: d["controls"][0]["languages"]["qaa"]["through"].pop(),
            r"controls\[0\].languages.qaa.through",
        ),
        (lambda d: d["gaps"][0]["mean"]["bilingual"].update(low="1"), r"gaps\[0\].mean.bilingual.low"),
        (lambda d: d["gaps"][0].update(notes={"bilingual": 1}), r"gaps\[0\].notes.bilingual"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_its_place(
    change: Callable[[dict[str, Any]], object], where: str
) -> None:
    parts = diagnoses(TAGS)
    change(parts)
    with pytest.raises(UserError, match=rf"^{where} of the results document"):
        render(HEAD | parts)


@pytest.mark.parametrize("bad", [None, math.nan, math.inf])
def test_values_that_are_not_finite_are_left_blank(bad: float | None) -> None:
    parts = diagnoses(TAGS)
    trunk = parts["gradients"][2]["trunk"]
    trunk |= {"mean_corrected": bad, "conflict_rate": bad}
    for name in ("cosine", "corrected", "conflict"):
        trunk[name][0][1] = bad
    parts["monitor"][RUN][3]["trunk"] = dict.fromkeys(parts["monitor"][RUN][3]["trunk"], bad)
    parts["masks"][0]["languages"]["qaa"]["sparsity"]["0.75"] |= {"own": bad, "random": bad}
    parts["controls"][0]["languages"]["qaa"]["none"] |= {"above_own": bad, "se": bad}
    parts["gaps"][0]["languages"]["qaa"]["gaps"]["bilingual"] |= {"difference": bad, "low": bad}
    text = render(HEAD | parts)
    bare = re.sub(r"<style>.*</style>|<script>.*</script>", "", text, flags=re.S)
    assert not re.search(r"\b(nan|inf|None)\b", bare)


def test_more_runs_than_are_drawn_are_counted() -> None:
    many = [controls(TAGS, run=f"run {number}") for number in range(5)]
    assert "2 further runs left out here" in page(controls=many).text
    tags = [f"q{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(50)]
    assert "1 further run left out here" in page(masks=[masks(tags), masks(tags, run="b")]).text
