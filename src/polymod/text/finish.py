"""The unit of finishing: a language's parts become one entry, one file of counts, one list of bad records."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polymod.files import atomic, language_name
from polymod.text.corpus import Counts
from polymod.text.dedup import Duplicates
from polymod.text.encode import TokenCounts, read_counts, write_counts
from polymod.text.parts import parts_of
from polymod.text.shards import counts_path
from polymod.text.split import SplitRule

DUPLICATE = "duplicate"


@dataclass(frozen=True)
class Language:
    """A language all of whose parts are tokenised.

    Attributes:
        names: of its files, in their order.
        parts, duplicates, done: folders of the earlier stages.
        out: the data folder.
    """

    tag: str
    names: tuple[str, ...]
    size: int
    parts: Path
    duplicates: Path
    done: Path
    out: Path
    vocab_size: int
    rule: SplitRule


def finish_language(task: Language) -> Generator[int, None, dict[str, Any]]:
    """Write counts and quarantine; returns the language's entry of ``data.json``."""
    read, scripts = totals(task.parts)
    tokens, unigrams_V = TokenCounts(), np.zeros(task.vocab_size, dtype=np.int64)
    for path in sorted(task.done.glob("*.safetensors")):
        counts_V, facts = read_counts(path, task.vocab_size)
        unigrams_V += counts_V
        tokens.add(TokenCounts(**facts))
    write_counts(counts_path(task.out, task.tag), unigrams_V, {})
    write_quarantine(task.parts, task.names, quarantine_path(task.out, task.tag))
    yield task.size
    dropped = Counter({**read.dropped, **tokens.dropped})
    dropped[DUPLICATE] = len(Duplicates(task.duplicates))
    return {
        "files": len(task.names),
        "bytes": task.size,
        "lines": read.lines,
        "documents": tokens.documents,
        "tokens": tokens.tokens,
        "characters": tokens.characters,
        "words": tokens.words,
        "tokens_per_word": _ratio(tokens.pieces, tokens.words),
        "tokens_per_character": _ratio(tokens.pieces, tokens.characters),
        "byte_fallback_rate": _ratio(tokens.bytes, tokens.pieces),
        "unknown_rate": _ratio(tokens.unknown, tokens.pieces),
        "unigram_entropy": entropy(unigrams_V),
        "small": task.rule.small,
        "dropped": dict(sorted((+dropped).items())),
        "bad": dict(sorted(read.bad.items())),
        "scripts": dict(sorted(scripts.items(), key=lambda pair: (-pair[1], pair[0]))),
    }


def totals(parts: Path) -> tuple[Counts, Counter[str]]:
    """Counts and letters by script over all parts in a folder."""
    counts, scripts = Counts(), Counter[str]()
    for part in parts_of(parts):
        summary = part.summary()
        counts.add(summary.counts)
        scripts.update(summary.scripts)
    return counts, scripts


def bad_records(parts: Path, names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The quarantined records of a corpus, with their line numbers in the file."""
    chain_before: Counter[str] = Counter()  # lines of each file in the chains before
    here: Counter[str] = Counter()
    chain = None
    for part in parts_of(parts):
        if part.chain != chain:
            chain, chain_before = part.chain, chain_before + here
            here.clear()
        for line in part.quarantine():
            entry: dict[str, Any] = json.loads(line)
            yield {**entry, "line": entry["line"] + chain_before[entry["file"]]}
        for number, lines in part.summary().lines_of.items():
            here[names[number]] += lines


def write_quarantine(parts: Path, names: tuple[str, ...], path: Path) -> None:
    """Write the bad records of a language as JSON lines, if there are any."""
    if totals(parts)[0].bad:
        with atomic(path) as file:
            for entry in bad_records(parts, names):
                file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")


def quarantine_path(out: Path, tag: str) -> Path:
    """File of a language's bad records."""
    return out / "quarantine" / f"{language_name(tag)}.jsonl"


def entropy(counts_V: NDArray[np.int64]) -> float:
    """Entropy in nats of the distribution with these counts; 0 if there are none."""
    counts = counts_V[counts_V > 0].astype(np.float64)
    if not len(counts):
        return 0.0
    shares = counts / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _ratio(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0
