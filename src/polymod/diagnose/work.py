"""The folder of one diagnosis: what was asked for, and the parts of the answer that are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polymod.config import difference
from polymod.errors import UserError
from polymod.files import locked, read_json, remove_temporary, write_json

REQUEST = "request.json"


@dataclass(frozen=True)
class Work:
    """Finished parts, each a JSON file."""

    folder: Path

    def of(self, name: str) -> Work:
        """The parts of something smaller."""
        return Work(self.folder / name)

    def part(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A part: read if it is there, else made and written."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            write_json(path, make())
        found: dict[str, Any] = read_json(path)
        return found


@contextmanager
def opened(out: Path, kind: str, request: Mapping[str, Any]) -> Iterator[Work]:
    """Hold ``out``; its folder ``kind`` has the parts. The request is noted there; once a part is
    finished, it must be the same.

    Raises:
        Busy: another process works there.
        UserError: the folder holds another request (the message shows the difference).
    """
    folder = out / kind
    with locked(out):
        remove_temporary(out)
        noted = folder / REQUEST
        begun = any(path != noted for path in folder.rglob("*.json")) or (out / f"{kind}.json").exists()
        if begun and noted.exists():
            if changed := difference(read_json(noted), request):
                what = "\n    ".join([f"the folder holds {kind} of something else:", *changed])
                raise UserError(what, where=str(out), fix="give another --out, or the same options")
        else:
            write_json(noted, dict(request))
        yield Work(folder)
