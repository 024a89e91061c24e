"""What the page says of added languages and of transfer follows from the numbers: words, advice, marks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from _pages import Page
from _results import grown
from polymod.report.additions import additions
from polymod.report.blocks import Table
from polymod.report.document import read
from polymod.report.figures import MINUS
from polymod.report.finding import finding, tiles
from polymod.report.page import render
from polymod.report.sections import addition, transfer
from polymod.report.transfers import transfers


def small() -> dict[str, Any]:
    """Two families, four old languages, the new one qac."""
    return grown(4, 2, points=4)


def test_the_head_says_what_was_added_and_what_transfers() -> None:
    document = small()
    del document["arms"]
    for task, score in (("nli", 0.4), ("ner", 0.6)):
        document["transfer"][task]["modules"]["target"]["macro_interval"]["score"] = score
    said = """Added afterwards, qac comes to 2.62 nats (2.19 below its unigram entropy); 4 of 4 old languages
    are bit for bit as before. NLI learnt in qaa has 40.0 accuracy on average elsewhere (+9.0 against the
    source's module); NER learnt in qaa has 60.0 F1 on average elsewhere (+9.0 against the source's
    module)."""
    assert finding(read(document)) == " ".join(said.split())
    shown = {tile.label: (tile.value, tile.note) for tile in tiles(read(document))}
    assert shown["Added, qac"] == ("2.62", "nats; 2.19 below the unigram entropy")
    assert shown["NER in other languages"] == ("60.0", "F1; 76.0 where it was learnt")


def differ(
    document: dict[str, Any], source: tuple[float, float, float], none: tuple[float, float, float]
) -> None:
    """Set how far the own module is above the controls on average in NER; leave NLI out."""
    del document["transfer"]["nli"]
    for control, (difference, low, high) in (("source", source), ("none", none)):
        table = document["transfer"]["ner"]["differences"][f"target-{control}"]
        table["macro"] = {"difference": difference, "low": low, "high": high}


ABOVE, SAME, BELOW = (0.09, 0.08, 0.10), (0.01, -0.01, 0.03), (-0.09, -0.1, -0.08)


@pytest.mark.parametrize(
    ("source", "none", "word", "advice"),
    [
        (ABOVE, ABOVE, "Yes", "Read each language through its own module"),
        (ABOVE, SAME, "In part", "Do not count on the modules for NER"),
        (SAME, ABOVE, "In part", "Do not count on the modules for NER"),
        (SAME, SAME, "Not shown", "Do not count on the modules for NER"),
        (BELOW, SAME, "No", "Do not count on the modules for NER"),
        (BELOW, ABOVE, "In part", "Do not count on the modules for NER"),
    ],
)
def test_whether_a_module_does_anything_follows_from_the_intervals(
    source: tuple[float, float, float], none: tuple[float, float, float], word: str, advice: str
) -> None:
    document = small()
    differ(document, source, none)
    section = transfer.section(read(document))
    assert section is not None
    assert section.advice.startswith(advice)
    assert f" {word}: {100 * source[0]:+.1f}".replace("-", MINUS) in Page(render(document)).text


def test_the_answer_counts_languages_without_the_source() -> None:
    document = small()
    differ(document, ABOVE, ABOVE)
    languages = document["transfer"]["ner"]["differences"]["target-source"]["languages"]
    languages["qba"] |= {"difference": -0.2, "low": -0.3, "high": -0.1}
    languages["qab"] |= {"difference": 0.0, "low": -0.1, "high": 0.1}
    languages["qaa"] |= {"difference": 0.5, "low": 0.4, "high": 0.6}
    said = "(+8.0 to +10.0; clearly better in 2 of 4 languages, clearly worse in 1)"
    assert f"+9.0 points against the source's {said}" in Page(render(document)).text


def test_what_is_no_better_than_guessing_is_said_first() -> None:
    document = small()
    assert not [
        each for each in transfers(read(document)) if each.guessing is not None and each.task != "nli"
    ]
    document["transfer"]["nli"]["modules"]["target"]["macro_interval"] |= {"low": 0.33, "high": 0.37}
    section = transfer.section(read(document))
    assert section is not None
    assert section.advice.startswith("Learn NLI from more examples")


def test_languages_that_are_no_better_than_guessing_are_counted() -> None:
    document = small()
    table = document["transfer"]["nli"]["modules"]["target"]["languages"]
    for tag, low in {"qaa": 0.30, "qba": 0.30, "qab": 0.3333, "qbb": 0.34, "qac": 0.40}.items():
        table[tag] |= {"score": 0.45, "low": low, "high": 0.5}
    section = transfer.section(read(document))
    assert section is not None
    assert section.means.count("no better than guessing") == 1
    assert "in 4 other languages (2 of them no better than guessing)" in section.means


def test_the_best_of_a_row_is_bold_if_the_figures_differ() -> None:
    document = small()
    del document["transfer"]["nli"], document["arms"]
    controls = ("target", "source", "none")
    for tag, scores in {"qab": (0.501, 0.4, 0.5014), "qba": (0.5123, 0.4, 0.5014)}.items():
        for control, score in zip(controls, scores, strict=True):
            document["transfer"]["ner"]["modules"][control]["languages"][tag]["score"] = score
    section = transfer.section(read(document))
    assert section is not None
    (table,) = [block for block in section.blocks if isinstance(block, Table)]
    rows = {row[0].text: [cell.best for cell in row[2:]] for group in table.groups for row in group.rows}
    assert rows["qab"] == [False, False, False]
    assert rows["qba"] == [True, False, False]


def test_a_transfer_without_controls_says_how_to_get_them() -> None:
    document = small()
    for task in document["transfer"].values():
        del task["modules"], task["differences"]
    section = transfer.section(read(document))
    assert section is not None
    assert "--module all" in section.advice
    assert "Does a language's own module do anything?" not in Page(render(document)).text


def test_own_scores_have_intervals_and_narrow_screens_leave_out_the_controls() -> None:
    page = Page(render(small()))
    own = [each for each in page.all("line") if each.get("class") == "span s2"]
    assert len(own) == 2 * (5 + 1)  # tasks, languages and the mean
    minor = [each for each in page.all("td") if "minor" in (each.get("class") or "").split()]
    rows_of_losses, rows_of_tasks = 4 + 1, 2 * (5 + 1)
    assert len(minor) == rows_of_losses + 3 + 2 * rows_of_tasks


def change(**values: Any) -> Callable[[dict[str, Any]], object]:
    return lambda added: added["languages"]["qac"].update(values)


@pytest.mark.parametrize(
    ("edit", "advice"),
    [
        (change(), "Use the new run in place of the old one"),
        (change(loss=4.2), "Train qac longer"),
        (
            change(no_module=2.63),
            "Train longer, or start from other relatives: the module of qac does nothing",
        ),
        (change(advice={"vocab": "extend", "why": ""}), "Try --vocab extend for qac"),
        (
            lambda added: added["old_languages"]["qba"].update(bit_equal=False),
            "Do not use this run: qba changed",
        ),
    ],
)
def test_the_advice_on_an_added_language_follows_from_its_numbers(
    edit: Callable[[dict[str, Any]], object], advice: str
) -> None:
    document = small()
    edit(document["added"])
    section = addition.section(read(document))
    assert section is not None
    assert section.advice.startswith(advice)


def test_several_languages_are_added_in_one_table() -> None:
    document = small()
    languages = document["added"]["languages"]
    for number in range(3):
        languages[f"zz{'abc'[number]}"] = languages["qac"] | {"loss": 3.0 + number, "unigram_entropy": 5.0}
    found = additions(read(document))
    assert found is not None
    assert found.loss == pytest.approx((2.62 + 3 + 4 + 5) / 4)
    text = Page(render(document)).text
    assert "Languages added" in text
    assert "1 further language below" in text
    assert [f"How {tag} was added" in text for tag in languages] == [True] * 4


def test_the_head_names_the_worst_of_several_added_languages() -> None:
    document = small()
    languages = document["added"]["languages"]
    for tag, loss in (("zza", 3.0), ("zzb", 5.4), ("zzc", 4.0)):
        languages[tag] = languages["qac"] | {"loss": loss, "unigram_entropy": 5.0}
    said = finding(read(document))
    assert "zza comes to 3.00 nats (2.00 below its unigram entropy)" in said
    assert "at worst zzb comes to 5.40 nats (0.40 above its unigram entropy); 1 further language" in said
    (tile,) = (each for each in tiles(read(document)) if each.label.startswith("Added"))
    assert tile.note == "nats; 1.20 below the unigram entropy on average; zzb 0.40 above"
    for tag in ("zza", "zzc"):
        del languages[tag]
    assert "; zzb comes to 5.40 nats (0.40 above" in finding(read(document))


@pytest.mark.parametrize(
    ("source", "none", "said"),
    [
        (0.123, 0.021, "+2.1 against no module"),
        (0.021, 0.123, "+2.1 against the source's module"),
        (0.123, -0.021, "\N{MINUS SIGN}2.1 against no module"),
        (None, 0.05, "+5.0 against no module"),
        (0.05, None, "+5.0 against the source's module"),
        (None, None, ""),
    ],
)
def test_the_head_judges_a_task_by_the_harder_control(
    source: float | None, none: float | None, said: str
) -> None:
    document = small()
    del document["transfer"]["nli"], document["arms"], document["added"]
    tables = document["transfer"]["ner"]["differences"]
    for control, difference in (("source", source), ("none", none)):
        tables[f"target-{control}"]["macro"]["difference"] = difference
    assert finding(read(document)).endswith(f"elsewhere{said and f' ({said})'}.")


def test_losses_that_are_not_there_are_dashes() -> None:
    document = small()
    document["added"]["languages"]["qac"] |= {"loss": None, "no_module": float("nan")}
    text = Page(render(document)).text
    assert "Added afterwards, qac comes to \N{EN DASH} nats;" in text
    assert "without its module \N{EN DASH})" in text
