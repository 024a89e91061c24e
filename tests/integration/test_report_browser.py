"""The page in a browser: a silent console, no sideways scroll, nothing fetched, tables that sort."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from _diagnoses import diagnoses, everything
from _pages import HOSTILE, stuffed
from _results import grown, results
from polymod.report.page import render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
    *("--enable-logging=stderr", "--v=0", "--virtual-time-budget=3000", "--dump-dom"),
)
PROBE = """
const seen = {
  width: innerWidth,
  scrollWidth: document.scrollingElement.scrollWidth,
  sections: document.querySelectorAll("section").length,
  scripts: document.scripts.length,
  foreign: document.querySelectorAll("img, iframe, object, embed, link, base, form, video, template").length,
  handlers: [...document.querySelectorAll("*")]
    .filter((e) => [...e.attributes].some((a) => /^on|^style$/.test(a.name))).length,
  fetched: performance.getEntriesByType("resource").length,
  paper: getComputedStyle(document.body).backgroundColor,
  beyond: [...document.querySelectorAll("body *")]
    .filter((e) => !e.closest(".scroll, details:not([open]) > :not(summary)"))
    .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
    .map((e) => e.outerHTML.slice(0, 80)).slice(0, 5),
};
const table = document.querySelector("section#data table.sortable");
if (table) {
  const heads = [...table.tHead.rows[0].cells];
  const column = heads.findIndex((head) => head.textContent.startsWith("Tokens, train"));
  const button = heads[column].querySelector("button");
  const values = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[column].dataset.key));
  button.focus();
  seen.focused = document.activeElement === button;
  button.click();
  seen.ascending = values();
  button.click();
  seen.descending = values();
}
parent.postMessage(seen, "*");
"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
Look = Callable[..., dict[str, Any]]


def with_probe(page: str) -> str:
    """A copy of the page whose policy also allows the probe at its end, and nothing more."""
    digest = base64.b64encode(hashlib.sha256(PROBE.encode()).digest()).decode()
    allowed = page.replace("script-src ", f"script-src 'sha256-{digest}' ", 1)
    return allowed.replace("</body>", f"<script>{PROBE}</script></body>")


@pytest.fixture
def look(tmp_path: Path) -> Look:
    """Open a page in a frame of a width (a window cannot be narrower than 500 pixels); what the probe saw."""

    def look(page: str, width: int, *options: str) -> dict[str, Any]:
        (tmp_path / "report.html").write_text(with_probe(page), encoding="utf-8")
        frame = f'<iframe src="report.html" style="border:0;width:{width}px;height:900px"></iframe>'
        script = "addEventListener('message', (e) => { probe.textContent = JSON.stringify(e.data); })"
        head = '<!DOCTYPE html><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        (tmp_path / "frame.html").write_text(
            f"{head}<pre id=probe></pre><script>{script}</script>{frame}", encoding="utf-8"
        )
        assert CHROMIUM is not None
        command = [
            CHROMIUM,
            *OPTIONS,
            *options,
            "--window-size=1400,1000",
            f"--user-data-dir={tmp_path / 'user'}",
        ]
        done = subprocess.run(
            [*command, (tmp_path / "frame.html").as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        assert [line for line in done.stderr.splitlines() if "CONSOLE" in line] == []
        found = re.search(r'<pre id="probe">(.+?)</pre>', done.stdout, re.S)
        assert found, "the probe did not run"
        seen = json.loads(html.unescape(found[1]))
        assert isinstance(seen, dict)
        return seen

    return look


def long_words() -> dict[str, Any]:
    """Four arms and texts without a place to break."""
    names = ("modular", "shared", "shared-with-a-language-embedding", "dense")
    document = grown(6, 2, names, points=8)
    for fact in document["world"]["languages"].values():
        fact["family"] = f"{fact['family']}{'x' * 80}"
    return document | {"title": "T" * 120, "command": "c" * 400, "notes": ["n" * 300], "kind": "k" * 90}


def long_tags() -> dict[str, Any]:
    """Diagnoses of runs and settings with names without a place to break, in languages with long tags."""
    tags = [f"zh-Hant-x-{letter * 8}" for letter in "abc"]
    document = {"schema": 1, "kind": "report", "title": "Long", **diagnoses(tags)}
    text = json.dumps(document).replace("modular", "run-" + "e" * 60).replace("bilingual", "b" * 60)
    found: dict[str, Any] = json.loads(text)
    return found


PAGES: dict[str, Callable[[], dict[str, Any]]] = {
    "demo": grown,
    "long": long_words,
    "many": lambda: everything(100, 8, points=40),
    "diagnosed": lambda: everything(6, 2, points=8),
    "long tags": long_tags,
    "least": lambda: {"schema": 1, "kind": "demo", "title": "Nothing yet"},
}


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_no_complaint_no_sideways_scroll_nothing_fetched(look: Look, name: str, width: int) -> None:
    page = render(PAGES[name]())
    for shown in (page, page.replace("<details>", "<details open>")):
        seen = look(shown, width)
        assert seen["width"] == width
        assert seen["beyond"] == []
        assert seen["scrollWidth"] <= width
        assert (seen["fetched"], seen["foreign"], seen["handlers"], seen["scripts"]) == (0, 0, 0, 2)
        assert seen["sections"] == page.count("<section ")


def test_tables_sort_by_their_heads_which_take_the_focus(look: Look) -> None:
    seen = look(render(results()), 1280)
    assert seen["focused"]
    assert seen["ascending"] == sorted(seen["ascending"])
    assert seen["descending"] == sorted(seen["ascending"], reverse=True)
    assert len(set(seen["ascending"])) > 5


def test_the_page_follows_the_reader_into_the_dark(look: Look) -> None:
    page = render(results(2, 1, points=3))
    light, dark = (look(page, 1280, f"--blink-settings=preferredColorScheme={scheme}") for scheme in (1, 0))
    assert (light["paper"], dark["paper"]) == ("rgb(252, 251, 248)", "rgb(21, 23, 26)")


def test_a_browser_finds_no_element_in_hostile_texts(look: Look) -> None:
    harmless = look(render(stuffed("a plain text")), 1280)
    for string in ("".join(HOSTILE[:50]), "".join(HOSTILE[50:100]), "".join(HOSTILE[100:])):
        seen = look(render(stuffed(string)), 1280)
        assert [seen[key] for key in ("scripts", "foreign", "handlers", "sections")] == [
            harmless[key] for key in ("scripts", "foreign", "handlers", "sections")
        ]
        assert seen["fetched"] == 0
