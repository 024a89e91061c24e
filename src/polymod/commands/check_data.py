"""``polymod check-data``: what is wrong with a corpus, per language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from polymod.config import CommandConfig, Names
from polymod.errors import Failure, UserError
from polymod.text.options import cores

MOST_SHOWN = 40  # findings of one level; --json has all


class Config(CommandConfig):
    """Reads everything and writes nothing; exits 1 if something is so wrong that it would spoil a model."""

    arguments = ("path",)
    path: Path = Field(description="folder of texts, as for prepare, or a data folder that prepare wrote")
    languages: Names = Field((), description="languages to check; all that are there by default")
    max_bad: float = Field(0.001, ge=0, le=1, description="share of unreadable lines that is tolerated")
    processes: int = Field(cores(), ge=1, le=1024, description="processes to work with")


def main(config: Config) -> dict[str, Any]:
    """Check a text or a data folder."""
    from polymod.progress import bars
    from polymod.text.check import check_data, check_text, is_data

    if not config.path.is_dir():
        raise UserError("no such folder", where=str(config.path))
    with bars("MB") as group:
        if is_data(config.path):
            document = check_data(config.path, config.languages, processes=config.processes, bars=group)
        else:
            document = check_text(
                config.path,
                config.languages,
                max_bad=config.max_bad,
                processes=config.processes,
                bars=group,
            )
    fails = [finding for finding in document["findings"] if finding["level"] == "fail"]
    if fails:
        what = f"{len(fails)} finding{'s' if len(fails) > 1 else ''} must be mended before training"
        raise Failure(what, where=str(config.path), document=document)
    return document


def show(document: dict[str, Any]) -> None:
    """A row per language, then everything that is not in order; at most 100 columns."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = _text_row if document["kind"] == "text" else _data_row
    table = Table(box=None, pad_edge=False)
    for tag, row in document["languages"].items():
        cells = {"language": tag, **rows(row)}
        if not table.columns:
            for heading in cells:
                table.add_column(heading, justify="left" if heading == "language" else "right")
        table.add_row(*cells.values())
    console = Console(highlight=False, width=100)
    console.print(table)
    if not document["findings"]:
        console.print("nothing to complain of")
    for level in ("fail", "warn"):
        found = [finding for finding in document["findings"] if finding["level"] == level]
        for finding in found[:MOST_SHOWN]:
            who = f"{finding['language']}: " if finding["language"] else ""
            fix = f" ({finding['fix']})" if finding["fix"] else ""
            console.print(Text(f"{level}  {who}{finding['message']}{fix}"))
        if len(found) > MOST_SHOWN:
            console.print(f"{level}  and {len(found) - MOST_SHOWN} more; see --json")


def _text_row(row: dict[str, Any]) -> dict[str, str]:
    return {
        "lines": f"{row['lines']:,}",
        "documents": f"{row['documents']:,}",
        "characters": f"{row['characters']:,}",
        "repeated": f"{row['duplicates']:,}",
        "bad": f"{sum(row['bad'].values()):,}",
        "dropped": f"{sum(row['dropped'].values()):,}",
        "scripts": _shares(row["scripts"]),
    }


def _data_row(row: dict[str, Any]) -> dict[str, str]:
    return {
        "documents": f"{sum(row['documents'].values()):,}",
        "train": f"{row['tokens']['train']:,}",
        "valid": f"{row['tokens']['valid']:,}",
        "tok/word": f"{row['tokens_per_word']:.2f}",
        "bytes": f"{row['byte_fallback_rate']:.2%}",
        "unknown": f"{row['unknown_rate']:.2%}",
        "overlap": f"{row['overlap']:,}" if "overlap" in row else "?",
        "scripts": _shares(row["scripts"]),
    }


def _shares(letters: dict[str, int]) -> str:
    """The scripts of at least one per cent of the letters."""
    total = sum(letters.values()) or 1
    most = sorted(letters, key=lambda script: -letters[script])[:3]
    return " ".join(
        f"{script} {letters[script] / total:.0%}" for script in most if letters[script] > 0.01 * total
    )
