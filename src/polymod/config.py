"""One config tree per command: class defaults < preset < YAML file < ``--dotted.key value`` options.

Every value remembers where it came from, so that ``--print-config`` can show it and an error can name
``file:line``.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import json
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import pydantic

from polymod.errors import UserError
from polymod.yaml12 import Tree as Tree
from polymod.yaml12 import read_yaml

SWITCHES = {  # what every command takes besides its options
    "json": "one JSON document on stdout, nothing else there",
    "print-config": "show the resolved options with their origins, and stop",
    "slurm": "queue it on a Slurm cluster; --slurm.NAME is for the job",
    "debug": "show the traceback of an error",
    "help": "show this page",
}


class Config(pydantic.BaseModel):
    """A frozen set of options; misspelt keys are errors."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @pydantic.field_validator("*", mode="before")
    @classmethod
    def _not_an_empty_path(cls, value: object, info: pydantic.ValidationInfo) -> object:
        """``Path("")`` would be the working directory."""
        is_path = Path in _kinds(cls.model_fields[info.field_name or ""].annotation)
        if is_path and isinstance(value, str) and (not value or "\0" in value):
            raise ValueError("this is no path")
        return value


class CommandConfig(Config):
    """The whole tree of one command."""

    arguments: ClassVar[tuple[str, ...]] = ()  # fields that are written without ``--``, in this order
    of_run: ClassVar[frozenset[str]] = frozenset()  # options whose defaults are those of the given run
    in_processes: ClassVar[bool] = False  # its field ``nproc`` is how many processes do the work together

    @classmethod
    def preset(cls, given: Tree) -> tuple[str, Tree]:
        """Name and values of the preset that ``given`` (what the user wrote) asks for; none by default."""
        return "", {}


def split(value: object) -> object:
    """``en,de`` as a list; what is no text as it is."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


# ``en,de,fr`` on the command line, a YAML list in a file.
Names = Annotated[tuple[str, ...], pydantic.BeforeValidator(split)]

# Written into records: right wherever the next command is started.
LastingPath = Annotated[Path, pydantic.AfterValidator(Path.absolute)]

C = TypeVar("C", bound=Config)
K = TypeVar("K", bound=CommandConfig)


class Resolved(typing.Generic[K]):
    """A validated config and where each of its values came from."""

    def __init__(self, value: K, origins: Mapping[str, str]) -> None:
        self.value, self.origins = value, dict(origins)

    def lines(self) -> list[str]:
        """``dotted.key: value  # origin`` for every leaf, as ``--print-config`` shows it."""
        leaves = flatten(self.value.model_dump(mode="json"))
        shown = {key: f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in leaves.items()}
        width = min(60, max(map(len, shown.values()), default=0))
        return [f"{line:<{width}}  # {self.origins.get(key, 'default')}" for key, line in shown.items()]


def load(
    config_class: type[K], file: Path | None = None, options: Sequence[tuple[str, str | None]] = ()
) -> Resolved[K]:
    """Merge file and options into a validated config.

    Args:
        options: pairs of dotted key and text, in the order typed; the last one wins. Without a text an option
            is true.

    Raises:
        UserError: unreadable file, unknown key, wrong type or value; all with their place and near matches.
    """
    tree, origins = read_yaml(file) if file else ({}, {})
    known = fields(config_class)
    for key, text in options:
        dotted = key.replace("-", "_")
        origins[dotted] = f"--{key}"
        if text is None and dotted in known and bool not in _kinds(known[dotted].annotation):
            raise UserError(f"--{key} needs a value", fix=_about(dotted, known))
        _insert(tree, dotted, "true" if text is None else text, origins)
    return resolve(config_class, tree, origins)


