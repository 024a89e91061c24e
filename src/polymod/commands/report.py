"""``polymod report``: one offline page from any runs and diagnostics, and its numbers beside it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from pydantic import Field

from polymod.config import CommandConfig, Names
from polymod.errors import UserError, printable


class Config(CommandConfig):
    """Shows what folders hold: runs with their curves, tasks in every language, added languages, diagnoses.
    The page needs nothing else and can be sent around; the numbers lie beside it as JSON. Both are written
    anew each time.
    """

    arguments = ("paths",)
    paths: Names = Field(min_length=1, description="folders that polymod wrote, in any order")
    out: Path = Field(Path("report.html"), description="page to write; its numbers become a .json beside it")
    title: str = Field("", description="head of the page; what the folders are if left out")


def main(config: Config) -> dict[str, Any]:
    """Gather, write the numbers, write the page."""
    from polymod.files import atomic, write_json
    from polymod.report.document import read
    from polymod.report.finding import finding
    from polymod.report.gather.gather import gather
    from polymod.report.page import render, sections
    from polymod.train.run import versions

    numbers = _numbers(config.out)
    document = gather([Path(path) for path in config.paths])
    document["title"] = config.title or document["title"]
    command = ["polymod", "report", *config.paths, "--out", str(config.out)]
    document |= {"command": shlex.join(command), "versions": versions()}
    page = render(document).encode()
    write_json(numbers, document)
    with atomic(config.out) as file:
        file.write(page)
    checked = read(document)
    return {
        "page": str(config.out),
        "numbers": str(numbers),
        "title": document["title"],
        "finding": finding(checked),
        "sections": [section.name for section in sections(checked)],
        "languages": [language.tag for language in checked.languages],
        "bytes": config.out.stat().st_size,
    }


def _numbers(page: Path) -> Path:
    """Where the numbers go; nothing but an older report is overwritten there."""
    from polymod.files import read_json
    from polymod.report.gather.gather import KIND

    if page.suffix != ".html":
        raise UserError("the page's name does not end in .html", where="--out", fix=f"give {page}.html")
    numbers = page.with_suffix(".json")
    if numbers.exists():
        there = read_json(numbers)
        if not isinstance(there, dict) or there.get("kind") != KIND:
            what = "the numbers of the page would overwrite a file that is no report"
            raise UserError(what, where=str(numbers), fix="give another --out")
    return numbers


def show(document: dict[str, Any]) -> None:
    """What was found, and where the page is."""
    print(printable(document["finding"], keep="\n\N{NO-BREAK SPACE}"))
    size = document["bytes"] / 2**20
    print(printable(f"open {document['page']} ({size:.1f} MB); numbers in {document['numbers']}"))
