"""Chains: every line is read exactly once, whatever the sizes, and reading goes on where it stopped."""

import gzip
import hashlib
import tracemalloc

import pytest

from _texts import sentences, write_texts
from polymod.errors import UserError
from polymod.text import reading, streams
from polymod.text.finish import bad_records, totals
from polymod.text.inventory import take_inventory
from polymod.text.normalise import digest
from polymod.text.parts import parts_of
from polymod.text.reading import Chain, chains, finished, read_chain


@pytest.fixture(autouse=True)
def small_units(monkeypatch):
    monkeypatch.setattr(reading, "CHAIN_BYTES", 3000)
    monkeypatch.setattr(reading, "PART_BYTES", 1000)
    monkeypatch.setattr(reading, "TEXTS_AT_ONCE", 7)


def mixed_corpus(folder):
    """A large plain file, small ones, an archive, and bad lines."""
    lines = sentences(400)
    plain = [*lines[:150], "bad \x00 one", "", *lines[150:200]]
    small = {f"b{number}": lines[200 + 10 * number : 210 + 10 * number] for number in range(10)}
    write_texts(folder / "en", {"a": plain, **small, "c": [lines[300]]})
    packed = "".join(f"{line}\n" for line in [*lines[301:], "bad \x01 two"]).encode()
    (folder / "en" / "d.txt.gz").write_bytes(gzip.compress(packed))
    return take_inventory(folder)[0], lines


def plan(corpus, folder, **options):
    return chains(corpus, Chain(corpus.tag, folder, 1000, **options))


def read_everything(corpus, folder, **options):
    planned = plan(corpus, folder, **options)
    for chain in planned:
        for _ in read_chain(chain):
            pass
    return planned


def documents(folder) -> list[str]:
    return [line.decode() for part in parts_of(folder) for line in part.documents()]


def hashes(folder) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_every_line_is_read_once_and_in_order(tmp_path):
    corpus, lines = mixed_corpus(tmp_path)
    planned = read_everything(corpus, tmp_path / "work")
    assert len(planned) > 3
    assert len(parts_of(tmp_path / "work")) > len(planned)
    assert documents(tmp_path / "work") == lines
    counts, scripts = totals(tmp_path / "work")
    assert (counts.lines, counts.documents) == (403, 400)
    assert counts.bad == {"control character": 2}
    assert counts.dropped == {"empty": 1}
    assert counts.characters == sum(map(len, lines))
    assert scripts == {"Latn": sum(char.isalpha() for line in lines for char in line)}


def test_sizes_of_chains_and_parts_do_not_change_the_documents(tmp_path, monkeypatch):
    corpus, lines = mixed_corpus(tmp_path)
    for size in (100, 777, 10**6):
        monkeypatch.setattr(reading, "CHAIN_BYTES", size)
        monkeypatch.setattr(reading, "PART_BYTES", size // 2)
        read_everything(corpus, tmp_path / f"work{size}")
        assert documents(tmp_path / f"work{size}") == lines


def test_bad_records_have_their_line_in_the_file(tmp_path):
    corpus, _ = mixed_corpus(tmp_path)
    read_everything(corpus, tmp_path / "work")
    names = tuple(source.name for source in corpus.sources)
    bad = list(bad_records(tmp_path / "work", names))
    assert [(entry["file"], entry["line"]) for entry in bad] == [("en/a.txt", 151), ("en/d.txt.gz", 100)]


def test_reading_goes_on_after_any_part_with_the_same_bytes(tmp_path):
    corpus, _ = mixed_corpus(tmp_path)
    read_everything(corpus, tmp_path / "whole")
    expected = hashes(tmp_path / "whole")
    planned = plan(corpus, tmp_path / "work")
    for stop in range(1, 40):  # what a killed process has written is a prefix of each chain's parts
        for chain in planned:
            for path in [part.path for part in parts_of(tmp_path / "whole", chain.number)][:stop]:
                (tmp_path / "work").mkdir(exist_ok=True)
                (tmp_path / "work" / path.name).write_bytes(path.read_bytes())
        if all(finished(chain) for chain in planned):
            break
        read_everything(corpus, tmp_path / "work")
        assert hashes(tmp_path / "work") == expected
        for path in (tmp_path / "work").iterdir():
            path.unlink()
    assert stop > 3


def test_a_finished_chain_is_left_alone(tmp_path):
    corpus, _ = mixed_corpus(tmp_path)
    planned = read_everything(corpus, tmp_path / "work")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").iterdir()}
    read_everything(corpus, tmp_path / "work")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "work").iterdir()} == before
    assert all(map(finished, planned))


@pytest.mark.parametrize("limit", [1, 149, 202, 250])
def test_a_limit_takes_the_first_lines(tmp_path, limit):
    corpus, lines = mixed_corpus(tmp_path)
    planned = read_everything(corpus, tmp_path / "work", max_lines=limit)
    assert len(planned) == 1
    assert totals(tmp_path / "work")[0].lines == limit
    assert documents(tmp_path / "work") == lines[: limit if limit < 150 else limit - 2]


def test_digests_are_those_of_the_documents(tmp_path):
    corpus, lines = mixed_corpus(tmp_path)
    read_everything(corpus, tmp_path / "work")
    found = b"".join(part.digests_in_order().astype(">u8").tobytes() for part in parts_of(tmp_path / "work"))
    assert found == b"".join(digest(line.encode()) for line in lines)


def test_checking_keeps_no_text(tmp_path):
    corpus, _ = mixed_corpus(tmp_path)
    read_everything(corpus, tmp_path / "work", keep_documents=False)
    assert documents(tmp_path / "work") == []
    assert totals(tmp_path / "work")[0].documents == 400


def test_parts_are_bounded_also_where_lines_are_short_or_bad(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "PART_LINES", 40)
    write_texts(tmp_path / "text", {"en": [*["x"] * 100, *["\x01"] * 100, *[""] * 100]})
    (corpus,) = take_inventory(tmp_path / "text")
    read_everything(corpus, tmp_path / "work")
    assert [part.summary().counts.lines for part in parts_of(tmp_path / "work")] == [*[40] * 7, 20]


def test_files_that_are_no_text_are_given_up_soon(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "PART_LINES", 40)
    monkeypatch.setattr(reading, "CHAIN_BYTES", 10**9)
    write_texts(tmp_path / "text", {"en": [*["fine"] * 19, *["\x01"] * 10_000]})
    (corpus,) = take_inventory(tmp_path / "text")
    with pytest.raises(UserError, match=r"21 of 40 lines on end cannot be read \(control character: 21\)"):
        read_everything(corpus, tmp_path / "work", max_bad=0.001)
    read_everything(corpus, tmp_path / "work", max_bad=1.0)
    assert totals(tmp_path / "work")[0].bad == {"control character": 10_000}


def test_memory_does_not_grow_with_the_corpus(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "CHAIN_BYTES", 10**9)
    monkeypatch.setattr(reading, "PART_BYTES", 30_000)
    monkeypatch.setattr(streams, "BLOCK", 10_000)
    peaks = []
    for size in (2_000, 12_000):
        write_texts(tmp_path / f"text{size}", {"en": sentences(size)})
        (corpus,) = take_inventory(tmp_path / f"text{size}")
        tracemalloc.start()
        read_everything(corpus, tmp_path / f"work{size}")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert totals(tmp_path / "work12000")[0].documents == 12_000
    assert peaks[1] < 1.2 * peaks[0]  # of a text six times as large
