"""Nothing that stands in a results document becomes an element, an attribute or an instruction."""

from __future__ import annotations

import unicodedata
from functools import cache

import pytest

from _pages import HOSTILE, Element, Page, stuffed
from polymod.report.markup import element, short, visible
from polymod.report.page import render

FIXED = {"id", "href", "src", "http-equiv", "name", "content", "scope", "role", "tabindex", "colspan", "rel"}

BY_LENGTH = {"narrow-labels", "wide-labels", "column", "turned"}  # classes that the length of a label decides


def structure(page: Page) -> list[tuple[str, tuple[str, ...], tuple[str | None, ...]]]:
    """Elements with the names of their attributes, and the values of those that data must not decide."""
    return [
        (tag, tuple(sorted(attributes)), tuple(attributes[key] for key in sorted(FIXED & {*attributes})))
        for tag, attributes in page.elements
    ]


@cache
def harmless() -> Page:
    return Page(render(stuffed("a plain text")))


def classes(page: Page) -> set[str]:
    return {name for _, attributes in page.elements for name in (attributes.get("class") or "").split()}


def test_there_are_150_different_hostile_strings() -> None:
    assert len(set(HOSTILE)) == 150


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_a_hostile_string_in_every_free_text_changes_no_element(number: int) -> None:
    page = Page(render(stuffed(HOSTILE[number])))
    assert structure(page) == structure(harmless())
    assert page.sources == harmless().sources
    assert classes(page) <= classes(harmless()) | BY_LENGTH


@pytest.mark.parametrize("number", range(0, len(HOSTILE), 7))
def test_a_hostile_string_is_shown_as_text(number: int) -> None:
    page = Page(render(stuffed(HOSTILE[number])))
    shown = " ".join(visible(HOSTILE[number]).split())
    assert page.text.count(shown) > 20


@pytest.mark.parametrize("number", range(0, len(HOSTILE), 7))
def test_no_character_of_the_page_is_hidden_or_turns_the_reading_order(number: int) -> None:
    odd = {
        char
        for char in render(stuffed(HOSTILE[number]))
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    }
    assert odd <= {"\n"}


def test_every_free_text_of_the_document_reaches_the_page() -> None:
    marker = "MARKER"
    document = stuffed(marker)
    text = Page(render(document)).text
    wanted = [f"{marker}0", f"Family {marker}a", f"{marker} key", f"bad: {marker}", f"dropped: {marker} more"]
    wanted += [f"modular {marker}", f"{marker} of shared", f"{marker}.{marker}", f"{marker} again"]
    wanted += [f"{marker} advises", f"{marker} is like it", f"{marker} task", f"{marker} metric"]
    wanted += [f"{marker} run", f"{marker} attention", f"{marker} source", f"{marker} note"]
    wanted += [f"{marker} bilingual", f"{marker} verdict", f"{marker} condition", f"{marker} reference"]
    assert [each for each in wanted if each not in text] == []


def elements_with(page: Page, attribute: str) -> list[Element]:
    return [(tag, attributes) for tag, attributes in page.elements if attribute in attributes]


def test_the_page_has_one_script_one_style_and_nothing_from_elsewhere() -> None:
    page = harmless()
    assert len(page.all("script")) == len(page.all("style")) == 1
    assert page.all("script") == page.all("style") == [{}]
    assert elements_with(page, "style") == elements_with(page, "src") == []
    assert all((attributes["href"] or "").startswith("#") for _, attributes in elements_with(page, "href"))
    assert [name for _, attributes in page.elements for name in attributes if name.startswith("on")] == []
    assert {"link", "img", "iframe", "object", "base", "form"}.isdisjoint(tag for tag, _ in page.elements)


def test_a_long_text_is_cut_and_says_so() -> None:
    page = Page(render(stuffed("y" * 5000)))
    assert "(3,000 more characters)" in page.text
    assert "y" * 2001 not in page.text


def test_hidden_characters_become_escapes_and_words_stay() -> None:
    assert visible("a\u202eb\x1b[0m\x00\u200f\ud800") == "a\\u202eb\\x1b[0m\\x00\\u200f\\ud800"
    words = "Übung, naïve, 中文, हिन्दी, Ελλάδα, emoji 🙂, a\N{NO-BREAK SPACE}b\nc"
    assert visible(words) == words


def test_short_texts_stay_and_long_ones_end_in_an_ellipsis() -> None:
    assert short("abcdef", 6) == "abcdef"
    assert short("abcdefg", 6) == "abcde…"
    assert len(short("\u202e" * 9, 6)) == 6


def test_an_element_escapes_text_and_attributes_but_not_markup() -> None:
    inner = element("b", "<&>", class_='x" onload="y', data_key=1.5, missing=None)
    assert inner == '<b class="x&#34; onload=&#34;y" data-key="1.5">&lt;&amp;&gt;</b>'
    assert element("p", inner) == f"<p>{inner}</p>"
