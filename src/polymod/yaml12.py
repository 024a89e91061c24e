"""YAML 1.2 files as nested mappings, with the line of every key: ``no`` is the language, not false.

PyYAML reads YAML 1.1, in which ``no`` and ``on`` are booleans, ``012`` is ten and ``1e-4`` is a text.
Anchors, aliases, tags of Python objects, keys given twice and deep nesting are refused.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from polymod.errors import UserError

Tree = dict[str, Any]
DEEPEST = 64  # levels
LARGEST = 2**16  # bytes
_TAGS = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "bool", "int", "float", "null", "seq", "map")
)


class _Yaml(yaml.SafeLoader):
    """YAML 1.2 core schema: only true/false are booleans, no octal 012, no sexagesimals, no dates."""


_Yaml.yaml_implicit_resolvers = {}
for _kind, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
):
    _Yaml.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"^(?:{_pattern})$"), _first)
_Yaml.add_constructor(
    "tag:yaml.org,2002:int", lambda _, node: int(node.value, 0 if "x" in node.value else 10)
)
_Yaml.add_constructor("tag:yaml.org,2002:float", lambda _, node: float(node.value))


def read_yaml(file: Path) -> tuple[Tree, dict[str, str]]:
    """A mapping from a YAML file, and ``file:line`` of each dotted key.

    Raises:
        UserError: unreadable, not UTF-8, not YAML, not a mapping, or a key given twice.
    """
    try:
        raw = file.read_bytes()
        if len(raw) > LARGEST:
            raise UserError(
                f"config file of {len(raw):,} bytes; at most {LARGEST:,} are read", where=str(file)
            )
        return parse_yaml(raw.decode(), where=str(file))
    except UnicodeDecodeError as error:
        raise UserError(
            f"config file is not UTF-8: {error.reason} at byte {error.start}", where=str(file)
        ) from None
    except OSError as error:
        raise UserError(
            f"cannot read the config file: {error.strerror}", where=str(file), fix="check the path"
        ) from None


def parse_yaml(text: str, *, where: str = "") -> tuple[Tree, dict[str, str]]:
    """A mapping from YAML text, and ``where:line`` of each dotted key.

    Raises:
        UserError: not YAML, not a mapping, or a key given twice.
    """
    try:
        node = yaml.compose(text, Loader=_Yaml)
    except (yaml.YAMLError, RecursionError) as error:
        raise _not_yaml(error, text, where) from None
    if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
        return {}, {}
    for token in yaml.scan(text, Loader=_Yaml):
        if isinstance(token, yaml.AnchorToken | yaml.AliasToken):
            place = f"{where}:{token.start_mark.line + 1}"
            what = "anchors and aliases (&name, *name) are not read"
            raise UserError(what, where=place, fix="write the value out")
    places: dict[str, str] = {}
    tree = _construct(node, "", places, where, depth=0)
    if not isinstance(tree, dict):
        raise UserError("a config file is a mapping of keys to values", where=where)
    return tree, places


def _not_yaml(error: Exception, text: str, where: str) -> UserError:
    reason, line = "nested too deeply", None
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        reason = ", ".join(filter(None, (error.context, error.problem)))
        line = error.problem_mark.line
    elif isinstance(error, yaml.reader.ReaderError):  # a control character
        reason, line = error.reason, text.count("\n", 0, error.position)
    return UserError(f"this is not YAML: {reason}", where=where if line is None else f"{where}:{line + 1}")


def _construct(node: yaml.Node, prefix: str, places: dict[str, str], where: str, depth: int) -> Any:
    here = f"{where}:{node.start_mark.line + 1}"
    if depth > DEEPEST:
        raise UserError(f"nested deeper than {DEEPEST} levels", where=here)
    if node.tag not in _TAGS:
        raise UserError(f"tags ({node.tag}) are not read", where=here, fix="write the plain value")
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, prefix, places, where, depth + 1) for item in node.value]
    if not isinstance(node, yaml.MappingNode):
        try:
            return _Yaml("").construct_object(node)
        except (ValueError, KeyError) as error:  # !!int with a text, a number of 5,000 digits
            raise UserError(f"cannot read {repr(node.value)[:80]}: {error}", where=here) from None
    tree: Tree = {}
    for key_node, value_node in node.value:
        place = f"{where}:{key_node.start_mark.line + 1}"
        if not isinstance(key_node, yaml.ScalarNode):
            raise UserError("a key is a word, not a list or a mapping", where=place)
        key = key_node.value.replace("-", "_")
        if "." in key:
            section, _, rest = key.partition(".")
            raise UserError(
                f"the key {key!r} has a dot", where=place, fix=f"write {rest!r} below {section!r}"
            )
        if key in tree:
            raise UserError(f"the key {key!r} is given twice", where=place)
        places[f"{prefix}{key}"] = place
        tree[key] = _construct(value_node, f"{prefix}{key}.", places, where, depth + 1)
    return tree
