"""Checks of a text folder, or of a data folder: a row of counts per language, and findings."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from polymod import files
from polymod.errors import UserError
from polymod.languages import resolve
from polymod.progress import Bars
from polymod.text.dedup import Duplicates, find_duplicates, ranges
from polymod.text.findings import Finding, about_data, about_text
from polymod.text.finish import bad_records, totals
from polymod.text.inventory import Corpus, corpus, find
from polymod.text.overlap import Question, count_overlap
from polymod.text.reading import Chain, chains, read_chain
from polymod.text.shards import DATA, Shards, read_data
from polymod.text.watch import watched
from polymod.text.workers import Workers

FIRST_BAD = 5
MAX_CHARACTERS = 1_000_000


def check_text(
    folder: Path, languages: Sequence[str], *, max_bad: float, processes: int, bars: Bars
) -> dict[str, Any]:
    """Counts and findings of every language in a text folder; nothing is written but temporary files.

    Raises:
        UserError: the folder itself is wrong: absent, empty, one language twice, an unknown language.
    """
    findings, corpora = [], []
    for tag, path in find(folder, languages).items():
        try:
            corpora.append(corpus(tag, path, folder))
        except UserError as error:
            findings.append(Finding("fail", tag, f"{error.where}: {error.what}", error.fix))
    with tempfile.TemporaryDirectory(prefix="polymod-check-") as work:
        rows = _survey(corpora, Path(work), processes, bars)
    for tag, row in rows.items():
        findings += list(about_text(tag, row, max_bad)) or [Finding("ok", tag, "nothing wrong")]
    return _document(folder, "text", rows, findings)


def _survey(corpora: Sequence[Corpus], work: Path, processes: int, bars: Bars) -> dict[str, dict[str, Any]]:
    """Read all corpora; keep counts and digests, not the text."""
    with Workers(processes) as workers:
        planned = []
        for each in corpora:
            like = Chain(each.tag, _folder(work, "read", each.tag), MAX_CHARACTERS, keep_documents=False)
            planned += chains(each, like)
        watched(workers, read_chain, planned, bars, "read")
        searched = [
            task
            for each in corpora
            for task in ranges(
                each.tag,
                _folder(work, "read", each.tag),
                _folder(work, "duplicates", each.tag),
                totals(_folder(work, "read", each.tag))[0].documents,
            )
        ]
        watched(workers, find_duplicates, searched, bars, "duplicates")
    return {each.tag: _row(each, work) for each in corpora}


def _folder(work: Path, stage: str, tag: str) -> Path:
    return work / stage / files.language_name(tag)


def _row(each: Corpus, work: Path) -> dict[str, Any]:
    parts = _folder(work, "read", each.tag)
    counts, scripts = totals(parts)
    names = tuple(source.name for source in each.sources)
    return {
        "files": len(each.sources),
        "bytes": each.size,
        "lines": counts.lines,
        "documents": counts.documents,
        "text_bytes": counts.bytes,
        "characters": counts.characters,
        "duplicates": len(Duplicates(_folder(work, "duplicates", each.tag))),
        "bad": dict(sorted(counts.bad.items())),
        "first_bad": list(islice(bad_records(parts, names), FIRST_BAD)),
        "dropped": dict(sorted(counts.dropped.items())),
        "scripts": dict(scripts.most_common()),
    }


def check_data(folder: Path, languages: Sequence[str], *, processes: int, bars: Bars) -> dict[str, Any]:
    """Counts and findings of every language in a data folder; every byte is read.

    Raises:
        UserError: no finished data folder, or a language that is not in it.
    """
    document = read_data(folder)
    there = list(document["languages"])
    tags = [resolve(code, there, where=str(folder), place="in the data") for code in languages] or there
    bars.add("hashes", 1)
    findings = [Finding("fail", "", problem, "prepare the data again") for problem in files.problems(folder)]
    bars.remove("hashes", quiet=True)
    rows = {tag: dict(document["languages"][tag]) for tag in tags}
    if findings:
        return _document(folder, "data", rows, findings)
    shards = Shards.open(folder, tags, verify=False)
    questions = [Question(tag, folder, sum(shards.info(tag)["documents"].values())) for tag in tags]
    with Workers(processes) as workers:
        overlaps = watched(workers, count_overlap, questions, bars, "overlap")
    for tag, row in rows.items():
        row["overlap"] = overlaps[tag]
        findings += list(about_data(tag, row)) or [Finding("ok", tag, "nothing wrong")]
    return _document(folder, "data", rows, findings)


def is_data(path: Path) -> bool:
    """Whether a folder is a data folder, finished or not."""
    return (path / DATA).exists() or (path / files.MANIFEST).exists()


def _document(
    folder: Path, kind: str, rows: dict[str, dict[str, Any]], findings: Sequence[Finding]
) -> dict[str, Any]:
    return {
        "path": str(folder),
        "kind": kind,
        "languages": rows,
        "findings": [asdict(finding) for finding in findings],
    }