def resolve(config_class: type[K], given: Tree, places: Mapping[str, str]) -> Resolved[K]:
    """A validated config from a tree of what was given, completed by its preset.

    Args:
        places: where each dotted key was written. Validators find them, as ``origins``, in their context.

    Raises:
        UserError: as ``load``.
    """
    tree, origins = copy.deepcopy(given), dict(places)
    preset_name, preset_values = config_class.preset(tree)
    for key, value in flatten(preset_values).items():
        if _insert(tree, key, value, origins, keep=True):
            origins[key] = f"preset {preset_name}"
    try:
        return Resolved(config_class.model_validate(tree, context={"origins": origins}), origins)
    except pydantic.ValidationError as error:
        raise _rewritten(error, config_class, origins) from None


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys of the leaves of a nested mapping."""
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        dotted = f"{prefix}{key}"
        leaves |= flatten(value, f"{dotted}.") if isinstance(value, Mapping) else {dotted: value}
    return leaves


def nested(leaves: Mapping[str, Any], places: Mapping[str, str]) -> Tree:
    """The tree of dotted keys; ``places`` says where each was written.

    Raises:
        UserError: a key is a section and an option at once.
    """
    tree: Tree = {}
    for key, value in leaves.items():
        _insert(tree, key, value, places)
    return tree


def fingerprint(config: Config, *, without: Sequence[str] = ()) -> str:
    """SHA-256 of the resolved values, except the dotted keys in ``without``."""
    leaves = {
        key: value for key, value in flatten(config.model_dump(mode="json")).items() if key not in without
    }
    return hashlib.sha256(json.dumps(leaves, sort_keys=True).encode()).hexdigest()


def completed(recorded: Mapping[str, Any], config_class: type[Config]) -> Mapping[str, Any]:
    """A recorded config with the defaults of the options that came after it."""
    try:
        return config_class.model_validate(recorded).model_dump(mode="json")
    except pydantic.ValidationError:  # it has an option that is gone: the difference will name it
        return recorded


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """``key: old -> new`` for every leaf that differs."""
    a, b = flatten(old), flatten(new)
    missing = object()
    changed = [key for key in sorted(a | b) if a.get(key, missing) != b.get(key, missing)]
    return [f"{key}: {_told(a.get(key, '(absent)'))} -> {_told(b.get(key, '(absent)'))}" for key in changed]


def _told(value: object) -> object:
    """None cannot be typed."""
    return "left out" if value is None else value


def fields(config_class: type[Config], prefix: str = "") -> dict[str, pydantic.fields.FieldInfo]:
    """Dotted keys of all leaf options of a config class, for help texts and did-you-mean."""
    found: dict[str, pydantic.fields.FieldInfo] = {}
    for key, field in config_class.model_fields.items():
        if section := section_of(field):
            found |= fields(section, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = field
    return found


def section_of(field: pydantic.fields.FieldInfo) -> type[Config] | None:
    """The config class of a field that is a section of the tree, also where it may be absent."""
    sections = [
        kind for kind in _kinds(field.annotation) if isinstance(kind, type) and issubclass(kind, Config)
    ]
    return sections[0] if sections else None


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the one type."""
    union = typing.get_origin(annotation) in (types.UnionType, typing.Union)
    return typing.get_args(annotation) if union else (annotation,)


def _insert(tree: Tree, dotted: str, value: Any, origins: Mapping[str, str], *, keep: bool = False) -> bool:
    """Set a dotted key; ``keep`` leaves what is there. Returns whether it was set."""
    *sections, leaf = dotted.split(".")
    for depth, section in enumerate(sections, 1):
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise _no_section(".".join(sections[:depth]), origins)
    if keep and leaf in tree:
        return False
    tree[leaf] = value
    return True


def _no_section(key: str, origins: Mapping[str, str]) -> UserError:
    what = f"{key.replace('_', '-')!r} is a section of options, not an option"
    return UserError(what, where=_origin(key, origins), fix="set the options below it; see --help")


def _origin(key: str, origins: Mapping[str, str]) -> str:
    """Where a key, or the first one below it, was written."""
    below = (place for dotted, place in origins.items() if dotted.startswith(f"{key}."))
    return origins.get(key) or next(below, "")


def _rewritten(
    error: pydantic.ValidationError, config_class: type[CommandConfig], origins: Mapping[str, str]
) -> UserError:
    """One thing that is wrong, in the user's words; misspelt keys first, as the rest may follow."""
    errors = error.errors()
    first = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    key = ".".join(part for part in map(str, first["loc"]) if not part.isdigit())
    where, known = _origin(key, origins), fields(config_class)
    if first["type"] == "extra_forbidden":
        return _unknown(key, where, [*known, *SWITCHES])
    if first["type"] == "model_type":
        return _no_section(key, origins)
    option = key.replace("_", "-")
    if first["type"] == "missing":
        missing = key.upper() if key in config_class.arguments else f"--{option}"
        return UserError(f"{missing} is missing", fix=_about(key, known))
    message = first["msg"].removeprefix("Value error, ")
    if isinstance(cause := first.get("ctx", {}).get("error"), UserError):
        return type(cause)(cause.what, where=cause.where or where, fix=cause.fix)
    if key not in known:  # a rule over several options
        return UserError(message, where=where)
    if key in config_class.arguments and where == f"--{option}":  # it was written without its name
        where, option = "", key.upper()
    given = "" if where == f"--{option}" else f"{option} "
    what = f"{given}{repr(first['input'])[:80]}: {message[0].lower()}{message[1:]}"
    return UserError(what, where=where, fix=_about(key, known))


def _unknown(key: str, where: str, known: Sequence[str]) -> UserError:
    near = difflib.get_close_matches(key, known, n=2, cutoff=0.6)
    near += [name for name in known if name.split(".")[-1] == key.split(".")[-1]]
    if "." not in key:
        sections = {name.rpartition(".")[0] for name in known} - {""}
        near += [f"{name}.NAME" for name in difflib.get_close_matches(key, sections, n=1, cutoff=0.6)]
    shown = [f"--{name.replace('_', '-')}" for name in dict.fromkeys(near)]
    fix = f"did you mean {' or '.join(shown)}?" if shown else "see --help"
    return UserError(f"unknown option {key.replace('_', '-')!r}", where=where, fix=fix)


def _about(key: str, known: Mapping[str, pydantic.fields.FieldInfo]) -> str:
    """What an option is for."""
    description = known[key].description if key in known else ""
    return f"see --help{f': {description}' if description else ''}"
