"""Shards: what was written is what is read, wherever a stretch begins, and nothing damaged is used."""

import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from _shards import RULE, TAGS, write_data, write_language
from _texts import tiny_tokenizer
from polymod import files
from polymod.errors import UserError
from polymod.text import shards as shards_module
from polymod.text.encode import SPECIAL_IN_TEXT, read_counts, storage_type
from polymod.text.finish import entropy
from polymod.text.shards import DATA, SCHEMA, Shards
from polymod.text.split import SPLITS


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A folder whose ids take four bytes."""
    out = tmp_path_factory.mktemp("wide") / "data"
    write_data(out, per_part=60, size=70_000)
    return out


@pytest.fixture(params=["uint16", "uint32"])
def any_size(request, written, wide):
    return Shards.open(written[0] if request.param == "uint16" else wide)


def naive_stream(texts: list[str], split: str) -> list[int]:
    tokenizer = tiny_tokenizer()
    tokenizer.encode_special_tokens = True
    stream = []
    for text in texts:
        if RULE.of_text(text) == split:
            stream += [*tokenizer.encode(text, add_special_tokens=False).ids, 2]
    return stream


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("tag", TAGS)
def test_a_stream_is_the_documents_of_its_split_each_ended(written, tag, split):
    out, texts = written
    shards = Shards.open(out)
    expected = naive_stream(texts[tag], split)
    assert shards.num_tokens(tag, split) == len(expected) == shards.info(tag)["tokens"][split]
    assert shards.take(tag, split, np.array([0]), len(expected))[0].tolist() == expected


def test_stretches_are_those_of_the_stream_across_files(any_size):
    total = any_size.num_tokens("en", "train")
    stream = any_size.take("en", "train", np.array([0]), total)[0]
    chance = np.random.default_rng(0)
    for length in (1, 7, 300, total // 2, total):
        starts_B = chance.integers(0, total - length + 1, 200)
        ids_BT = any_size.take("en", "train", starts_B, length)
        assert ids_BT.dtype == storage_type(any_size.vocabulary.size)
        assert all(
            (row == stream[start : start + length]).all() for row, start in zip(ids_BT, starts_B, strict=True)
        )
    assert any_size.take("en", "train", np.zeros(0, dtype=np.int64), 5).shape == (0, 5)


@pytest.mark.parametrize("start", [-1, 10**9])
def test_stretches_outside_the_stream_are_refused(written, start):
    with pytest.raises(IndexError, match="en train has"):
        Shards.open(written[0]).take("en", "train", np.array([start]), 5)


def test_unigram_counts_are_those_of_the_train_split_without_separators(any_size):
    counts_V = any_size.unigram_counts("con")
    total = any_size.num_tokens("con", "train")
    stream = any_size.take("con", "train", np.array([0]), total)[0]
    expected_V = np.bincount(stream, minlength=any_size.vocabulary.size)
    expected_V[2] = 0
    assert (counts_V == expected_V).all()
    shares = expected_V[expected_V > 0] / expected_V.sum()
    assert any_size.info("con")["unigram_entropy"] == pytest.approx(-(shares * np.log(shares)).sum())


def test_entries_count_what_is_there(written):
    out, texts = written
    info = Shards.open(out).info("en")
    assert sum(info["documents"].values()) == len(texts["en"])
    assert info["dropped"] == {"duplicate": 10}
    assert info["characters"] == sum(map(len, texts["en"]))
    assert info["words"] == sum(len(text.split()) for text in texts["en"])
    pieces = sum(info["tokens"].values()) - len(texts["en"])
    assert info["tokens_per_word"] == pytest.approx(pieces / info["words"], abs=1e-6)
    assert info["byte_fallback_rate"] == info["unknown_rate"] == 0


def test_entropy_of_a_uniform_distribution_is_its_logarithm():
    assert entropy(np.array([3, 0, 3, 3])) == pytest.approx(np.log(3))
    assert entropy(np.zeros(4, dtype=np.int64)) == 0


def test_languages_are_taken_by_any_code_in_the_order_asked_for(written):
    shards = Shards.open(written[0], ["sr_Latn", "eng"])
    assert shards.tags == ("sr-Latn", "en")
    with pytest.raises(UserError, match="not in the data"):
        Shards.open(written[0], ["de"])
    assert Shards.open(written[0]).fingerprint == shards.fingerprint


def damage(path, kind: str) -> None:
    if kind == "missing":
        path.unlink()
        return
    data = bytearray(path.read_bytes())
    if kind == "flipped bit":
        data[len(data) // 2] ^= 4
    path.write_bytes(data if kind == "flipped bit" else data[:-2])


@pytest.mark.parametrize("kind", ["flipped bit", "truncated", "missing"])
@pytest.mark.parametrize(
    "name", ["shards/lang-en/train-00002.bin", "counts/lang-en.safetensors", "tokenizer.json", DATA]
)
def test_damage_is_found_and_named(data, name, kind):
    damage(data / name, kind)
    with pytest.raises(UserError) as error:
        Shards.open(data, ["en"])
    assert (
        name in str(error.value) or "no finished data folder" in str(error.value) or DATA in str(error.value)
    )
    if "lang-en" in name:
        assert Shards.open(data, ["con"]).tags == ("con",)


def test_a_shard_that_nobody_listed_is_refused(data):
    (data / "shards/lang-en/train-00099.bin").write_bytes(b"\1\0")
    with pytest.raises(UserError, match="not in the manifest"):
        Shards.open(data)


def test_unfinished_folders_are_refused(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        Shards.open(tmp_path / "nothing")
    (tmp_path / "data").mkdir()
    with pytest.raises(UserError, match="an interrupted one goes on with the same command"):
        Shards.open(tmp_path / "data")


def test_other_schemas_are_refused(data):
    files.write_json(data / DATA, {"schema": SCHEMA + 1, "languages": {}})
    with pytest.raises(UserError, match="not of schema"):
        Shards.open(data)


def test_few_files_are_open_at_once(written, monkeypatch):
    monkeypatch.setattr(shards_module, "MOST_MAPS", 2)
    shards = Shards.open(written[0])
    streams = [(tag, split) for tag in TAGS for split in SPLITS]
    expected = [shards.take(*stream, np.array([0]), shards.num_tokens(*stream)) for stream in streams]
    assert len(list(written[0].glob("shards/*/*.bin"))) > 40
    shards = Shards.open(written[0])
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_now = len(list(Path("/proc/self/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + 12, before[1]))
    try:
        with ThreadPoolExecutor(3) as threads:
            whole = [(*stream, np.array([0]), shards.num_tokens(*stream)) for stream in streams * 3]
            taken = list(threads.map(lambda each: shards.take(*each), whole))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert all((a == b).all() for a, b in zip(taken, expected * 3, strict=True))


def test_text_that_a_foreign_tokenizer_takes_for_special_tokens_is_dropped(tmp_path):
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

    words = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "the": 4, "<mask>": 5}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in words if token != "the"])
    out = tmp_path / "data"
    out.mkdir()
    tokenizer.save(str(out / "tokenizer.json"))
    lines = [*("the " * n + "end" for n in range(1, 60)), "the <mask> here", "</s>"]
    entry = write_language(out, "en", lines, 100, 6)
    assert entry["dropped"] == {SPECIAL_IN_TEXT: 2}
    assert sum(entry["documents"].values()) == 59
    assert entry["unknown_rate"] > 0
    counts_V, _ = read_counts(out / "counts" / "lang-en.safetensors", 6)
    assert counts_V[[0, 1, 2, 5]].sum() == 0
