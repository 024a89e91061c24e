"""Which file of a folder is which split and language of a task."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from polymod.errors import UserError
from polymod.languages import LanguageError, canonical, describe
from polymod.tasks.task import RETRIEVAL, TASKS, Task
from polymod.text.streams import COMPRESSIONS

SPLITS = ("train", "dev", "test")
# Names of folders that say of which task the files below are.
NAMES = {task.name: (task.name, *task.aliases) for task in TASKS.values()} | {RETRIEVAL[0]: RETRIEVAL}
NO_LANGUAGES = frozenset([*SPLITS, *(name for names in NAMES.values() for name in names)])  # some are codes


def left_out_lines(left_out: Mapping[str, str]) -> list[str]:
    """What was left out and why, a line for each reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in left_out.items():
        by_reason.setdefault(reason, []).append(name)
    return [
        f"left out: {', '.join(names[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''}, {reason}"
        for reason, names in by_reason.items()
    ]


def available(folder: Path, task: Task) -> dict[str, dict[str, Path]]:
    """The files of a task anywhere below a folder: split -> canonical tag -> path.

    They are named ``<split>.<language>.<ending>``, ``<split>-<language>.<ending>``, or
    ``<split>/<language>.<ending>`` or ``<language>/<split>.<ending>``, plain or compressed. What lies in a
    folder named after another task is left out; if one is named after this task, so is what lies outside it.

    Raises:
        UserError: no such folder, an unknown language, or two files for one split and language.
    """
    if not folder.is_dir():
        kind = "a file, not a folder" if folder.exists() else "no such folder"
        raise UserError(kind, where=str(folder), fix=_naming(task))
    others = {name for key, names in NAMES.items() if key != task.name for name in names}
    named = []
    for path in _files(folder):
        parents = set(path.relative_to(folder).parts[:-1])
        if (key := _split_and_code(path, task)) and not parents & others:
            named.append((path, *key, task.name in parents))
    has_own = any(own for *_, own in named)
    found: dict[str, dict[str, Path]] = {split: {} for split in SPLITS}
    for path, split, code, own in named:
        if has_own and not own:
            continue
        tag = canonical(code, where=str(path))
        if there := found[split].get(tag):
            what = f"two files are {split} of {describe(tag)}: {there} and {path}"
            raise UserError(what, fix="give the narrower folder of one of them, or move the other one away")
        found[split][tag] = path
    return {split: dict(sorted(files.items())) for split, files in found.items()}


def find(folder: Path, task: Task, split: str, language: str) -> Path:
    """The file of a split and language.

    Raises:
        UserError: as ``available``; or there is none (the message says what there is).
    """
    there, tag = available(folder, task), canonical(language)
    if tag not in there[split]:
        what = f"no {split} file of {task.name} in {describe(tag)}"
        raise UserError(what, where=str(folder), fix=_what_there_is(there, task))
    return there[split][tag]


def find_all(folder: Path, task: Task, split: str) -> dict[str, Path]:
    """The files of a split, by tag.

    Raises:
        UserError: as ``available``; or there is none (the message says what there is).
    """
    there = available(folder, task)
    if not there[split]:
        what = f"no {split} file of {task.name}"
        raise UserError(what, where=str(folder), fix=_what_there_is(there, task))
    return there[split]


def _what_there_is(there: Mapping[str, Mapping[str, Path]], task: Task) -> str:
    splits = [f"{split}: {', '.join(files)}" for split, files in there.items() if files]
    return f"there is {'; '.join(splits)}" if splits else _naming(task)


def _naming(task: Task) -> str:
    names = " or ".join(f"{{train,dev,test}}.<language>.{ending}" for ending in task.endings)
    return f"give a folder with files {names}, plain, .gz or .zst"


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(names) if not name.startswith("."))


def _split_and_code(path: Path, task: Task) -> tuple[str, str] | None:
    """Split and language as a path says them, if it does."""
    name = path.stem if path.suffix in COMPRESSIONS else path.name
    stem, _, ending = name.rpartition(".")
    if ending not in task.endings or not stem:
        return None
    split, dot, code = stem.partition(".")
    if dot:
        return (split, code) if split in SPLITS else None
    first, _, rest = stem.partition("-")
    folder = path.parent.name
    pairs = ((first, rest), (folder, stem), (stem, folder))
    return next(((split, code) for split, code in pairs if split in SPLITS and _is_language(code)), None)


def _is_language(code: str) -> bool:
    """Whether it is a language's code; names of tasks and splits are none here (``ner`` is Yahadian)."""
    try:
        return code not in NO_LANGUAGES and bool(canonical(code))
    except LanguageError:
        return False
