"""Sentences that mean the same: pair files (``xx-en.tsv``) or files aligned line by line (``xx.txt``)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from polymod.errors import UserError
from polymod.languages import LanguageError, canonical, resolve, resolve_all
from polymod.tasks.examples import some
from polymod.tasks.lines import lines, refuse
from polymod.text.streams import COMPRESSIONS

FOLDERS = ("", "retrieval", "tatoeba")  # below --data, the first that holds such files
NOT_INSTALLED = "the model does not have it"


@dataclass(frozen=True)
class Text:
    """One side of a pair: sentences of a language."""

    tag: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Parallel:
    """Which sentences are translations of which.

    Attributes:
        texts: by the file (and column) that they come from.
        pairs: keys of ``texts``; sentence *n* of the one means what sentence *n* of the other means.
        files: all that was read.
        left_out: languages and files that were not, and why.
        pivot: the language that aligned files are paired with.
    """

    texts: dict[str, Text]
    pairs: tuple[tuple[str, str], ...]
    files: tuple[Path, ...]
    left_out: dict[str, str]
    pivot: str = ""


def read_parallel(
    data: Path,
    installed: Sequence[str],
    *,
    languages: Sequence[str] = (),
    pivot: str = "",
    every: bool = False,
    most: int = 0,
) -> Parallel:
    """Find and read the sentences of the installed languages.

    Args:
        languages: those to read; all if empty.
        pivot: of aligned files, the language with which every other one is paired; English if left out, or
            else the first language in the order of ``installed``.
        every: pair all languages of aligned files with each other.
        most: sentences of each pair, a choice that never changes; 0: all.

    Raises:
        UserError: no files, files that do not fit together, a language that is not there.
    """
    wanted = resolve_all(languages, installed, where="--languages")
    folder, names = _folder(data)
    pairs, left_out = _pair_files(folder, names)
    if pairs:
        found = _from_pairs(pairs, installed, wanted, left_out)
    else:
        files, left_out = _aligned_files(folder, names)
        chosen = _pivot(files, installed, pivot)
        found = _from_aligned(files, installed, wanted, left_out, chosen, every=every)
    texts = {key: Text(text.tag, tuple(some(text.sentences, most))) for key, text in found.texts.items()}
    return replace(found, texts=texts)


def files_below(data: Path) -> dict[str, Path]:
    """The file ``xx.txt``, plain or compressed, of each language in a folder."""
    folder, names = _folder(data)
    return dict(sorted(_aligned_files(folder, names)[0].items()))


def data_hash(found: Parallel) -> str:
    """SHA-256 of the sentences; where and how their files lay does not matter."""
    digest = hashlib.sha256()
    for pair in found.pairs:
        for key in pair:
            text = found.texts[key]
            digest.update("\n".join([text.tag, *text.sentences, ""]).encode())
    return digest.hexdigest()


def _folder(data: Path) -> tuple[Path, list[str]]:
    """The folder that holds pair files or aligned files, and their names."""
    if not data.is_dir():
        raise UserError("no such folder", where=str(data), fix="give a folder with xx-en.tsv or xx.txt files")
    for name in FOLDERS:
        folder = data / name
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        if found := [name for name in names if _bare(name).endswith((".tsv", ".txt"))]:
            return folder, found
    below = ", ".join(sorted(path.name for path in data.iterdir())[:20]) or "nothing"
    fix = "give a folder with pair files (xx-en.tsv) or aligned files (xx.txt), plain, .gz or .zst"
    raise UserError(f"no parallel sentences; the folder holds {below}", where=str(data), fix=fix)


def _bare(name: str) -> str:
    """The name without an ending of compression."""
    path = Path(name)
    return path.stem if path.suffix in COMPRESSIONS else name


def _pair_files(folder: Path, names: Sequence[str]) -> tuple[dict[tuple[str, str], Path], dict[str, str]]:
    pairs: dict[tuple[str, str], Path] = {}
    left_out = {}
    for name in names:
        if not _bare(name).endswith(".tsv"):
            continue
        pair = _pair_of(Path(_bare(name)).stem)
        if pair is None:
            left_out[name] = "its name is no pair of languages"
        elif pair in pairs:
            what = f"{pairs[pair].name!r} and {name!r} are both the pair {'-'.join(pair)}"
            raise UserError(what, where=str(folder), fix="remove one of them")
        else:
            pairs[pair] = folder / name
    return pairs, left_out


def _pair_of(stem: str) -> tuple[str, str] | None:
    """Two languages of a name such as ``sr-Latn-en``: the last division that leaves two languages."""
    parts = stem.split("-")
    for place in range(len(parts) - 1, 0, -1):
        a, b = _tag_of("-".join(parts[:place])), _tag_of("-".join(parts[place:]))
        if a and b and a != b:
            return a, b
    return None


def _tag_of(code: str) -> str | None:
    try:
        return canonical(code)
    except LanguageError:
        return None


def _from_pairs(
    pairs: dict[tuple[str, str], Path],
    installed: Sequence[str],
    wanted: Sequence[str],
    left_out: dict[str, str],
) -> Parallel:
    texts: dict[str, Text] = {}
    chosen, files = [], []
    for pair, path in pairs.items():
        missing = [tag for tag in pair if tag not in installed]
        left_out |= dict.fromkeys(missing, NOT_INSTALLED)
        if missing or (wanted and not set(pair) & set(wanted)):
            continue
        rows = [_two(line, where) for where, line in lines(path)]
        keys = (f"{path.name}:1", f"{path.name}:2")
        texts |= {keys[side]: Text(pair[side], tuple(row[side] for row in rows)) for side in (0, 1)}
        chosen.append(keys)
        files.append(path)
        _enough(len(rows), path)
    there = {tag for pair in pairs for tag in pair}
    _all_there(wanted, there, next(iter(pairs.values())).parent)
    return _some_pairs(Parallel(texts, tuple(chosen), tuple(files), left_out), there)


def _two(line: str, where: str) -> tuple[str, str]:
    columns = line.split("\t")
    if len(columns) != 2 or not all(column.strip() for column in columns):
        refuse(
            f"{len(columns)} columns, or a blank one", where, fix="write a sentence, a tab, its translation"
        )
    return columns[0], columns[1]


def _aligned_files(folder: Path, names: Sequence[str]) -> tuple[dict[str, Path], dict[str, str]]:
    """The file of each language. Of several, the one named by the canonical tag: ``en``, not ``en-GB``."""
    files: dict[str, Path] = {}
    left_out = {}
    by_tag: dict[str, list[str]] = {}
    for name in names:
        if _bare(name).endswith(".txt"):
            tag = _tag_of(Path(_bare(name)).stem)
            if tag is None:
                left_out[name] = "its name is no language"
            else:
                by_tag.setdefault(tag, []).append(name)
    for tag, found in by_tag.items():
        exact = [name for name in found if Path(_bare(name)).stem == tag]
        if len(found) > 1 and len(exact) != 1:
            what = f"{found[0]!r} and {found[1]!r} are both the language {tag!r}"
            raise UserError(what, where=str(folder), fix=f"call one of them {tag}.txt, or remove one")
        files[tag] = folder / (exact or found)[0]
        left_out |= {
            name: f"{files[tag].name} is the file of {tag}" for name in found if name not in exact[:1]
        }
        left_out.pop(files[tag].name, None)
    return files, left_out


def _pivot(files: dict[str, Path], installed: Sequence[str], pivot: str) -> str:
    there = [tag for tag in installed if tag in files]
    if pivot:
        return resolve(
            resolve(pivot, installed, where="--pivot"), there, where="--pivot", place="in the data"
        )
    return "en" if "en" in there else next(iter(there), "")


def _from_aligned(
    files: dict[str, Path],
    installed: Sequence[str],
    wanted: Sequence[str],
    left_out: dict[str, str],
    pivot: str,
    *,
    every: bool,
) -> Parallel:
    folder = next(iter(files.values())).parent if files else Path()
    left_out |= {tag: NOT_INSTALLED for tag in files if tag not in installed}
    _all_there(wanted, set(files), folder)
    chosen = (wanted if every else (*wanted, pivot)) if wanted else installed
    tags = [tag for tag in installed if tag in files and tag in chosen]
    texts = {tag: Text(tag, tuple(_sentences(files[tag]))) for tag in tags}
    counts = {tag: len(text.sentences) for tag, text in texts.items()}
    odd = [tag for tag in tags if counts[tag] != counts[tags[0]]]
    if odd:
        one, other = files[tags[0]].name, files[odd[0]].name
        what = f"{one} has {counts[tags[0]]:,} lines, {other} has {counts[odd[0]]:,}"
        raise UserError(what, where=str(folder), fix="line n must mean the same in every file")
    pairs = combinations(tags, 2) if every else ((tag, pivot) for tag in tags if tag != pivot)
    for tag in tags[:1]:
        _enough(counts[tag], files[tag])
    found = Parallel(texts, tuple(pairs), tuple(files[tag] for tag in tags), left_out, pivot)
    return _some_pairs(found, set(files))


def _sentences(path: Path) -> list[str]:
    found = []
    for where, line in lines(path):
        if not line.strip():
            refuse("a blank line; line n must mean the same in every file", where)
        found.append(line)
    return found


def _all_there(wanted: Sequence[str], there: set[str], folder: Path) -> None:
    for tag in wanted:
        resolve(tag, sorted(there), where=str(folder), place="in the data")


def _enough(count: int, path: Path) -> None:
    if count < 2:
        raise UserError("fewer than two sentences", where=str(path))


def _some_pairs(found: Parallel, there: set[str]) -> Parallel:
    if not found.pairs:
        what = f"the model has no two of the data's languages: {', '.join(sorted(there))}"
        raise UserError(what, fix="polymod extend adds languages to a model")
    return found
