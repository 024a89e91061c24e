"""The folder of one diagnosis: what was asked for, and the parts of the answer that are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polymod.config import difference
from polymod.errors import UserError
from polymod.files import LOCK, locked, read_json, remove_temporary, write_json

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
    finished, it must be the same. A refusal before any part leaves nothing behind.

    Raises:
        Busy: another process works there.
        UserError: the folder holds another request (the message shows the difference), or no diagnosis.
    """
    folder, was_there = out / kind, out.exists()
    _require_own(out, kind)
    with locked(out):
        remove_temporary(out)
        noted = folder / REQUEST
        if _begun(out, kind) and noted.exists():
            if changed := difference(read_json(noted), request):
                what = "\n    ".join([f"the folder holds {kind} of something else:", *changed])
                raise UserError(what, where=str(out), fix="give another --out, or the same options")
        else:
            write_json(noted, dict(request))
        try:
            yield Work(folder)
        except UserError:
            if not _begun(out, kind):
                _forget(out, noted, with_folder=not was_there)
            raise


def _require_own(out: Path, kind: str) -> None:
    """Refuse a folder that has something in it, and no diagnosis."""
    if not out.is_dir() or any(out.glob(f"*/{REQUEST}")) or (out / f"{kind}.json").exists():
        return
    if any(path.name not in (LOCK, kind) for path in out.iterdir()):
        raise UserError("the folder exists and holds no diagnosis", where=str(out), fix="give another --out")


def _begun(out: Path, kind: str) -> bool:
    """Whether a part is there, or the result."""
    parts = (path for path in (out / kind).rglob("*.json") if path != out / kind / REQUEST)
    return any(parts) or (out / f"{kind}.json").exists()


def _forget(out: Path, noted: Path, *, with_folder: bool) -> None:
    """Remove the note of a request that came to nothing, and what was made for it alone."""
    noted.unlink(missing_ok=True)
    with suppress(OSError):  # it is not empty
        noted.parent.rmdir()
    if [path.name for path in out.iterdir()] == [LOCK]:
        (out / LOCK).unlink()
        if with_folder:
            out.rmdir()
