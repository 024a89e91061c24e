"""Retrieval: which sentence is nearest, in files of pairs and in files aligned line by line."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import zstandard

from _asserts import assert_user_error
from polymod.tasks.parallel import Text, read_parallel
from polymod.tasks.retrieval import Memory, chance, hits, pair_result

GENERATOR = np.random.default_rng(0)


def texts(count: int, name: str = "") -> list[str]:
    return [f"{name}{index}" for index in range(count)]


def vectors(count: int, width: int = 8) -> np.ndarray:
    return GENERATOR.normal(size=(count, width)).astype(np.float32)


def hits_naive(a, b, margin: str, k: int) -> np.ndarray:
    """Every pair of sentences by its definition."""
    cos = np.array([[x @ y / np.linalg.norm(x) / np.linalg.norm(y) for y in b] for x in a])
    near_a = [np.mean(sorted(row)[-k:]) for row in cos]
    near_b = [np.mean(sorted(column)[-k:]) for column in cos.T]

    def score(i: int, j: int) -> float:
        if margin == "ratio":
            return cos[i, j] / ((near_a[i] + near_b[j]) / 2)
        return cos[i, j] if margin == "none" else 2 * cos[i, j] - near_a[i] - near_b[j]

    count = range(len(a))
    forth = [max(count, key=lambda j: score(i, j)) == i for i in count]
    back = [max(count, key=lambda i: score(i, j)) == j for j in count]
    return np.array([forth, back]).T


@pytest.mark.parametrize("margin", ["none", "ratio", "csls"])
@pytest.mark.parametrize("rows", [2048, 7])
def test_hits_are_those_of_the_definition(margin, rows, monkeypatch) -> None:
    monkeypatch.setattr("polymod.tasks.retrieval._ROWS", rows)
    a = vectors(40) + 1.5
    b = a + 0.8 * vectors(40)
    found = hits(a, b, texts(40, "a"), texts(40, "b"), margin=margin, k=3)
    assert found.tolist() == hits_naive(a, b, margin, 3).tolist()
    assert 0.2 < found.mean() < 0.95


def test_a_hub_draws_sentences_to_it_unless_a_margin_is_used() -> None:
    own = np.eye(6, 7, dtype=np.float32)
    common = np.eye(7, dtype=np.float32)[6]
    a, b = own + 1.5 * common, own.copy()
    b[0] = 0.4 * own[0] + common  # near to everything
    right = {each: hits(a, b, texts(6), texts(6, "b"), margin=each, k=2)[:, 0] for each in ("none", "csls")}
    assert right["none"].tolist() == [1, 0, 0, 0, 0, 0]
    assert right["csls"].all()


def test_equal_sentences_are_one() -> None:
    a = vectors(4)
    b = a[[0, 1, 1, 3]]  # the third sentence and the second have one vector
    assert hits(a, b, texts(4), texts(4, "b"))[:, 0].tolist() == [1, 1, 0, 1]
    a[2] = a[1]
    assert hits(a, b, texts(4), texts(4, "b"))[:, 0].tolist() == [1, 1, 0, 1]
    assert hits(a, b, texts(4), ["b", "c", "c", "d"])[:, 0].all()
    assert hits(a, b, texts(4), ["b", "c", "c", "d"])[:, 1].tolist() == [1, 1, 0, 1]


def test_chance_counts_equal_sentences() -> None:
    assert chance(texts(10)) == pytest.approx(0.1)
    assert chance(["a", "a", "b", "c"]) == pytest.approx((4 + 1 + 1) / 16)


def test_vectors_that_are_all_equal_are_no_better_than_chance() -> None:
    same = np.ones((50, 4), np.float32)
    assert hits(same, same, texts(50), texts(50, "b")).mean() == pytest.approx(1 / 50)


def test_a_pair_has_both_directions_with_intervals() -> None:
    found = np.array([[1, 0], [1, 1], [0, 0], [1, 0]] * 25, np.float64)
    a, b = (Text(tag, tuple(texts(100, tag))) for tag in ("de", "en"))
    result = pair_result(found, a, b, resamples=400)
    assert (result["de_to_en"]["score"], result["en_to_de"]["score"], result["score"]) == (0.75, 0.25, 0.5)
    for entry in (result, result["de_to_en"], result["en_to_de"]):
        assert entry["score"] - 0.12 < entry["low"] < entry["score"] < entry["high"] < entry["score"] + 0.12
    assert result["sentences"] == 100
    assert result["chance"] == pytest.approx(0.01)


def test_vectors_are_computed_once_and_kept_as_long_as_needed() -> None:
    computed: list[str] = []

    def compute(key: str) -> np.ndarray:
        computed.append(key)
        return np.zeros((1, 1, 1), np.float32)

    memory = Memory([("a", "en"), ("b", "en"), ("c", "d")], compute)
    for key in ("a", "en", "b", "en", "c", "d"):
        memory.take(key)
    assert computed == ["a", "en", "b", "c", "d"]
    assert memory.held == ()


INSTALLED = ("de", "en", "sr-Latn", "fr")


def write(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        data = text.encode()
        if name.endswith(".gz"):
            data = gzip.compress(data)
        elif name.endswith(".zst"):
            data = zstandard.compress(data)
        (folder / name).write_bytes(data)
    return folder


def test_pair_files(tmp_path) -> None:
    files = {"de-en.tsv.gz": "a\tA\nb\tB\n", "sr-Latn-en.tsv": "c\tC\nd\tD", "sw-en.tsv.zst": "e\tE\nf\tF\n"}
    found = read_parallel(write(tmp_path, {**files, "INDEX.tsv": "x\ty\n"}), INSTALLED)
    tags = [tuple(found.texts[key].tag for key in pair) for pair in found.pairs]
    assert tags == [("de", "en"), ("sr-Latn", "en")]
    assert found.texts[found.pairs[1][1]].sentences == ("C", "D")
    assert found.left_out == {
        "sw": "the model does not have it",
        "INDEX.tsv": "its name is no pair of languages",
    }
    assert [path.name for path in found.files] == ["de-en.tsv.gz", "sr-Latn-en.tsv"]
    some = read_parallel(tmp_path, INSTALLED, languages=["deu"])
    assert [key for pair in some.pairs for key in pair] == ["de-en.tsv.gz:1", "de-en.tsv.gz:2"]


ALIGNED = {"eng_Latn.txt": "A\nB\n", "de.txt.gz": "a\nb\n", "srp_Latn.txt.zst": "c\nd", "sw.txt": "e\n"}


def test_aligned_files(tmp_path) -> None:
    write(tmp_path / "retrieval", {**ALIGNED, "LICENSE.txt": "x"})
    found = read_parallel(tmp_path, INSTALLED)
    assert found.pairs == (("de", "en"), ("sr-Latn", "en"))
    assert found.texts["sr-Latn"].sentences == ("c", "d")
    assert found.left_out == {"sw": "the model does not have it", "LICENSE.txt": "its name is no language"}
    assert read_parallel(tmp_path, INSTALLED, pivot="de").pairs == (("en", "de"), ("sr-Latn", "de"))
    every = read_parallel(tmp_path, INSTALLED, every=True)
    assert every.pairs == (("de", "en"), ("de", "sr-Latn"), ("en", "sr-Latn"))
    two = read_parallel(tmp_path, INSTALLED, every=True, languages=["deu", "sr_Latn"])
    assert two.pairs == (("de", "sr-Latn"),)
    assert read_parallel(tmp_path, ("de", "sr-Latn")).pairs == (("sr-Latn", "de"),)


def test_of_two_files_of_a_language_the_one_with_its_tag_is_read(tmp_path) -> None:
    write(tmp_path, {"en.txt": "A\nB\n", "en-GB.txt": "x\ny\n", "en-US.txt": "x\ny\n", "de.txt": "a\nb\n"})
    found = read_parallel(tmp_path, INSTALLED)
    assert found.texts["en"].sentences == ("A", "B")
    assert found.left_out == dict.fromkeys(("en-GB.txt", "en-US.txt"), "en.txt is the file of en")
    (tmp_path / "en.txt").unlink()
    assert_user_error(lambda: read_parallel(tmp_path, INSTALLED), "'en-GB.txt' and 'en-US.txt'")


WRONG = {
    "no folder": ({}, "no such folder"),
    "nothing": ({"a.json": ""}, "no parallel sentences; the folder holds a.json"),
    "one language": ({"de.txt": "a\nb\n"}, "the model has no two"),
    "other languages": ({"sw-ja.tsv": "a\tb\nc\td\n"}, "the model has no two"),
    "another number of lines": ({"de.txt": "a\nb\n", "en.txt": "A\nB\nC\n"}, "en.txt has 3"),
    "a blank line": ({"de.txt": "a\n\n", "en.txt": "A\nB\n"}, "de.txt:2: a blank line"),
    "one column": ({"de-en.tsv": "a\tA\nb\n"}, "de-en.tsv:2: 1 columns"),
    "a blank column": ({"de-en.tsv": "a\tA\nb\t \n"}, "de-en.tsv:2"),
    "one sentence": ({"de-en.tsv": "a\tA\n"}, "fewer than two"),
    "two files of a pair": ({"de-en.tsv": "a\tA\n", "deu-eng.tsv": "a\tA\n"}, "both the pair de-en"),
}


@pytest.mark.parametrize(("files", "said"), WRONG.values(), ids=WRONG.keys())
def test_wrong_files(tmp_path, files, said) -> None:
    folder = write(tmp_path / "data", files) if files else tmp_path / "none"
    assert_user_error(lambda: read_parallel(folder, INSTALLED), said)


def test_a_language_or_pivot_that_is_not_there(tmp_path) -> None:
    write(tmp_path, {"de.txt": "a\nb\n", "en.txt": "A\nB\n"})
    assert_user_error(lambda: read_parallel(tmp_path, INSTALLED, languages=["fr"]), "'fr'", "not in the data")
    assert_user_error(lambda: read_parallel(tmp_path, INSTALLED, languages=["sw"]), "not installed")
    assert_user_error(lambda: read_parallel(tmp_path, INSTALLED, pivot="fr"), "not in the data")
