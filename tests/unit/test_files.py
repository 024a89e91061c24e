"""Files are whole or absent, manifests notice every change, one process holds a folder, names are safe."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _asserts import assert_nothing_half_written, assert_user_error
from _toys import run, toy_folder
from polymod import files
from polymod.errors import Busy, UserError
from polymod.files import (
    MANIFEST,
    atomic,
    atomic_folder,
    language_name,
    locked,
    new_folder,
    problems,
    read_json,
    remove_temporary,
    require_space,
    safe_name,
    write_json,
    write_manifest,
)

STAGES = sorted(set(re.findall(r'fault\("(\w+)"', Path(files.__file__).read_text())))
ERRORS = ("ENOSPC", "EDQUOT", "EROFS", "EIO")
WRITE_FILE = """
import sys, pathlib
from polymod.files import atomic
with atomic(pathlib.Path(sys.argv[1])) as file:
    file.write(b"new")
"""
WRITE_FOLDER = """
import sys, pathlib
from polymod.files import atomic_folder, write_manifest
with atomic_folder(pathlib.Path(sys.argv[1])) as folder:
    (folder / "a.bin").write_bytes(b"new")
    write_manifest(folder)
"""
HOLD = """
import sys, pathlib
from polymod.files import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_stages_of_a_write_are_these() -> None:
    assert STAGES == ["renamed", "synced", "written"], "a new stage needs a case in the tests below"


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_file_whose_write_fails_is_the_old_one_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, error: str
) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    monkeypatch.setenv("POLYMOD_FAULTS", f"{stage}:*.bin:{error}")

    def write() -> None:
        with atomic(path) as file:
            file.write(b"new")

    assert_user_error(
        write, str(path), {"ENOSPC": "full", "EROFS": "read-only"}.get(error, ""), "still whole"
    )
    assert path.read_bytes() == (b"new" if stage == "renamed" else b"old")
    assert_nothing_half_written(tmp_path)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_folder_whose_write_fails_is_absent_or_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, error: str
) -> None:
    monkeypatch.setenv("POLYMOD_FAULTS", f"{stage}:folder:{error}")

    def write() -> None:
        with atomic_folder(tmp_path / "folder") as folder:
            toy_folder(folder / "inner")

    assert_user_error(write, str(tmp_path / "folder"))
    assert (tmp_path / "folder").exists() == (stage == "renamed")
    assert_nothing_half_written(tmp_path)


@pytest.mark.parametrize("stage", STAGES)
def test_a_kill_leaves_the_old_file_or_the_new_one_and_the_next_write_works(
    tmp_path: Path, stage: str
) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    killed = run("-c", WRITE_FILE, path, env={"POLYMOD_FAULTS": f"{stage}:file.bin:kill"})
    assert killed.returncode == -signal.SIGKILL
    assert path.read_bytes() == (b"new" if stage == "renamed" else b"old")
    remove_temporary(tmp_path)
    assert_nothing_half_written(tmp_path)
    with atomic(path) as file:
        file.write(b"newer")
    assert path.read_bytes() == b"newer"


@pytest.mark.parametrize("stage", STAGES)
def test_a_kill_leaves_a_folder_absent_or_whole_and_the_next_write_works(tmp_path: Path, stage: str) -> None:
    path = tmp_path / "folder"
    killed = run("-c", WRITE_FOLDER, path, env={"POLYMOD_FAULTS": f"{stage}:folder:kill"})
    assert killed.returncode == -signal.SIGKILL
    assert path.exists() == (stage == "renamed")
    if path.exists():
        assert problems(path) == []
        path = tmp_path / "another"
    remove_temporary(tmp_path)
    assert_nothing_half_written(tmp_path)
    assert run("-c", WRITE_FOLDER, path).returncode == 0
    assert problems(path) == []


@pytest.mark.parametrize("stopped_by", [ValueError, KeyboardInterrupt, OSError])
def test_nothing_appears_when_the_block_fails(tmp_path: Path, stopped_by: type[BaseException]) -> None:
    def write_file() -> None:
        with atomic(tmp_path / "file.bin") as file:
            file.write(b"half")
            raise stopped_by

    def write_folder() -> None:
        with atomic_folder(tmp_path / "folder") as folder:
            (folder / "half").write_bytes(b"half")
            raise stopped_by

    for write in (write_file, write_folder):
        with pytest.raises((stopped_by, UserError)):
            write()
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_synced_before_its_name_and_the_name_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def traced_fsync(descriptor: int) -> None:
        order.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        fsync(descriptor)

    def traced_replace(path: Path, target: Path) -> Path:
        order.append("rename")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", traced_fsync)
    monkeypatch.setattr(Path, "replace", traced_replace)
    write_json(tmp_path / "a.json", {})
    assert order == ["file", "rename", "folder"]


