"""Folders -> one results document, of which the page is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from polymod.errors import UserError
from polymod.report.figures import listed, several
from polymod.report.gather import runs, tasks
from polymod.report.gather.folders import (
    ADDITION,
    DEMO,
    DIAGNOSES,
    FILES,
    GAPS,
    RUN,
    TASK,
    TEXT,
    WORLD,
    document_of,
    expanded,
    failed,
    kinds,
    names,
)
from polymod.report.part import Part

KIND = "report"
_PARTS = ("arms", "monitor", "transfer")  # of which every folder has entries of its own, by name
_NOUNS = {RUN: "run", DEMO: "demo", ADDITION: "extended run", TASK: "fine-tuned model", GAPS: "comparison"}

Document = dict[str, Any]


def gather(paths: Sequence[Path]) -> Document:
    """One document from folders in any order; what a folder does not say is left out.

    Raises:
        UserError: a folder holds nothing that can be shown, or two say different things of the same.
    """
    folders = {each.resolve(): each for path in paths for each in expanded(path)}
    held = {path: kinds(path) for path in folders.values()}
    diagnoses = {path: [name for name in DIAGNOSES if name in held[path]] for path in held}
    documents = {(path, name): document_of(path / FILES[name]) for path in held for name in diagnoses[path]}
    called = names([*held, *_diagnosed(documents.values())])
    found: Document = {"schema": 1, "kind": KIND, "title": _title(held.values())}
    for path, of_path in held.items():
        for kind in of_path:
            known = documents.get((path, kind))
            part = _part(path, kind, called) if known is None else _diagnosis(kind, known, called)
            _merge(found, part, path)
    _label_tasks(found)
    notes = [*_failed(paths), *_notes(found)]
    return {**found, **_cost(found), **({"notes": notes} if notes else {})}


def _diagnosed(documents: Iterable[Mapping[str, Any]]) -> list[Path]:
    """The runs that diagnoses are about."""
    return [Path(row.text("run")) for document in documents for row in Part(document).rows("results")]


def _part(path: Path, kind: str, called: Mapping[Path, str]) -> Document:
    name = called[path]
    if kind == RUN:
        part: Document = {"arms": {name: runs.arm(path)}}
        if lines := runs.monitor(path):
            part["monitor"] = {name: lines}
        return part | ({"data": text} if (text := runs.data(path)) else {})
    if kind == TASK:
        return {"transfer": {name: tasks.transfer(path)}}
    if kind == ADDITION:
        return {"added": tasks.addition(path)}
    if kind == TEXT:
        return {"data": runs.text(path)}
    if kind == WORLD:
        world = document_of(path / WORLD)
        return {"world": {key: world[key] for key in ("languages", "relatedness")}}
    document = document_of(path / DEMO)
    if document.get("kind") != "demo":
        raise UserError("no results of a demo", where=str(path / DEMO), fix="give a folder of polymod demo")
    kept = ("arms", "data", "world", "added", "transfer", "versions")
    return {key: document[key] for key in kept if key in document}


def _diagnosis(kind: str, document: Mapping[str, Any], called: Mapping[Path, str]) -> Document:
    """The results of a diagnosis, with runs by the names that they have on the page."""
    if kind == GAPS:
        return {GAPS: [dict(document)]}
    part = Part(document)
    found = {kind: [{**row.tree, "run": called[Path(row.text("run"))]} for row in part.rows("results")]}
    if means := part.rows("averages"):  # of gradients
        found["averages"] = [
            {**row.tree, "runs": [called[Path(run)] for run in row.sequence("runs")]} for row in means
        ]
    return found


def _merge(found: Document, part: Document, path: Path) -> None:
    """Lists grow, entries by name are added, and of what there can be one the first stays."""
    for key, value in part.items():
        if isinstance(value, list):
            found.setdefault(key, []).extend(value)
        elif key in _PARTS:
            there = found.setdefault(key, {})
            there |= {_unused(name, there, path): each for name, each in value.items()}
        elif key == "added":
            _add(found, value, path)
        elif key == "data" and key in found:
            found[key]["languages"] = {**value["languages"], **found[key]["languages"]}
        else:
            found.setdefault(key, value)


def _unused(name: str, there: Mapping[str, Any], path: Path) -> str:
    """A name that no other folder's entry has: with that of the folder, if need be with a number."""
    tries = [name, f"{path.resolve().name}/{name}"]
    return next(
        each for each in (*tries, *(f"{name} {n}" for n in range(2, len(there) + 3))) if each not in there
    )


def _add(found: Document, value: Mapping[str, Any], path: Path) -> None:
    there = found.setdefault("added", {"languages": {}, "old_languages": {}})
    for tag in value["languages"]:
        if tag in there["languages"]:
            fix = "make a page of each"
            raise UserError(f"{tag!r} was added in another of the folders too", where=str(path), fix=fix)
    there["languages"] |= value["languages"]
    there["old_languages"] |= value["old_languages"]


def _label_tasks(found: Document) -> None:
    """Folders of one task are told apart by their names."""
    entries = found.get("transfer", {})
    often = Counter(entry["task"] for entry in entries.values())
    for name, entry in entries.items():
        if often[entry["task"]] > 1:
            entry["label"] = name


def _title(held: Iterable[Sequence[str]]) -> str:
    """``2 runs, 1 fine-tuned model and 3 diagnoses``."""
    counts = Counter(kind for each in held for kind in each)
    said = [several(counts[kind], noun) for kind, noun in _NOUNS.items() if counts[kind]]
    if number := sum(counts[name] for name in DIAGNOSES if name != GAPS):
        said.append(several(number, "diagnosis", "diagnoses"))
    return listed(said, 9) or "Languages and data"


def _cost(found: Document) -> Document:
    arms = found.get("arms", {})
    seconds = [arm["seconds"] for arm in arms.values() if "seconds" in arm]
    return {"seconds": sum(seconds)} if seconds else {}


def _failed(paths: Iterable[Path]) -> list[str]:
    """Of which runs of studies there is nothing on the page."""
    missing = {path.resolve().name: failed(path) for path in paths}
    return [
        f"Runs of {name} that failed are not here: {listed(some)}." for name, some in missing.items() if some
    ]


def _notes(found: Document) -> list[str]:
    """What makes figures of different folders hard to compare."""
    prints = {
        arm["config"]["data fingerprint"]
        for arm in found.get("arms", {}).values()
        if "data fingerprint" in arm.get("config", {})
    }
    if len(prints) < 2:
        return []
    what = (
        "The runs were trained on different data: their losses are on different text, so do not compare them."
    )
    return [what]
