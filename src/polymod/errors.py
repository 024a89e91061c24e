"""What goes wrong on the user's side, in the user's words; the command line exits with each class's code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def printable(text: str, keep: str = "\n") -> str:
    """Text with control, bidi and unassigned characters as escapes (``\\u202e``); ``keep`` stays."""
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode()
        for char in text
    )


class UserError(ValueError):
    """The user's input is wrong (exit code 2).

    Args:
        what: what is wrong, with the offending value.
        where: ``file:line``, an option, or a folder.
        fix: what to do about it.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__("".join([f"{where}: " if where else "", what, f"\n  fix: {fix}" if fix else ""]))


class Failure(UserError):
    """The work was asked for correctly and failed all the same: a check that did not hold (exit code 1).

    Args:
        document: what the command found; it is shown (or printed as JSON) before the message.
    """

    exit_code = 1

    def __init__(
        self, what: str, *, where: str = "", fix: str = "", document: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(what, where=where, fix=fix)
        self.document = document


class Busy(UserError):
    """Another process works in the same folder (exit code 73)."""

    exit_code = 73


class Stopped(UserError):
    """A signal stopped the work after it was saved; the same command goes on (exit code 75)."""

    exit_code = 75


class Lost(UserError):
    """Another process of the same run is gone; the same command goes on from the last checkpoint (75)."""

    exit_code = 75
