"""The page as a whole: missing parts, one language or a hundred, losses that are not finite; the finding."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from _diagnoses import controls, everything, gradients, masks
from _pages import Page
from _results import grown, results
from polymod.errors import UserError
from polymod.report.document import read
from polymod.report.finding import finding
from polymod.report.page import FOLDER, SECTIONS, render, write

DIAGNOSED = ["gaps", "gradients", "gradient-parts", "gradient-time", "masks", "overlap", "controls"]
OF_ARMS = ["losses", "learning", "relatedness", "data", "differences", "reading", "provenance"]
ALL = [*OF_ARMS[:2], "addition", "transfer", *OF_ARMS[2:]]


def sections(document: dict[str, Any]) -> list[str | None]:
    return [attributes["id"] for attributes in Page(render(document)).all("section")]


def without(*path: str) -> dict[str, Any]:
    """The sample document without one part."""
    document = grown(4, 2, points=6)
    part = document
    for key in path[:-1]:
        part = part[key]
    del part[path[-1]]
    return document


def test_the_sample_has_every_section_in_order() -> None:
    assert sections(grown()) == ALL
    assert sections(results()) == OF_ARMS
    assert sections(everything()) == [*ALL[:2], *DIAGNOSED, *ALL[2:]]
    assert len(SECTIONS) == len(ALL) + len(DIAGNOSED)


@pytest.mark.parametrize(
    ("path", "gone"),
    [
        (("seconds",), []),
        (("command",), []),
        (("versions",), []),
        (("notes",), []),
        (("config",), []),
        (("world",), ["relatedness"]),
        (("world", "languages"), []),
        (("world", "relatedness"), ["relatedness"]),
        (("world", "seed"), []),
        (("data",), ["data"]),
        (("data", "vocabulary"), []),
        (("arms",), ["losses", "learning", "differences"]),
        (("arms", "shared"), []),
        (("arms", "modular", "valid"), []),
        (("arms", "modular", "valid_curve"), []),
        (("arms", "modular", "train_curve"), []),
        (("arms", "modular", "parameters"), []),
        (("arms", "modular", "config"), []),
        (("arms", "modular", "valid", "languages", "qaa"), []),
        (("arms", "modular", "valid", "languages", "qaa", "loss"), []),
        (("arms", "modular", "valid", "languages", "qaa", "unigram_entropy"), []),
        (("data", "languages", "qaa"), []),
        (("data", "languages", "qaa", "tokens"), []),
        (("data", "languages", "qaa", "bad"), []),
        (("world", "languages", "qaa", "family"), []),
        (("added",), ["addition"]),
        (("added", "languages"), ["addition"]),
        (("added", "old_languages"), []),
        (("added", "languages", "qac", "relatives"), []),
        (("added", "languages", "qac", "start"), []),
        (("added", "languages", "qac", "no_module"), []),
        (("added", "languages", "qac", "unigram_entropy"), []),
        (("transfer",), ["transfer"]),
        (("transfer", "nli"), []),
        (("transfer", "nli", "source"), []),
        (("transfer", "nli", "labels"), []),
        (("transfer", "ner", "differences"), []),
        (("transfer", "ner", "modules"), []),
        (("transfer", "ner", "modules", "none"), []),
        (("transfer", "ner", "modules", "target", "languages", "qab"), []),
        (("transfer", "ner", "modules", "target", "macro_interval"), []),
    ],
)
def test_a_missing_part_leaves_out_its_section_and_nothing_else(
    path: tuple[str, ...], gone: list[str]
) -> None:
    document = without(*path)
    if path == ("arms",):
        del document["config"]
    assert sections(document) == [name for name in ALL if name not in gone]


def test_the_least_document_is_a_page() -> None:
    page = Page(render({"schema": 1, "kind": "demo", "title": "Nothing yet"}))
    assert "This document holds no losses yet." in page.text
    assert [attributes["id"] for attributes in page.all("section")] == ["reading"]


@pytest.mark.parametrize("key", ["schema", "kind", "title"])
def test_a_document_without_its_head_is_refused(key: str) -> None:
    with pytest.raises(UserError, match=key):
        render(without(key))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (
            lambda d: d["arms"]["modular"]["valid"]["languages"]["qaa"].update(loss="2.1"),
            "arms.modular.valid.languages.qaa.loss",
        ),
        (lambda d: d["arms"]["modular"].update(train_curve={"a": 1}), "arms.modular.train_curve"),
        (lambda d: d["arms"]["modular"]["train_curve"].insert(1, 3), r"arms.modular.train_curve\[1\]"),
        (lambda d: d.update(arms=[1]), "arms"),
        (lambda d: d.update(command=7), "command"),
        (lambda d: d["world"]["relatedness"]["rows"].pop(), "world.relatedness.rows"),
        (lambda d: d["world"]["relatedness"]["rows"][0].pop(), "world.relatedness.rows"),
        (lambda d: d["world"]["relatedness"]["rows"][0].__setitem__(1, True), "world.relatedness.rows"),
        (lambda d: d["data"]["languages"]["qaa"].update(tokens=5), "data.languages.qaa.tokens"),
        (lambda d: d["added"]["languages"]["qac"].update(loss="2"), "added.languages.qac.loss"),
        (
            lambda d: d["added"]["old_languages"]["qaa"].update(bit_equal=1),
            "added.old_languages.qaa.bit_equal",
        ),
        (lambda d: d["transfer"].update(ner=[]), "transfer.ner"),
        (
            lambda d: d["transfer"]["ner"]["differences"]["target-none"]["macro"].update(low=True),
            "transfer.ner.differences.target-none.macro.low",
        ),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_its_place(
    change: Callable[[dict[str, Any]], object], where: str
) -> None:
    document = grown(4, 2, points=6)
    change(document)
    with pytest.raises(UserError, match=rf"^{where} of the results document"):
        render(document)


def test_one_language_and_one_arm_make_a_page() -> None:
    assert sections(results(1, 1)) == [name for name in OF_ARMS if name != "relatedness"]
    assert sections(results(2, 1, ("modular",))) == OF_ARMS
    assert sections(grown(1, 1)) == ALL


def test_a_hundred_languages_stay_below_two_megabytes() -> None:
    document = everything(100, 8, layers=12, points=200)
    tags = document["gradients"][0]["languages"]
    for key, make in (("gradients", gradients), ("masks", masks), ("controls", controls)):
        document[key] += [make(tags, run="shared")]
    for arm in document["arms"].values():
        assert len(arm["train_curve"]) == 200
    assert len(render(document).encode()) <= 2 * 2**20


def test_many_more_languages_are_shown_by_family_and_by_what_gained_least() -> None:
    document = results(130, 5, ("modular",), points=4)
    worst = document["arms"]["modular"]["valid"]["languages"]["qcz"]
    worst["loss"] = worst["unigram_entropy"] + 1
    page = Page(render(document))
    assert "Curves of the 120 languages that gained least" in page.text
    assert "Loss of qcz over the tokens seen" in page.text
    assert "Mean relatedness of every pair of families" in page.text
    assert len([each for each in page.all("svg") if each.get("class") == "lines small"]) == 120
    assert len([each for each in page.all("rect") if "opacity" in each]) == 5 * 5 + 5


@pytest.mark.parametrize("bad", [None, math.nan, math.inf, -math.inf])
def test_losses_that_are_not_finite_are_dashes_and_are_named(bad: float | None) -> None:
    document = results(4, 2, points=6)
    shared = document["arms"]["shared"]
    shared["valid"]["languages"]["qab"]["loss"] = bad
    shared["valid_curve"][1]["mean_loss"] = bad
    shared["train_curve"][2]["languages"]["qab"] = bad
    document["world"]["relatedness"]["rows"][0][1] = bad
    html = render(document)
    assert "the means leave out qab, where an arm has no finite loss" in Page(html).text
    assert not re.search(
        r"\b(nan|inf|None)\b", re.sub(r"<style>.*</style>|<script>.*</script>", "", html, flags=re.S)
    )


def test_means_are_over_the_languages_that_every_arm_has() -> None:
    document = results(4, 2, points=6)
    losses = {"qaa": (2.0, 3.0), "qba": (2.0, 3.0), "qab": (2.0, 3.0), "qbb": (None, 9.0)}
    for tag, pair in losses.items():
        for name, loss in zip(("modular", "shared"), pair, strict=True):
            document["arms"][name]["valid"]["languages"][tag]["loss"] = loss
    modular, shared = read(document).arms
    assert (modular.loss, shared.loss) == (2.0, 3.0)


def with_losses(losses: dict[str, tuple[float, ...]], entropy: float = 5.0) -> dict[str, Any]:
    """A document with these losses, by arm, in the languages qaa, qab, ..."""
    arms = {
        name: {
            "valid": {
                "languages": {
                    f"qa{chr(97 + index)}": {"loss": loss, "unigram_entropy": entropy}
                    for index, loss in enumerate(row)
                }
            }
        }
        for name, row in losses.items()
    }
    return {"schema": 1, "kind": "demo", "title": "t", "arms": arms}


FINDINGS = [
    (
        {"modular": (2.0, 3.0), "shared": (2.5, 3.7)},
        """The modular arm is better than the shared arm by 0.60 nats on average, in 2 of 2 languages; modular
        is on average 2.50 nats below the unigram entropy (2.00 in its worst language, qab) and shared 1.90
        below (1.30 in qab).""",
    ),
    (
        {"modular": (3.0, 3.0), "shared": (2.5, 3.1)},
        """The shared arm is better than the modular arm by 0.20 nats on average, in 1 of 2 languages; shared
        is on average 2.20 nats below the unigram entropy (1.90 in its worst language, qab) and modular 2.00
        below (2.00 in qaa).""",
    ),
    (
        {"modular": (2.0,), "shared": (4.5,)},
        """The shared arm has not left the plateau of word frequencies, so the arms cannot be compared yet;
        modular is on average 3.00 nats below the unigram entropy and shared 0.50 below.""",
    ),
    (
        {"modular": (2.0, 6.0)},
        """The modular arm is on average 1.00 nats below the unigram entropy (1.00 above in its worst
        language, qab).""",
    ),
    (
        {"modular": (2.0, 3.0, 2.0), "shared": (2.5, 3.7)},
        """The modular arm is better than the shared arm by 0.60 nats on average, in 2 of 2 languages; modular
        is on average 2.50 nats below the unigram entropy (2.00 in its worst language, qab) and shared 1.90
        below (1.30 in qab); the means leave out qac, which not every arm has.""",
    ),
    (
        {"modular": (2.0, 3.0, math.nan, 2.0), "shared": (2.5, 3.7, 2.0)},
        """The modular arm is better than the shared arm by 0.60 nats on average, in 2 of 2 languages; modular
        is on average 2.50 nats below the unigram entropy (2.00 in its worst language, qab) and shared 1.90
        below (1.30 in qab); the means leave out qad, which not every arm has, and qac, where an arm has no
        finite loss.""",
    ),
    (
        {"a": (2.0, 2.0), "b": (2.001, 2.001)},
        """The a arm and the b arm score the same to two decimals over 2 languages; a is on average 3.00 nats
        below the unigram entropy (3.00 in its worst language, qaa) and b 3.00 below (3.00 in qaa).""",
    ),
]


def test_arms_that_share_no_language_have_means_over_their_own() -> None:
    document = with_losses({"a": (2.0,), "b": (3.0,)})
    languages = document["arms"]["b"]["valid"]["languages"]
    languages["qab"] = languages.pop("qaa")
    said = """A is on average 3.00 nats below the unigram entropy and b 2.00 below; no language has a loss in
    every arm, so each mean is over the arm's own."""
    assert finding(read(document)).endswith(" ".join(said.split())[1:])


