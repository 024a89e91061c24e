"""Files that are whole or absent: safe names, atomic writes, hash manifests, the run lock.

A file or folder is written under a temporary name in the same directory, fsynced, and renamed; then the
directory is fsynced. A manifest lists every file of a folder with size and SHA-256, because no format used
here (safetensors, raw tokens) notices a flipped bit by itself. See docs/design/003-files.md.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from polymod.errors import Busy, UserError
from polymod.faults import fault

MANIFEST = "manifest.json"
SCHEMA = 1  # of manifests
LOCK = ".lock"
TEMPORARY = ".tmp-"
LARGEST_JSON = 64 * 2**20
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
}
_RESERVED = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]", re.IGNORECASE)  # device names on Windows


def safe_name(name: str) -> str:
    """The name itself if it is a safe file name on every system.

    Raises:
        UserError: it is empty, too long, has other characters than ``A-Za-z0-9_-``, begins with ``-``, or
            names a device.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}", name) or _RESERVED.fullmatch(name):
        raise UserError(f"{name[:80]!r} cannot be a file name", fix="use 1 to 64 letters, digits, - and _")
    return name


def language_name(tag: str) -> str:
    """File stem of a language: prefixed, because ``con`` and ``nul`` are languages and Windows devices."""
    return safe_name(f"lang-{tag}")


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that appears under ``path`` when the block ends without an error, and not before.

    Raises:
        UserError: the disk is full or not writable.
    """
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}")
        try:
            with temporary.open("wb") as file:
                yield file
                fault("written", path)
                file.flush()
                os.fsync(file.fileno())
            fault("synced", path)
            temporary.replace(path)
            _sync_folder(path.parent)
            fault("renamed", path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that is fsynced and renamed to ``path`` when the block ends without an error.

    ``path`` must not exist; a manifest is the block's own business.
    """
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            yield temporary
            fault("written", path)
            mode = temporary.stat().st_mode & 0o666  # as the umask has it; safetensors allows the owner only
            for file in sorted(temporary.rglob("*")):
                if file.is_dir():
                    _sync_folder(file)
                elif file.stat().st_nlink == 1:  # a link's file was synced when it was written
                    file.chmod(mode)
                    _sync_file(file)
            _sync_folder(temporary)
            fault("synced", path)
            temporary.rename(path)
            _sync_folder(path.parent)
            fault("renamed", path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """``atomic_folder`` outside any lock: one process at a time (``Busy``), leftovers of killed ones go."""
    place = path.with_name(f"{TEMPORARY}{path.name}")
    with locked(place):
        try:
            for left in path.parent.glob(f"{TEMPORARY}*"):
                if re.fullmatch(re.escape(place.name) + "-[0-9]+", left.name):
                    shutil.rmtree(left, ignore_errors=True)
            with atomic_folder(path) as folder:
                yield folder
        finally:
            shutil.rmtree(place, ignore_errors=True)


def remove_temporary(folder: Path) -> None:
    """Drop what a killed process left half-written below ``folder``; call only while holding its lock."""
    for path in list(folder.rglob(f"{TEMPORARY}*")):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write one JSON document atomically, keys in the order given."""
    with atomic(path) as file:
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
        file.write(text.encode(errors="backslashreplace") + b"\n")  # a lone surrogate becomes its JSON escape


def read_json(path: Path) -> Any:
    """A JSON document of bounded size.

    Raises:
        UserError: absent, unreadable, too large, not UTF-8 JSON.
    """
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise UserError(f"JSON file larger than {LARGEST_JSON:,} bytes", where=str(path))
        return json.loads(path.read_bytes().decode())
    except OSError as error:
        raise UserError(f"cannot read: {error.strerror}", where=str(path)) from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"not a JSON document: {error}", where=str(path)) from None


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path, known: Mapping[str, str] | None = None) -> str:
    """List every file below ``folder`` with size and hash; returns the hash of the manifest itself.

    Args:
        known: hashes of files, by name, that are not read again: links to files of another manifest.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in (MANIFEST, LOCK))
    names = [path.relative_to(folder).as_posix() for path in paths]
    with ThreadPoolExecutor() as threads:
        digests = list(threads.map(lambda name: (known or {}).get(name) or sha256(folder / name), names))
    entries = [{"bytes": path.stat().st_size, "sha256": d} for path, d in zip(paths, digests, strict=True)]
    files = dict(zip(names, entries, strict=True))
    write_json(folder / MANIFEST, {"schema": SCHEMA, "files": files})
    return sha256(folder / MANIFEST)


