"""Options of text preparation, and the part of them that decides what comes out."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from pydantic import Field

from polymod.config import CommandConfig, Config, Names

# Options that change where and how fast the work is done, or what is refused, but not one byte of the result.
WITHOUT_EFFECT = frozenset({"text", "out", "languages", "tokenizer", "max_bad", "processes"})


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


class Sample(Config):
    """The text that a tokenizer is trained on."""

    characters: int = Field(
        10_000_000, ge=1_000, description="size of the training sample, at most; 60 bytes of memory for each"
    )
    exponent: float = Field(0.3, ge=0, le=1, description="a language's share is its size to this power")
    coverage: float = Field(
        0.9995,
        gt=0.5,
        le=1,
        description="share of each language's characters that get rows; others are bytes",
    )


class Split(Config):
    """How documents are divided; the rule is in docs/data.md."""

    valid: float = Field(0.01, gt=0, le=0.2, description="share of the documents in the valid split")
    meta: float = Field(0.01, ge=0, le=0.2, description="share held out for meta-learning")
    small: int = Field(
        5_000, ge=0, description="languages below this many documents give 10 % to valid and 5 % to meta"
    )


class Options(CommandConfig):
    """Texts, one file or folder per language, become a tokenizer and token shards. The same command goes on
    where it was interrupted."""

    text: Path = Field(
        description="folder with <language>.txt|jsonl|parquet[.gz|.zst] or <language>/ folders"
    )
    out: Path = Field(description="folder to write")
    languages: Names = Field((), description="languages to take; all that are there by default")
    vocab_size: int | None = Field(
        None,
        ge=300,
        le=2**24,
        description="rows of the vocabulary, special tokens and bytes included [32000]",
    )
    tokenizer: Path | None = Field(
        None, description="use this tokenizer.json (or the folder that holds one) instead of training one"
    )
    max_lines: int | None = Field(None, ge=1, description="read at most this many lines of each language")
    max_bad: float = Field(
        0.001, ge=0, le=1, description="share of unreadable lines at which a language is refused"
    )
    max_characters: int = Field(1_000_000, ge=1, description="longer documents are dropped")
    sample: Sample = Sample()
    split: Split = Split()
    processes: int = Field(cores(), ge=1, le=1024, description="processes to work with")

    def identity(self) -> dict[str, Any]:
        """The options on which the bytes of the result depend."""
        return self.model_dump(mode="json", exclude=set(WITHOUT_EFFECT))