@pytest.mark.parametrize(("losses", "said"), FINDINGS)
def test_the_finding_says_what_the_data_say(losses: dict[str, tuple[float, ...]], said: str) -> None:
    assert finding(read(with_losses(losses))) == " ".join(said.split())


def test_every_section_says_what_it_means_and_what_to_do() -> None:
    for make in SECTIONS:
        section = make(read(everything()))
        assert section is not None
        for sentence in (section.means, section.advice):
            assert sentence.endswith(".")
            assert not re.search(r"\bNone\b|\bnan\b|  ", sentence)
            assert sentence[0].isupper() or sentence[0].isdigit()


def test_the_policy_allows_exactly_the_style_and_the_script_of_the_page() -> None:
    page = Page(render(results(2, 1, points=3)))
    policy = next(
        each["content"] for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    for name in ("style", "script"):
        source = "".join(page.sources[name])
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "*" not in policy


def test_ids_are_unique_and_every_reference_has_its_element() -> None:
    page = Page(render(everything()))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = {f"{attributes['href']}"[1:] for _, attributes in page.elements if "href" in attributes}
    for _, attributes in page.elements:
        used |= set(f"{attributes.get('aria-labelledby', '')}".split())
    assert used <= set(ids)


def test_every_chart_has_a_name_for_those_who_do_not_see_it() -> None:
    page = Page(render(everything()))
    charts = [attributes for attributes in page.all("svg") if attributes.get("role") == "img"]
    assert len(charts) > 20
    assert all(chart.get("aria-label") or chart.get("aria-labelledby") for chart in charts)


def test_what_scrolls_can_be_reached_by_keyboard() -> None:
    boxes = [each for each in Page(render(everything())).all("div") if each.get("class") == "scroll"]
    assert boxes
    assert all(box.get("tabindex") == "0" and box.get("aria-label") for box in boxes)


def test_the_page_is_a_function_of_the_document_and_leaves_it_alone() -> None:
    document = results(4, 2, points=6)
    before = deepcopy(document)
    assert render(document) == render(document)
    assert document == before


def test_write_writes_the_page_and_nothing_else(tmp_path: Any) -> None:
    document = results(2, 1, points=3)
    write(document, tmp_path / "out" / "report.html")
    assert (tmp_path / "out" / "report.html").read_text(encoding="utf-8") == render(document)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]


def test_texts_that_are_no_unicode_are_written_all_the_same(tmp_path: Any) -> None:
    write(results(2, 1, points=3) | {"command": "polymod \ud800"}, tmp_path / "report.html")
    assert "polymod \\ud800" in (tmp_path / "report.html").read_text(encoding="utf-8")


def luminance(colour: str) -> float:
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_colour_of_text_and_marks_has_contrast(scheme: str) -> None:
    block = re.search(rf"color-scheme: {scheme};(.*?)\n\s*}}", (FOLDER / "page.css").read_text(), re.S)
    assert block
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block[1]))
    paper = luminance(colours["paper"])
    for name in ("ink", "soft", "link", "s0", "s1", "s2", "s3", "s4", "s5"):
        low, high = sorted([paper, luminance(colours[name])])
        assert (high + 0.05) / (low + 0.05) >= 4.5, name
