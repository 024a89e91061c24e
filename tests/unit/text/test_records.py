"""Reading: binary lines, strict, bounded, never a traceback, and nothing lost without a reason."""

import gzip
import json
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from _texts import source_of
from polymod.errors import UserError
from polymod.text import records, streams
from polymod.text.corpus import quarantine_entry, read
from polymod.text.records import BAD


def read_all(path, data: bytes, max_characters: int = 1000):
    return list(read(source_of(path, data), 0, 0, max_characters=max_characters))


def outcome(record) -> str:
    return record.reason or record.text


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


LINES = {
    "plain": (b"abc\n", ["abc"]),
    "no line feed at the end": (b"abc\nde", ["abc", "de"]),
    "windows": (b"abc\r\nde\r\n", ["abc", "de"]),
    "empty lines": (b"\n \n\t\na", ["empty", "empty", "empty", "a"]),
    "line separator is text": ("a\u2028b\u0085c\n".encode(), ["a b c"]),
    "byte order mark": (b"\xef\xbb\xbfabc\n\xef\xbb\xbfd\n", ["abc", "\ufeffd"]),
    "nothing but a byte order mark": (b"\xef\xbb\xbf", ["empty"]),
    "not UTF-8": (b"ab\xff\nok\n", [records.NOT_UTF8, "ok"]),
    "overlong UTF-8": (b"\xc0\xaf\n", [records.NOT_UTF8]),
    "surrogate in UTF-8": (b"\xed\xa0\x80\n", [records.NOT_UTF8]),
    "NUL": (b"a\x00b\nok\n", [records.CONTROL_CHARACTER, "ok"]),
    "escape": (b"\x1b[31mred\n", [records.CONTROL_CHARACTER]),
    "mojibake": ("it\u0092s\n".encode(), [records.CONTROL_CHARACTER]),
    "too long": (b"x" * 1001 + b"\nok\n", [records.TOO_LONG, "ok"]),
}


@pytest.mark.parametrize(("data", "expected"), LINES.values(), ids=LINES)
def test_lines_of_txt(tmp_path, data, expected):
    assert [outcome(record) for record in read_all(tmp_path / "en.txt", data)] == expected


OBJECTS = {
    "text": ('{"text": "abc", "id": 1}', "abc"),
    "inner line feeds are space": ('{"text": "a\\n\\nb\\r\\nc"}', "a b c"),
    "twice the same key": ('{"text": "a", "text": "b"}', "b"),
    "no number": ('{"text": "a", "x": NaN}', "a"),
    "broken": ('{"text": "abc"', records.NOT_JSON),
    "no object": ('["abc"]', records.NO_TEXT),
    "other key": ('{"content": "abc"}', records.NO_TEXT),
    "number for a text": ('{"text": 3}', records.NO_TEXT),
    "huge number": ('{"text": "a", "n": ' + "9" * 5000 + "}", records.NOT_JSON),
    "deep": ('{"text": "a", "n": ' + "[" * 100 + "]" * 100 + "}", records.NESTED),
    "very deep": ("[" * 200_000, records.NESTED),
    "many brackets, not deep": ('{"text": "' + "[" * 100 + '"}', "[" * 100),
    "lone surrogate": ('{"text": "a\\ud800"}', records.SURROGATE),
    "pair of surrogates": ('{"text": "\\ud83d\\ude00"}', "\U0001f600"),
    "escaped NUL": ('{"text": "a\\u0000"}', records.CONTROL_CHARACTER),
    "blank": ("   ", records.EMPTY),
}


@pytest.mark.parametrize(("line", "expected"), OBJECTS.values(), ids=OBJECTS)
def test_lines_of_jsonl(tmp_path, line, expected):
    found = read_all(tmp_path / "en.jsonl", f'{line}\n{{"text": "next"}}\n'.encode())
    assert [outcome(record) for record in found] == [expected, "next"]


def test_places_are_lines_and_bytes(tmp_path):
    data = "a\u00e9\n\nb\r\nc".encode()
    places = [(record.line, record.offset, record.end) for record in read_all(tmp_path / "en.txt", data)]
    assert places == [(1, 0, 4), (2, 4, 5), (3, 5, 8), (4, 8, 10)]


@given(st.binary(max_size=400), st.integers(1, 40))
def test_any_bytes_in_any_blocks_give_the_lines_between_line_feeds(tmp_path_factory, data, block):
    path = tmp_path_factory.getbasetemp() / "any.txt"
    source = source_of(path, data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "BLOCK", block)
        found = list(read(source, 0, 0, max_characters=1000))
    naive = data.split(b"\n")[: None if not data.endswith(b"\n") and data else -1]
    assert [(record.offset, record.end - 1 - record.offset) for record in found] == [
        (sum(len(line) + 1 for line in naive[:index]), len(line)) for index, line in enumerate(naive)
    ]
    for record in found:  # what is no document can be told
        assert record.reason or record.data
        json.loads(quarantine_entry(source, record))


@given(st.text(max_size=200))
def test_any_text_in_json_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    line = json.dumps({"text": text}).encode()
    (record,) = read_all(path, line)
    assert record.reason in {"", *BAD, "empty"}