def problems(folder: Path, among: Collection[str] | None = None) -> list[str]:
    """What differs between a folder and its manifest, a line per file; empty if every hash holds.

    Args:
        among: the files to check, as the manifest names them; one that it does not list is a problem.
    """
    try:
        entries = listed(folder)
    except UserError as error:
        return [str(error)]
    names = sorted(entries if among is None else among)
    with ThreadPoolExecutor() as threads:
        found = threads.map(lambda name: _problem(folder, name, entries.get(name)), names)
        return [problem for problem in found if problem]


def listed(folder: Path) -> dict[str, tuple[int, str]]:
    """Size and hash of each file that a folder's manifest lists; ``UserError`` if there is none to read."""
    document = read_json(path := folder / MANIFEST)
    try:
        if document["schema"] != SCHEMA:
            what = f"manifest of schema {document['schema']!r}; this version reads {SCHEMA}"
            raise UserError(what, where=str(path), fix="use the version of polymod that wrote it")
        entries = {str(name): (entry["bytes"], entry["sha256"]) for name, entry in document["files"].items()}
    except (TypeError, KeyError, AttributeError):
        raise UserError("not a manifest", where=str(path)) from None
    if not all(type(size) is int and type(digest) is str for size, digest in entries.values()):
        raise UserError("not a manifest", where=str(path))
    return entries


def _problem(folder: Path, name: str, entry: tuple[int, str] | None) -> str:
    path = folder / name
    if entry is None:
        return f"{path}: not in the manifest"
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            return f"{path}: leads out of the folder"
        if not path.is_file():
            return f"{path}: missing"
        if path.stat().st_size != entry[0]:
            return f"{path}: {path.stat().st_size:,} bytes instead of {entry[0]:,}"
        return "" if sha256(path) == entry[1] else f"{path}: content changed (SHA-256 differs)"
    except OSError as error:
        return f"{path}: cannot read: {error.strerror}"
    except (ValueError, RuntimeError) as error:  # a NUL in the name, a loop of links
        return f"{path}: {error}"


def require_space(folder: Path, needed: int) -> None:
    """Refuse early when the disk cannot hold what will be written.

    Raises:
        UserError: less than ``needed`` bytes are free where ``folder`` is or will be.
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        what = f"the disk is too full: {needed / 1e6:,.1f} MB are needed, {free / 1e6:,.1f} MB are free"
        raise UserError(what, where=str(folder), fix="free some space or give another --out")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder against other processes; the system lets go of it when the process dies (``flock``).

    A forked child holds it too and may live longer, so polymod's worker processes are spawned.

    Raises:
        Busy: another process holds it.
        UserError: the file system cannot lock, or is not writable.
    """
    with refusals(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("a+")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read(200).strip() or "another process"
            fix = "wait for it to end or give another --out"
            raise Busy(f"the folder is in use by {owner}", where=str(folder), fix=fix) from None
        except OSError as error:
            what = f"this file system cannot lock files: {error.strerror}"
            raise UserError(what, where=str(folder), fix="give an --out on another file system") from None
        file.truncate(0)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {since}\n")
        file.flush()
        yield


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Turn the system's refusals to write ``path`` into the user's words; other files' errors pass."""
    try:
        yield
    except OSError as error:
        named = path if error.filename is None else Path(os.fsdecode(error.filename))
        if not named.is_relative_to(path.parent) and not path.is_relative_to(named):
            raise
        what = _REASONS.get(error.errno or 0, f"cannot write: {error.strerror or error}")
        begin = "free some space or give" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "give"
        fix = f"{begin} another --out; what was complete before is still whole"
        raise UserError(what, where=str(path), fix=fix) from error