def test_an_error_of_another_file_inside_the_block_is_not_called_a_failed_write(tmp_path: Path) -> None:
    def write() -> None:
        with atomic(tmp_path / "out" / "file.bin"):
            (tmp_path / "elsewhere" / "missing.txt").read_bytes()

    with pytest.raises(FileNotFoundError, match=r"missing\.txt"):
        write()


def test_a_place_where_one_may_not_write_is_a_user_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path.parent))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert_user_error(lambda: write_json(tmp_path / "a" / "b.json", {}), "b.json: cannot write: Permission")
    assert_user_error(lambda: hold(tmp_path / "a"), "cannot write: Permission")


def test_a_place_below_a_file_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert_user_error(lambda: write_json(tmp_path / "file" / "b" / "a.json", {}), "cannot write")


def test_a_whole_folder_has_no_problems(tmp_path: Path) -> None:
    assert problems(toy_folder(tmp_path / "a")) == []


def test_a_flipped_bit_is_noticed_and_named(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path / "a")
    for name, stride in (("trunk.bin", 23), ("languages/lang-nul.bin", 1), (MANIFEST, 19)):
        path = folder / name
        whole = path.read_bytes()
        for bit in range(0, 8 * len(whole), stride):
            damaged = bytearray(whole)
            damaged[bit // 8] ^= 1 << bit % 8
            path.write_bytes(damaged)
            found = problems(folder)
            assert found, f"bit {bit} of {name}"
            assert name == MANIFEST or name in found[0]
        path.write_bytes(whole)
    assert problems(folder) == []


def test_a_file_that_is_shorter_longer_or_missing_is_named(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path / "a")
    path = folder / "trunk.bin"
    whole = path.read_bytes()
    for length in range(0, len(whole), 9):
        path.write_bytes(whole[:length])
        assert problems(folder) == [f"{path}: {length:,} bytes instead of 256"]
    path.write_bytes(whole + b"x")
    assert problems(folder) == [f"{path}: 257 bytes instead of 256"]
    path.unlink()
    assert problems(folder) == [f"{path}: missing"]


def test_a_manifest_that_is_missing_or_cut_short_is_a_problem(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path / "a")
    whole = (folder / MANIFEST).read_bytes()
    for length in range(0, len(whole) - 1, 7):
        (folder / MANIFEST).write_bytes(whole[:length])
        assert problems(folder)
    (folder / MANIFEST).unlink()
    assert len(problems(folder)) == 1


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/hostname", "languages/../../outside", "link", "a\x00b", "x" * 5000]
)
def test_a_manifest_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = toy_folder(tmp_path / "a")
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    (folder / "link").symlink_to(outside)
    entry = {"bytes": 6, "sha256": files.sha256(outside)}
    write_json(folder / MANIFEST, {"schema": 1, "files": {name: entry}})
    assert len(problems(folder)) == 1


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ENTRIES = st.dictionaries(
    st.text(max_size=12) | st.sampled_from(["trunk.bin", "..", ".", "/", "languages"]),
    JSON | st.fixed_dictionaries({"bytes": JSON, "sha256": JSON}),
    max_size=3,
)


@given(JSON | st.fixed_dictionaries({"schema": st.just(1), "files": JSON | ENTRIES}))
def test_any_json_document_as_manifest_gives_a_list_of_texts(
    tmp_path_factory: pytest.TempPathFactory, document: object
) -> None:
    folder = tmp_path_factory.getbasetemp() / "hostile"
    folder.mkdir(exist_ok=True)
    (folder / "trunk.bin").write_bytes(b"trunk")
    (folder / MANIFEST).write_bytes(json.dumps(document).encode())
    assert all(isinstance(problem, str) for problem in problems(folder))


def test_a_manifest_of_another_schema_is_refused_with_what_reads_it(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path / "a")
    write_json(folder / MANIFEST, {**read_json(folder / MANIFEST), "schema": 2})
    assert "schema 2; this version reads 1" in problems(folder)[0]


def test_a_part_of_a_manifest_can_be_checked(tmp_path: Path) -> None:
    folder = toy_folder(tmp_path / "a")
    (folder / "trunk.bin").unlink()
    assert problems(folder, among=["languages/lang-nul.bin"]) == []
    assert problems(folder, among=["other.bin"]) == [f"{folder / 'other.bin'}: not in the manifest"]


def test_the_lock_is_no_part_of_a_manifest(tmp_path: Path) -> None:
    with locked(tmp_path / "a"):
        folder = toy_folder(tmp_path / "a")
    assert set(read_json(folder / MANIFEST)["files"]) == {"trunk.bin", "languages/lang-nul.bin"}


def test_the_hash_of_a_manifest_says_whether_two_folders_are_equal(tmp_path: Path) -> None:
    one, two = (toy_folder(tmp_path / name) for name in ("one", "two"))
    assert write_manifest(one) == write_manifest(two)
    (two / "trunk.bin").write_bytes(b"other")
    assert write_manifest(one) != write_manifest(two)


