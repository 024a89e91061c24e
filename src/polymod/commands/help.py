"""``--help`` of a command, from its config class: usage, then every option with type, default and meaning."""

from __future__ import annotations

import textwrap
import types
import typing
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from polymod.config import SWITCHES, CommandConfig, fields, flatten


def help_text(name: str, summary: str, config_class: type[CommandConfig]) -> str:
    """The whole help page, at most 100 columns wide."""
    arguments = [
        f"{argument.upper()}{'...' if _is_list(config_class, argument) else ''}"
        for argument in config_class.arguments
    ]
    lines = [
        f"Usage: polymod {name} [CONFIG.yaml] {' '.join([*arguments, '[--option value ...]'])}",
        "",
        summary,
        "",
    ]
    if details := (config_class.__doc__ or "").strip():
        lines += [*textwrap.wrap(" ".join(details.split()), 100), ""]
    preset, values = config_class.preset({})
    defaults = flatten(values)
    if preset:
        lines += [f"Defaults are those of the preset {preset}.", ""]
    section = None
    in_sections = sorted(fields(config_class).items(), key=lambda item: "." in item[0])
    for key, field in in_sections:
        if (here := key.rpartition(".")[0]) != section:
            lines += [""] * (section is not None) + [f"{here}:" if here else "options:"]
            section = here
        value = "the run's" if key in config_class.of_run else defaults.get(key, field.default)
        lines += _entry(key, field, value, key in config_class.arguments)
    return "\n".join(
        [*lines, "", "switches:", *(f"  --{switch:<32} {meaning}" for switch, meaning in SWITCHES.items())]
    )


def _entry(key: str, field: FieldInfo, value: Any, is_argument: bool) -> list[str]:
    label = key.upper() if is_argument else f"--{key.replace('_', '-')} {_kind(field.annotation)}"
    default = "" if is_argument else _default(value)
    text = f"{field.description or ''}{default}"
    first, *rest = textwrap.wrap(text, 62) or [""]
    head = [f"  {label:<34} {first}"] if len(label) <= 34 else [*_cut(label), f"{'':37}{first}"]
    return head + [f"{'':37}{line}" for line in rest]


def _cut(label: str) -> list[str]:
    """An option with many choices in several lines, each ending where a choice does."""
    lines = textwrap.wrap(label.replace("|", "| "), 96, break_on_hyphens=False)
    return [
        f"  {'' if number == 0 else '    '}{line.replace('| ', '|')}" for number, line in enumerate(lines)
    ]


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return " (required)"
    if value in ("", (), None, {}):
        return ""
    if isinstance(value, bool):
        return f" [{str(value).lower()}]"
    return f" [{','.join(map(str, value)) if isinstance(value, tuple) else value}]"


def _kind(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return "|".join(map(str, typing.get_args(annotation)))
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return _kind(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) is tuple:
        return "A,B,..."
    return {"int": "N", "float": "X", "bool": "true|false", "Path": "PATH"}.get(
        getattr(annotation, "__name__", ""), "TEXT"
    )


def _is_list(config_class: type[CommandConfig], key: str) -> bool:
    return typing.get_origin(config_class.model_fields[key].annotation) is tuple
