"""The lines of a task file and its JSON, plain or compressed, strictly: what is wrong ends the reading."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from polymod.errors import UserError
from polymod.text.streams import Damaged, blocks

LONGEST_LINE = 16 * 2**20  # bytes
LARGEST_DOCUMENT = 2**30  # bytes of a JSON file, which is held in memory as a whole


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """``file:line`` and text of each line; lines end with ``\\n`` or ``\\r\\n``.

    Raises:
        UserError: the file cannot be read, is damaged or not UTF-8, or a line is too long.
    """
    held = b""
    number = 0
    for block in _sound(path):
        *whole, held = (held + block).split(b"\n")
        for line in whole:
            number += 1
            yield f"{path}:{number}", _text(line, f"{path}:{number}", first=number == 1)
        if len(held) > LONGEST_LINE:
            refuse("the line is longer than 16 MiB", f"{path}:{number + 1}")
    if held:
        yield f"{path}:{number + 1}", _text(held, f"{path}:{number + 1}", first=not number)


def document(path: Path) -> Any:
    """The JSON value of a file.

    Raises:
        UserError: as ``lines``; or it is no JSON, or larger than a GiB.
    """
    held, size = [], 0
    for block in _sound(path):
        held.append(block)
        size += len(block)
        if size > LARGEST_DOCUMENT:
            refuse("the file is larger than 1 GiB", str(path), fix="divide it by language and split")
    return json_value(_text(b"".join(held), str(path), first=True), str(path), lines=True)


def json_value(text: str, where: str, *, lines: bool = False) -> Any:
    """What a text says in JSON; ``lines`` adds the line of an error to ``where``.

    Raises:
        UserError: it is no JSON, is nested too deep, or holds half a character.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        refuse("JSON that is nested too deep", where)
    except json.JSONDecodeError as error:
        refuse(f"not JSON: {error.msg}", f"{where}:{error.lineno}" if lines else where)
    except ValueError as error:  # a number of more digits than Python reads
        refuse(f"not JSON: {error}", where)
    if "\\u" in text:
        _refuse_surrogates(value, where)
    return value


def field(record: Any, name: str, where: str) -> str:
    """A text of a JSON object that is not blank.

    Raises:
        UserError: there is none.
    """
    value = record.get(name) if isinstance(record, Mapping) else None
    if not isinstance(value, str):
        refuse(f"no text under {name!r}", where)
    if not value.strip():
        refuse(f"{name!r} is blank", where)
    return value


def refuse(what: str, where: str, fix: str = "") -> NoReturn:
    """Raise the error that ends the reading."""
    raise UserError(what, where=where, fix=fix)


def _sound(path: Path) -> Iterator[bytes]:
    try:
        yield from blocks(path)
    except Damaged as damage:
        refuse(str(damage), str(path), fix="get the file again")


def _text(data: bytes, where: str, *, first: bool) -> str:
    try:
        text = data.removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        refuse("not UTF-8", where, fix="convert the file with iconv")
    return text.removeprefix("\ufeff") if first else text


def _refuse_surrogates(value: Any, where: str) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        refuse("half a surrogate pair, which is no character", where)
