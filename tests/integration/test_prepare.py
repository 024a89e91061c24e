"""``prepare`` and ``check-data`` as commands: results, going on after anything, wrong input, findings."""

import gzip
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from _texts import CYRILLIC, sentences, write_texts
from _toys import run_polymod
from polymod.cli import execute
from polymod.text.normalise import normalise
from polymod.text.shards import Shards
from polymod.text.split import SplitRule
from polymod.text.tokenizer import load_tokenizer

OPTIONS = ("--vocab-size", "420", "--sample.coverage", "1", "--processes", "2")
TEXTS = {
    "eng_Latn": [*sentences(700), "", "  twice  ", "twice", "e\u0301t\u00e9\u2028here"],
    "ru": [*sentences(500, letters=CYRILLIC), "bad \x00 line"],
}


def prepare(text: Path, out: Path, *more: str, options=OPTIONS) -> int:
    return execute("prepare", ["--text", str(text), "--out", str(out), *options, *more])


def hashes(folder: Path) -> dict[str, str]:
    """Of every file but the lock, which names the process."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    return write_texts(tmp_path_factory.mktemp("texts"), TEXTS)


@pytest.fixture(scope="module")
def prepared(text, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("out") / "data"
    assert prepare(text, out) == 0
    return out


def test_the_folder_holds_the_documents_of_every_split(prepared):
    shards, tokenizer = Shards.open(prepared), load_tokenizer(prepared)
    assert shards.tags == ("en", "ru")
    assert shards.vocabulary.size == tokenizer.get_vocab_size() == 420
    documents = list(dict.fromkeys(filter(None, map(normalise, TEXTS["eng_Latn"]))))
    rule = SplitRule(small=True)
    for split in ("train", "valid", "meta"):
        ids = shards.take("en", split, np.array([0]), shards.num_tokens("en", split))[0]
        ends = np.flatnonzero(ids == shards.vocabulary.eos_id)
        found = [tokenizer.decode(row[:-1].tolist()) for row in np.split(ids, ends + 1)[:-1]]
        assert found == [document for document in documents if rule.of_text(document) == split]


def test_what_was_left_out_is_told(prepared):
    entries = {tag: Shards.open(prepared).info(tag) for tag in ("en", "ru")}
    assert entries["en"]["dropped"] == {"duplicate": 1, "empty": 1}
    assert entries["en"]["lines"] == 704
    assert entries["ru"]["bad"] == {"control character": 1}
    (bad,) = (prepared / "quarantine" / "lang-ru.jsonl").read_text("utf-8").splitlines()
    assert json.loads(bad) == {
        "file": "ru.txt",
        "line": 501,
        "byte": sum(len(line.encode()) + 1 for line in TEXTS["ru"][:500]),
        "reason": "control character",
        "excerpt": "bad \\x00 line",
    }
    assert not (prepared / "quarantine" / "lang-en.jsonl").exists()
    assert not (prepared / "work").exists()


def test_a_finished_folder_is_left_alone(text, prepared, capsys):
    before = {path: path.stat().st_mtime_ns for path in prepared.rglob("*") if path.name != ".lock"}
    assert prepare(text, prepared, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == 1
    assert document["languages"]["en"]["lines"] == 704
    assert {path: path.stat().st_mtime_ns for path in prepared.rglob("*") if path.name != ".lock"} == before
    assert execute("verify", [str(prepared)]) == 0


def test_the_number_of_processes_does_not_matter(text, prepared, tmp_path):
    assert prepare(text, tmp_path / "data", "--processes", "1") == 0
    assert hashes(tmp_path / "data") == hashes(prepared)


def test_other_options_or_texts_are_refused_with_the_difference(text, prepared, tmp_path, capsys):
    assert prepare(text, prepared, "--vocab-size", "430") == 2
    assert "config.vocab_size: 420 -> 430" in capsys.readouterr().err
    changed = write_texts(tmp_path, {**TEXTS, "ru": TEXTS["ru"][1:]})
    assert prepare(changed, prepared) == 2
    assert "text.ru.bytes" in capsys.readouterr().err
    assert prepare(text, prepared, "--max-bad", "0.5", "--processes", "1") == 0


# Where a process is killed: after each kind of file is in its place, and in the middle of some.
FAULTS = (
    "renamed:state.json",
    "written:000000-000000.part",
    "renamed:000000-000000.part",
    "renamed:0000-1024.bin",
    "synced:tokenizer.json",
    "renamed:train-00000.bin",
    "renamed:000000.safetensors",
    "renamed:lang-en.safetensors",
    "written:data.json",
    "renamed:data.json",
    "synced:manifest.json",
)


@pytest.mark.parametrize("group", [FAULTS[:6], FAULTS[6:]], ids=["early", "late"])
def test_a_preparation_that_was_killed_ends_in_the_same_bytes(text, prepared, tmp_path, group):
    command = ("prepare", "--text", str(text), "--out", str(tmp_path / "data"), *OPTIONS)
    for fault in group:
        ended = run_polymod(*command, env={"POLYMOD_FAULTS": f"{fault}:kill"})
        assert ended.returncode in (1, -signal.SIGKILL), (fault, ended.stderr)
        assert "Traceback" not in ended.stderr
    assert run_polymod(*command).returncode == 0
    assert hashes(tmp_path / "data") == hashes(prepared)


def test_a_full_disk_is_told_and_the_same_command_goes_on(text, prepared, tmp_path):
    command = ("prepare", "--text", str(text), "--out", str(tmp_path / "data"), *OPTIONS)
    for name in ("*.part", "train-*.bin", "manifest.json"):
        ended = run_polymod(*command, env={"POLYMOD_FAULTS": f"written:{name}:ENOSPC"})
        assert ended.returncode == 2, ended.stderr
        assert "the disk is full" in ended.stderr
        assert "what was complete before is still whole" in ended.stderr
    assert run_polymod(*command).returncode == 0
    assert hashes(tmp_path / "data") == hashes(prepared)


def ended(processes: list[str]) -> bool:
    """Whether processes end soon."""
    deadline = time.monotonic() + 20
    while any(Path("/proc", process).exists() for process in processes) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(Path("/proc", process).exists() for process in processes)


def test_a_signal_stops_with_75_and_leaves_no_process(tmp_path):
    text = write_texts(tmp_path / "text", {"en": sentences(60_000, words=4000)})
    command = [sys.executable, "-c", "from polymod.cli import main; main()", "prepare", "--text", str(text)]
    command += ["--out", str(tmp_path / "data"), "--vocab-size", "3000"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("data/work/read/*/*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(signal.SIGTERM)
        told = process.communicate()[1]
    assert process.returncode == 75, told
    assert "stopped by SIGTERM" in told
    assert "same command" in told
    assert children
    assert ended(children)


def test_no_worker_outlives_a_killed_parent(tmp_path):
    (tmp_path / "toy_work.py").write_text(
        "import os, time\ndef sleep(_):\n    yield os.getpid()\n    time.sleep(60)\n"
    )
    (tmp_path / "parent.py").write_text(
        "import sys, time\n"
        "from polymod.text.workers import Workers\n"
        "from toy_work import sleep\n"
        "if __name__ == '__main__':\n"
        "    with Workers(1) as workers:\n"
        "        print(next(workers.run(sleep, [1])).done, flush=True)\n"
        "        time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, tmp_path / "parent.py"], stdout=subprocess.PIPE, text=True
    ) as parent:
        child = int(parent.stdout.readline())
        parent.kill()
    assert ended([str(child)])


def test_two_preparations_do_not_share_a_folder(text, prepared, capsys):
    from polymod.files import locked

    with locked(prepared):
        assert prepare(text, prepared) == 73
    assert f"process {os.getpid()}" in capsys.readouterr().err


def refusal(capsys, *words) -> str:
    assert prepare(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err


def test_wrong_input_is_refused_before_anything_is_written(text, tmp_path, capsys):
    out = tmp_path / "data"
    assert "did you mean 'ja' (Japanese)?" in refusal(capsys, text, out, "--languages", "jp")
    assert "'en' and 'eng' are both" in refusal(capsys, text, out, "--languages", "en,eng")
    assert "languages with text: en, ru" in refusal(capsys, text, out, "--languages", "fr")
    assert "no such folder" in refusal(capsys, tmp_path / "nothing", out)
    assert "did you mean --vocab-size?" in refusal(capsys, text, out, "--vocab-sise", "9")
    assert "cannot be read" in refusal(capsys, text, out, "--tokenizer", str(tmp_path / "t.json"))
    write_texts(tmp_path / "empty", {"en": []})
    assert "the file is empty" in refusal(capsys, tmp_path / "empty", out)
    (tmp_path / "empty" / "en.txt").write_bytes("A line.\n".encode("utf-16") * 50)
    assert "not UTF-8" in refusal(capsys, tmp_path / "empty", out)
    assert not out.exists()
    assert "not empty, and no preparation was begun in it" in refusal(capsys, text, text)


def test_too_many_bad_lines_are_refused_and_listed(tmp_path, capsys):
    text = write_texts(tmp_path / "text", {"en": [*sentences(300), *["\x00"] * 11]})
    told = refusal(capsys, text, tmp_path / "data")
    assert "11 of 311 lines of 'en' cannot be read" in told
    assert "en.txt:301: control character" in told
    listed = tmp_path / "data" / "quarantine" / "lang-en.jsonl"
    assert str(listed) in told
    assert len(listed.read_text().splitlines()) == 11
    assert prepare(text, tmp_path / "data", "--max-bad", "0.04") == 0


def test_an_archive_that_ends_early_is_refused_however_few_lines_are_bad(tmp_path, capsys):
    text = write_texts(tmp_path / "text", {"en": sentences(300)})
    whole = gzip.compress((text / "en.txt").read_bytes())
    (text / "en.txt").unlink()
    (text / "en.txt.gz").write_bytes(whole[: len(whole) // 2])
    told = refusal(capsys, text, tmp_path / "data", "--max-bad", "0.5")
    assert "damaged or truncated archive: 1" in told
    assert "copy it again" in told
    assert execute("check-data", [str(text)]) == 1
    (text / "en.txt.gz").write_bytes(whole)
    assert execute("check-data", [str(text)]) == 0


def test_a_vocabulary_that_does_not_fit_can_be_changed_in_the_same_folder(text, tmp_path, capsys):
    told = refusal(capsys, text, tmp_path / "data", "--vocab-size", "20000")
    fitting = told.split("--vocab-size ")[1].split()[0]
    assert prepare(text, tmp_path / "data", "--vocab-size", fitting) == 0
    assert Shards.open(tmp_path / "data").vocabulary.size == int(fitting)


def test_nothing_but_dropped_lines_is_refused(tmp_path, capsys):
    text = write_texts(tmp_path / "text", {"en": [" "] * 20})
    assert "no document of 'en' is left of 20 lines (empty: 20)" in refusal(capsys, text, tmp_path / "data")


def test_another_tokenizer_can_be_used(text, prepared, tmp_path, capsys):
    words = ("--processes", "1", "--max-lines", "100", "--languages", "ru")
    rows = ("--tokenizer", str(prepared), "--vocab-size", "448")
    assert prepare(text, tmp_path / "data", *words, *rows, options=()) == 0
    shards = Shards.open(tmp_path / "data")
    assert shards.tags == ("ru",)
    assert shards.vocabulary.size == 448
    assert shards.info("ru")["lines"] == 100
    assert (tmp_path / "data/tokenizer.json").read_bytes() == (prepared / "tokenizer.json").read_bytes()
    capsys.readouterr()
    assert "do not fit into 400 rows" in refusal(
        capsys, text, tmp_path / "other", "--tokenizer", str(prepared), "--vocab-size", "400"
    )


def check(capsys, path: Path, *more: str) -> tuple[int, dict]:
    code = execute("check-data", [str(path), "--json", "--processes", "1", *more])
    return code, json.loads(capsys.readouterr().out)


def levels(document: dict) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for finding in document["findings"]:
        found.setdefault(finding["language"], set()).add(finding["level"])
    return found


def test_check_data_of_texts(tmp_path, capsys):
    good = sentences(4000, words=900)
    texts = {
        "de": good,
        "el": good,
        "en": [*good[:1500], *good[:1500], "\x00"],
        "fr": ["\x00"] * 11 + good,
        "it": good[:50],
    }
    text = write_texts(tmp_path, texts)
    (tmp_path / "nl.txt").write_bytes("Een regel.\n".encode("utf-16"))
    code, document = check(capsys, text)
    assert code == 1
    assert (document["schema"], document["kind"]) == (1, "text")
    assert levels(document) == {
        "de": {"ok"},
        "el": {"fail"},
        "en": {"warn"},
        "fr": {"fail"},
        "it": {"warn"},
        "nl": {"fail"},
    }
    english = document["languages"]["en"]
    assert (english["lines"], english["documents"], english["duplicates"]) == (3001, 3000, 1500)
    assert english["first_bad"][0]["line"] == 3001
    assert english["text_bytes"] == english["characters"] == 2 * sum(map(len, good[:1500]))
    code, document = check(capsys, text, "--languages", "de,it")
    assert code == 0
    assert list(document["languages"]) == ["de", "it"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*(f"{tag}.txt" for tag in texts), "nl.txt"]
    )


def test_check_data_of_a_data_folder(prepared, capsys):
    code, document = check(capsys, prepared)
    assert code == 0
    assert document["kind"] == "data"
    assert document["languages"]["en"]["overlap"] == 0
    assert levels(document) == {"en": {"warn"}, "ru": {"warn"}}  # very little text
    code, document = check(capsys, prepared, "--languages", "eng")
    assert list(document["languages"]) == ["en"]


def test_check_data_finds_damage(text, prepared, tmp_path, capsys):
    import shutil

    shutil.copytree(prepared, tmp_path / "data")
    shard = tmp_path / "data/shards/lang-ru/train-00000.bin"
    shard.write_bytes(shard.read_bytes()[:-2] + b"\7\0")
    code, document = check(capsys, tmp_path / "data")
    assert code == 1
    (finding,) = document["findings"]
    assert finding["level"] == "fail"
    assert str(shard) in finding["message"]


def test_check_data_shows_a_table_of_at_most_100_columns(text, prepared, capsys):
    for path in (text, prepared):
        assert execute("check-data", [str(path), "--processes", "1"]) == 0
        shown = capsys.readouterr().out
        assert max(map(len, shown.splitlines())) <= 100
        assert "warn" in shown
