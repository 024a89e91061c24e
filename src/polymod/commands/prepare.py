"""``polymod prepare``: texts of several languages -> tokenizer and token shards."""

from __future__ import annotations

from typing import Any

from polymod.text.options import Options as Config

__all__ = ["Config", "main", "show"]


def main(config: Config) -> dict[str, Any]:
    """Prepare, or go on with it; a finished folder is left as it is."""
    from polymod.progress import bars
    from polymod.text.pipeline import prepare

    with bars("MB") as group:
        document = prepare(config, group)
    return {"out": str(config.out), **document}


def show(document: dict[str, Any]) -> None:
    """A row per language."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("language", "documents", "train", "valid", "meta", "tok/word", "bytes", "dropped", "bad"):
        table.add_column(heading, justify="left" if heading == "language" else "right")
    for tag, entry in document["languages"].items():
        table.add_row(
            tag,
            f"{sum(entry['documents'].values()):,}",
            *(f"{entry['tokens'][split]:,}" for split in ("train", "valid", "meta")),
            f"{entry['tokens_per_word']:.2f}",
            f"{entry['byte_fallback_rate']:.2%}",
            f"{sum(entry['dropped'].values()):,}",
            f"{sum(entry['bad'].values()):,}",
        )
    console = Console(highlight=False, soft_wrap=True)
    console.print(table)
    console.print(
        "train, valid, meta: tokens; bytes: share of them that are single bytes; bad: lines put aside"
    )
    size = document["vocabulary"]["size"]
    console.print(f"{document['out']}: {len(document['languages'])} languages, {size:,} rows of vocabulary")