def test_a_long_line_is_skipped_without_holding_it(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "LONGEST_LINE", 100_000)
    source = source_of(tmp_path / "en.txt", b"a\n" + b"x" * 30_000_000 + b"\nb\n")
    tracemalloc.start()
    found = list(read(source, 0, 0, max_characters=1000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [outcome(record) for record in found] == ["a", records.LINE_TOO_LONG, "b"]
    assert peak < 10_000_000


ARCHIVES = {".gz": gzip.compress, ".zst": zstd}


@pytest.mark.parametrize(("suffix", "compress"), ARCHIVES.items(), ids=ARCHIVES)
def test_archives_of_several_members_are_read_whole(tmp_path, suffix, compress):
    data = compress(b"a\nb") + compress(b"c\nd\n") + compress(b"")
    assert [record.text for record in read_all(tmp_path / f"en.txt{suffix}", data)] == ["a", "bc", "d"]


def test_padding_after_gzip_is_ignored(tmp_path):
    found = read_all(tmp_path / "en.txt.gz", gzip.compress(b"a\n") + bytes(5000))
    assert [outcome(record) for record in found] == ["a"]


@pytest.mark.parametrize(("suffix", "compress"), ARCHIVES.items(), ids=ARCHIVES)
@pytest.mark.parametrize("harm", ["cut", "changed"])
def test_damaged_archives_give_what_came_before_and_one_bad_record(tmp_path, suffix, compress, harm):
    lines = [f"line {zlib.crc32(str(number).encode())}" for number in range(60_000)]
    whole = compress("".join(f"{line}\n" for line in lines).encode())
    half = len(whole) // 2
    data = whole[:half] if harm == "cut" else whole[:half] + b"\xff" * 64 + whole[half + 64 :]
    *good, last = read_all(tmp_path / f"en.txt{suffix}", data)
    assert last.reason == records.DAMAGED
    assert len(good) > 1000
    if harm == "cut":  # a checksum notices a change later than it happens
        assert [record.text for record in good] == lines[: len(good)]


def test_a_file_that_is_no_archive_is_refused_at_once(tmp_path):
    path = tmp_path / "en.txt.gz"
    path.write_bytes(b"plain text\n")
    with pytest.raises(UserError, match=r"not a \.gz file"):
        streams.head(path)


@pytest.mark.parametrize(("suffix", "compress"), ARCHIVES.items(), ids=ARCHIVES)
def test_bombs_are_refused_in_bounded_memory(tmp_path, monkeypatch, suffix, compress):
    monkeypatch.setattr(streams, "RATIO_COUNTS_FROM", 2**20)
    bomb = compress(bytes(100_000_000))
    source = source_of(tmp_path / f"en.txt{suffix}", bomb)
    tracemalloc.start()
    with pytest.raises(UserError, match="decompression bomb") as refusal:
        list(read(source, 0, 0, max_characters=1000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(tmp_path) in str(refusal.value)
    assert peak < 90_000_000


@pytest.mark.parametrize("suffix", ["", *ARCHIVES])
def test_reading_can_begin_anywhere(tmp_path, suffix):
    data = b"".join(b"line %d\n" % number for number in range(2000))
    source = source_of(tmp_path / f"en.txt{suffix}", ARCHIVES.get(suffix, bytes)(data))
    whole = list(read(source, 0, 0, max_characters=1000))
    from_there = list(read(source, whole[1234].offset, 1234, max_characters=1000))
    assert from_there == whole[1234:]


def test_excerpts_are_short_and_printable(tmp_path):
    source = source_of(tmp_path / "en.txt", b"\x1b]8;;http://x\x07" + "\u202e".encode() + b"y" * 500)
    (record,) = read(source, 0, 0, max_characters=10)
    entry = json.loads(quarantine_entry(source, record))
    assert entry["file"] == "en.txt"
    assert (entry["line"], entry["byte"], entry["reason"]) == (1, 0, records.CONTROL_CHARACTER)
    assert len(entry["excerpt"]) <= 80
    assert entry["excerpt"].isprintable()


def test_rows_of_parquet(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    texts = ["a", None, "", "b\n\nc", "x" * 2000, "d"]
    table = pyarrow.table({"text": pyarrow.array(texts, pyarrow.string()), "n": list(range(6))})
    parquet.write_table(table, tmp_path / "en.parquet", row_group_size=4)
    source = source_of(tmp_path / "en.parquet", (tmp_path / "en.parquet").read_bytes())
    found = list(read(source, 0, 0, max_characters=1000))
    assert [outcome(record) for record in found] == ["a", records.NO_TEXT, "empty", "b c", "too long", "d"]
    for start in range(1, 7):
        assert list(read(source, start, start, max_characters=1000)) == found[start:]


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(UserError, match=r'pip install "polymod\[data\]"'):
        list(read(source_of(tmp_path / "en.parquet", b"PAR1"), 0, 0, max_characters=1000))


def test_parquet_with_other_columns_names_them(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"content": ["a"]}), tmp_path / "en.parquet")
    with pytest.raises(UserError, match="the columns are 'content'"):
        list(
            read(
                source_of(tmp_path / "en.parquet", (tmp_path / "en.parquet").read_bytes()),
                0,
                0,
                max_characters=9,
            )
        )