def test_json_is_read_as_it_was_written(tmp_path: Path) -> None:
    document = {"b": "é\u2028", "a": [1, 2.5, None, True], "path": os.fsdecode(b"\xff")}
    write_json(tmp_path / "a.json", document)
    assert read_json(tmp_path / "a.json") == document
    assert list(read_json(tmp_path / "a.json")) == ["b", "a", "path"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 5000, b'{"a": 1} x', "{}".encode("utf-16")]
)
def test_what_is_no_json_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    assert_user_error(lambda: read_json(path), f"{path}: not a JSON document")


def test_a_json_file_that_is_absent_a_folder_or_huge_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_user_error(lambda: read_json(tmp_path / "a.json"), "a.json: cannot read: No such file")
    assert_user_error(lambda: read_json(tmp_path), f"{tmp_path}: cannot read: Is a directory")
    write_json(tmp_path / "a.json", {"a": "x" * 100})
    monkeypatch.setattr(files, "LARGEST_JSON", 99)
    assert_user_error(lambda: read_json(tmp_path / "a.json"), "larger than 99 bytes")


def test_a_number_that_json_does_not_have_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def holding(folder: Path) -> subprocess.Popen[str]:
    """A process that holds the folder until its input ends."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def hold(folder: Path) -> None:
    with locked(folder):
        pass


def test_a_held_folder_is_refused_at_once_and_the_holder_is_named(tmp_path: Path) -> None:
    with holding(tmp_path) as holder:
        begun = time.monotonic()
        error = assert_user_error(
            lambda: hold(tmp_path), f"process {holder.pid} on ", "give another", code=73
        )
        assert isinstance(error, Busy)
        assert time.monotonic() - begun < 2
        hold(tmp_path / "another")
    hold(tmp_path)


def test_a_killed_process_lets_go_of_its_folder(tmp_path: Path) -> None:
    with holding(tmp_path) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        hold(tmp_path)


def test_of_many_processes_exactly_one_gets_the_folder(tmp_path: Path) -> None:
    contend = HOLD.replace("sys.stdin.read()", "import time; time.sleep(1)")
    words = [sys.executable, "-c", contend, str(tmp_path)]
    racers = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    ends = [racer.communicate()[0] for racer in racers]
    assert sorted(ends) == [b"", b"", b"", b"held\n"]


def test_a_new_folder_is_made_by_one_at_a_time_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    def make(name: str) -> None:
        with new_folder(tmp_path / name) as folder:
            (folder / "a").write_bytes(b"new")

    (tmp_path / ".tmp-here-99999").mkdir()
    (tmp_path / ".tmp-here-and-there-99999").mkdir()
    with new_folder(tmp_path / "here") as folder:
        assert_user_error(lambda: make("here"), f"process {os.getpid()}", code=73)
        make("other")
        (folder / "a").write_bytes(b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tmp-here-and-there-99999", "here", "other"]


def test_the_same_process_cannot_hold_a_folder_twice(tmp_path: Path) -> None:
    with locked(tmp_path):
        assert_user_error(lambda: hold(tmp_path), f"process {os.getpid()}", code=73)


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", no_locks)
    assert_user_error(lambda: hold(tmp_path), "cannot lock files")


@pytest.mark.parametrize(
    "name",
    [
        *[
            "",
            ".",
            "..",
            "../a",
            "a/b",
            "a\\b",
            "/etc",
            "C:",
            "a.b",
            "a b",
            "a\x00",
            "a\n",
            "é",
            "\uff45",
            "-rf",
            "~",
        ],
        *["con", "NUL", "Aux", "prn", "com1", "LPT9", "a" * 65, "\x1b[31m", "a:b", "$HOME", "*", "<script>"],
    ],
)
def test_a_hostile_name_is_refused(name: str) -> None:
    assert_user_error(lambda: safe_name(name), "cannot be a file name")


@given(st.text(max_size=70))
def test_a_safe_name_is_one_plain_part_of_a_path(name: str) -> None:
    try:
        safe_name(name)
    except UserError:
        return
    assert re.fullmatch(r"[\w-]{1,64}", name, re.ASCII)
    assert Path("root", name).resolve().parent == Path("root").resolve()


def test_a_language_that_is_a_device_on_windows_has_a_safe_name() -> None:
    assert [language_name(tag) for tag in ("con", "nul", "sr-Latn")] == [
        "lang-con",
        "lang-nul",
        "lang-sr-Latn",
    ]


def test_a_disk_that_is_too_full_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there" / "yet"
    require_space(folder, 1)
    assert_user_error(lambda: require_space(folder, 10**18), str(folder), "1,000,000,000,000.0 MB are needed")
    assert not folder.exists()
