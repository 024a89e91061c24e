"""Tokenizer files from elsewhere: whatever is in them, this process lives and says what is wrong."""

import json
import re

import pytest

from _texts import tiny_tokenizer
from polymod.errors import UserError
from polymod.text import examine
from polymod.text.examine import check_tokenizer


def tree() -> dict:
    return json.loads(tiny_tokenizer().to_str())


def write(folder, document) -> object:
    path = folder / "tokenizer.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def refusal(path, size=None) -> str:
    with pytest.raises(UserError) as error:
        check_tokenizer(path, size)
    assert str(path) in str(error.value)
    return str(error.value)


def test_a_good_file_and_its_folder_are_taken(tmp_path):
    path = write(tmp_path, tree())
    for given in (path, tmp_path):
        tokenizer, vocabulary = check_tokenizer(given, None)
        assert vocabulary.size == tokenizer.get_vocab_size()


def test_ids_must_fit_into_the_rows(tmp_path):
    assert "do not fit into 300 rows" in refusal(write(tmp_path, tree()), 300)


def test_a_file_that_makes_the_library_panic_is_refused(tmp_path):
    added = [
        {"id": n, "content": c, "special": True} for n, c in enumerate(["<s>", "<pad>", "</s>", "<unk>"])
    ]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    model = {"type": "BPE", "vocab": {"a": 5, "b": 6}, "merges": [["a", "b"]]}
    hostile = {"version": "1.0", "added_tokens": [{**token, **flags} for token in added], "model": model}
    assert "cannot be used" in refusal(write(tmp_path, hostile))


def gaps(document):
    ids = {token: number for number, (token, _) in enumerate(document["model"]["vocab"])}
    document["model"] = {"type": "WordLevel", "vocab": {**ids, "far": 5000}, "unk_token": "<unk>"}


def no_mask(document):
    document["added_tokens"] = document["added_tokens"][:-1]
    document["model"]["vocab"][-1][0] = "<musk>"


def huge_id(document):
    document["added_tokens"][0]["id"] = 4_294_967_295


def negative_id(document):
    document["added_tokens"][0]["id"] = -1


def no_model(document):
    del document["model"]


def empty_regex(document):
    document["normalizer"] = {"type": "Replace", "pattern": {"Regex": "("}, "content": ""}


BROKEN = {
    gaps: "gaps",
    no_mask: "no <mask>",
    huge_id: "ids outside",
    negative_id: "ids outside",
    no_model: "not a tokenizer.json",
    empty_regex: "cannot be used",
}


@pytest.mark.parametrize("harm", BROKEN, ids=lambda harm: harm.__name__)
def test_broken_files_are_refused(tmp_path, harm):
    document = tree()
    harm(document)
    assert re.search(BROKEN[harm], refusal(write(tmp_path, document)))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"added_tokens": 3}', "[" * 100_000])
def test_what_is_no_tokenizer_is_refused_without_loading_it(tmp_path, text, monkeypatch):
    monkeypatch.setattr(examine.subprocess, "run", lambda *_, **__: pytest.fail("was loaded"))
    assert "not a tokenizer.json" in refusal(write(tmp_path, text))


def test_files_that_are_too_large_or_absent_are_refused(tmp_path, monkeypatch):
    assert "cannot be read" in refusal(tmp_path / "nothing.json")
    monkeypatch.setattr(examine, "LARGEST_FILE", 100)
    assert "larger than 100 bytes" in refusal(write(tmp_path, tree()))
