"""A plan of runs: settings x language sets x seeds -> cells, each an ordinary pre-training.

Options are dotted keys of ``pretrain`` and what was given for them, as everywhere in this package.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from polymod.config import Tree, flatten
from polymod.errors import UserError
from polymod.files import safe_name
from polymod.languages import resolve

Options = Mapping[str, Any]
EACH, PAIRS, _WITH = "each", "pairs", re.compile(r"each with (\S+)")
_FIXES = {"examples_of": "train.steps", "parameters_of": "model.bottleneck_size"}  # and the option it decides
_ONLY_RUNS = {"languages", *_FIXES}
_ELSEWHERE = {
    "data": "data belongs at the top of the plan",
    "out": "every run has its folder below --out",
    "train.seed": "seeds, at the top of the plan, gives every run its seed",
}


@dataclass(frozen=True, eq=False)
class Setting:
    """One entry of a plan, which is one or several runs for each seed.

    Attributes:
        languages: codes as given, or one of ``each``, ``pairs``, ``each with CODE``; empty: all.
        options: of every run of the setting.
        places: ``file:line`` of the options, and of ``languages``.
        examples_of: the setting whose languages' training tokens these runs take over.
        parameters_of: the setting whose total number of parameters these runs take over.
    """

    name: str
    languages: tuple[str, ...]
    options: Options
    places: Mapping[str, str]
    examples_of: str = ""
    parameters_of: str = ""


@dataclass(frozen=True, eq=False)
class Cell:
    """A run: a setting, languages, a seed."""

    name: str
    setting: Setting
    tags: tuple[str, ...]
    seed: int
    options: Options


def settings(common: Tree, runs: Mapping[str, Any], origins: Mapping[str, str]) -> dict[str, Setting]:
    """The entries of a plan, in its order; ``_`` in a name is shown as ``-``.

    Args:
        origins: ``file:line`` of the plan's dotted keys.

    Raises:
        UserError: a name is no file name, a key belongs elsewhere, or a setting is matched to one that is not
            there or is matched itself.
    """
    places = _at("common", origins)
    for key in _ONLY_RUNS & common.keys():
        fix = "write it at the top of the plan" if key == "languages" else "write it below the run"
        raise UserError(f"{_shown(key)} is not for common", where=places.get(key, ""), fix=fix)
    found: dict[str, Setting] = {}
    for key, given in runs.items():
        if not isinstance(given, Mapping | None):
            where = origins.get(f"runs.{key}", "")
            raise UserError(
                f"the run {key!r} is {given!r}, not its options", where=where, fix="write {arm: shared}"
            )
        setting = _setting(key, common, dict(given or {}), {**places, **_at(f"runs.{key}", origins)})
        found[setting.name] = setting
    for setting in found.values():
        _check_matches(setting, found)
    return found


def cells(plan: Mapping[str, Setting], there: Sequence[str], seeds: Sequence[int]) -> list[Cell]:
    """Every run of a plan.

    Args:
        there: tags of the languages that the study is about.

    Raises:
        UserError: a language is not there, or two runs would have one name.
    """
    found: dict[str, Cell] = {}
    for setting in plan.values():
        where = setting.places.get("languages", setting.places[""])
        for tags in language_sets(setting.languages, there, where=where):
            for seed in seeds:
                whose = "" if len(tags) == len(there) > 1 else "-".join(["", *tags])
                name = _name(f"{setting.name}{whose}-seed{seed}", where)
                if name in found:
                    other = found[name].setting
                    what = f"two runs have the name {name!r}: one of {other.name!r}, one of {setting.name!r}"
                    raise UserError(what, where=setting.places[""], fix="give one of them another name")
                options = {**setting.options, "languages": ",".join(tags), "train.seed": seed}
                found[name] = Cell(name, setting, tags, seed, options)
    return list(found.values())


@contextmanager
def placed(cell: Cell) -> Iterator[None]:
    """Errors say which run they are about, and where the plan names it."""
    try:
        yield
    except UserError as error:
        option = error.where.removeprefix("--").replace("-", "_")
        where = cell.setting.places.get(option, cell.setting.places[""])
        raise UserError(f"{cell.name}: {error.what}", where=where, fix=error.fix) from None


def language_sets(given: Sequence[str], there: Sequence[str], *, where: str = "") -> list[tuple[str, ...]]:
    """What ``languages`` of a setting means: one set of tags for each run.

    Raises:
        UserError: a language is not there or given twice, or there are too few for pairs.
    """

    def known(code: str) -> str:
        return resolve(code, there, where=where, place="in the study")

    word = given[0] if len(given) == 1 else ""
    if word == EACH:
        return [(tag,) for tag in there]
    pivot = _WITH.fullmatch(word)
    if (pivot or word == PAIRS) and len(there) < 2:
        raise UserError("pairs need two languages", where=where, fix="leave these runs out")
    if word == PAIRS:
        return list(combinations(there, 2))
    if pivot:
        first = known(pivot[1])
        return [(first, tag) for tag in there if tag != first]
    tags = tuple(known(code) for code in given)
    if doubled := next((tag for tag in tags if tags.count(tag) > 1), ""):
        raise UserError(f"the language {doubled!r} is given twice", where=where, fix="give it once")
    return [tags or tuple(there)]


def _setting(key: str, common: Tree, given: Tree, places: Mapping[str, str]) -> Setting:
    """One entry of ``runs``; ``places`` are those of its dotted keys, its own at the key ``""``."""
    own = flatten(given)
    options = {**flatten(common), **own}
    for elsewhere, why in _ELSEWHERE.items():
        if elsewhere in options:
            raise UserError(f"{why}, not here", where=places.get(elsewhere, ""))
    matches = {each: str(options.pop(each, "")).replace("_", "-") for each in _FIXES}
    for each, fixed in _FIXES.items():
        if matches[each] and fixed in own:
            what = f"{_shown(each)} decides {_shown(fixed)}, which is given as well"
            raise UserError(what, where=places.get(fixed, ""), fix="leave one of them out")
    languages = _words(options.pop("languages", ()))
    return Setting(_name(key, places.get("", "")), languages, options, places, **matches)


def _check_matches(setting: Setting, plan: Mapping[str, Setting]) -> None:
    """A setting may be matched to one that is there and is not matched itself."""
    for key, name in (("examples_of", setting.examples_of), ("parameters_of", setting.parameters_of)):
        where, other = setting.places.get(key, ""), plan.get(name)
        if not name:
            continue
        if other is None:
            raise UserError(f"there is no run {name!r}", where=where, fix=f"runs: {', '.join(plan)}")
        if other.examples_of or other.parameters_of:
            what = f"{_shown(key)}: the run {name!r} is matched to another one itself"
            raise UserError(what, where=where, fix="name a run that is not")


def _at(section: str, origins: Mapping[str, str]) -> dict[str, str]:
    """Places of the keys below a section, and of the section itself at the key ``""``."""
    places = {
        key[len(section) + 1 :]: place
        for key, place in origins.items()
        if f"{key}.".startswith(f"{section}.")
    }
    return {"": "", **places}


def _words(languages: object) -> tuple[str, ...]:
    words = languages.split(",") if isinstance(languages, str) else languages
    return tuple(str(word).strip() for word in words) if isinstance(words, list | tuple) else (str(words),)


def _name(name: str, where: str) -> str:
    try:
        return safe_name(name.replace("_", "-"))
    except UserError as error:
        raise UserError(error.what, where=where, fix=error.fix) from None


def _shown(key: str) -> str:
    return key.replace("_", "-")
