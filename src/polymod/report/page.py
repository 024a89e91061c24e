"""The page: one HTML file that needs nothing else, from a results document. See docs/design/005-report.md."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from polymod.files import atomic
from polymod.report.blocks import Section
from polymod.report.charts.marks import swatch
from polymod.report.document import Document, read
from polymod.report.finding import sentences, tiles
from polymod.report.markup import short, visible
from polymod.report.sections import (
    addition,
    controls,
    data,
    differences,
    gaps,
    gradient_parts,
    gradient_time,
    gradients,
    learning,
    losses,
    masks,
    overlap,
    provenance,
    reading,
    relatedness,
    transfer,
)

FOLDER = Path(__file__).parent
SECTIONS: tuple[Callable[[Document], Section | None], ...] = (  # in the order of the page
    losses.section,
    learning.section,
    gaps.section,
    gradients.section,
    gradient_parts.section,
    gradient_time.section,
    masks.section,
    overlap.section,
    controls.section,
    addition.section,
    transfer.section,
    relatedness.section,
    data.section,
    differences.section,
    reading.section,
    provenance.section,
)


def render(document: Mapping[str, Any]) -> str:
    """The whole page of a results document; parts that the document does not have are left out.

    Raises:
        UserError: the document has another schema, no title or kind, or a value of the wrong kind.
    """
    checked = read(document)
    style, script = _source("page.css"), _source("page.js")
    return (
        _environment()
        .get_template("page.html")
        .render(
            document=checked,
            findings=sentences(checked),
            tiles=tiles(checked),
            sections=sections(checked),
            style=style,
            script=script,
            policy=policy(style, script),
            swatch=swatch,
            short=short,
        )
    )


def sections(document: Document) -> list[Section]:
    """The sections that the document has something for, in the order of the page."""
    return [section for make in SECTIONS if (section := make(document)) is not None]


def write(document: Mapping[str, Any], path: Path) -> None:
    """Write the page atomically; beside it nothing is written.

    Raises:
        UserError: as ``render``; the disk is full.
    """
    page = render(document).encode()
    with atomic(path) as file:
        file.write(page)


def policy(style: str, script: str) -> str:
    """The content security policy: nothing from anywhere but this style and this script."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _source(name: str) -> Markup:
    """A file of this package, as it is; none of it comes from data."""
    return Markup((FOLDER / name).read_text(encoding="utf-8"))


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _shown(value: object) -> object:
    """What the template writes for a value: texts with their hidden characters made visible."""
    assert value is not None, "the template writes something that is not there"
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
