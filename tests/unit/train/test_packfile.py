"""A language as a file: what comes out is what went in, and what does not fit or is damaged is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from _asserts import assert_user_error
from _models import tiny_model
from _texts import tiny_tokenizer
from polymod.files import sha256
from polymod.model.config import OwnVocabulary
from polymod.model.install import add_language, drop_language
from polymod.train.packfile import opened_pack, owned, trunk_fingerprint, write_pack

TOKENIZER = tiny_tokenizer()
TEXT = TOKENIZER.to_str().encode()
SIZE = TOKENIZER.get_vocab_size()


def model_with_own_rows():
    model = tiny_model(language_embedding=True)
    add_language(model, "ka", seed=0, vocabulary=OwnVocabulary(size=SIZE, mask_id=SIZE - 1))
    return model


def written(folder: Path, tag: str = "ka", model=None) -> Path:
    path = folder / f"{tag}.safetensors"
    write_pack(path, model or model_with_own_rows(), tag, tokenizer=TEXT, origin={"tokens": 5})
    return path


def install(path: Path, model, tag: str = "ka", sha: str = "") -> None:
    with opened_pack(path) as pack:
        pack.install(model, tag=tag, tokenizer_sha256=sha)


def rewritten(path: Path, *, tensors=None, **changes: object) -> None:
    """The file with other tensors, or with other values in its header."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    header = {**json.loads(metadata["polymod"]), **changes}
    there = load_file(path)
    save_file({**there, **(tensors or {})}, path, {**metadata, "polymod": json.dumps(header)})


def test_a_language_comes_out_as_it_went_in_and_under_another_tag(tmp_path):
    model = model_with_own_rows()
    path = written(tmp_path, model=model)
    other = tiny_model(language_embedding=True)
    install(path, other, "xmf")
    assert other.config.own_vocabularies["xmf"] == model.config.own_vocabularies["ka"]
    before, after = owned(model, "ka"), owned(other, "xmf")
    assert set(before) == set(after)
    assert len(before) == 7  # pack of four, a vector, rows, biases
    assert all(torch.equal(before[name], after[name]) for name in before)
    with opened_pack(path) as pack:
        assert pack.header.origin == {"tokens": 5}
        assert pack.tokenizer == TEXT


def test_the_fingerprint_is_of_the_trunk_only():
    model = tiny_model()
    mark = trunk_fingerprint(model)
    add_language(model, "ka", seed=0)
    drop_language(model, "to")
    assert trunk_fingerprint(model) == mark
    with torch.no_grad():
        model.head.bias[3] += 1e-6
    assert trunk_fingerprint(model) != mark
    assert trunk_fingerprint(tiny_model("shared")) != trunk_fingerprint(tiny_model("dense"))


def test_a_language_with_the_run_s_tokenizer_needs_the_same(tmp_path):
    path = written(tmp_path, "to")
    other = tiny_model(language_embedding=True)
    drop_language(other, "to")
    assert_user_error(lambda: install(path, other, "to", "0" * 64), "another tokenizer")
    assert other.config.languages == ("en", "sr-Latn")
    (tmp_path / "tokenizer.json").write_bytes(TEXT)
    install(path, other, "to", sha256(tmp_path / "tokenizer.json"))
    assert "to" in other.config.languages


def test_another_trunk_and_nothing_of_its_own_are_refused(tmp_path):
    path = written(tmp_path)
    assert_user_error(lambda: install(path, tiny_model(seed=1, language_embedding=True)), "another trunk")
    assert_user_error(lambda: written(tmp_path, "en", tiny_model("shared")), "nothing belongs to 'en'")


def test_what_does_not_fit_or_is_no_number_is_refused(tmp_path):
    name = "encoder.packs.by_key.up_bias_LD"
    for wrong, said in (
        (torch.zeros(2, 31), "has shape (2, 31)"),
        (torch.full((2, 32), float("nan")), "no numbers"),
    ):
        path = written(tmp_path)
        rewritten(path, tensors={name: wrong})
        assert_user_error(lambda path=path: install(path, tiny_model(language_embedding=True)), name, said)
    path = written(tmp_path)
    rewritten(path, tensors={"head.bias": torch.zeros(3)})
    assert_user_error(lambda: install(path, tiny_model(language_embedding=True)), "head.bias")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": 9}, "schema 9"),
        ({"tag": "../../x"}, "unknown language"),
        ({"tag": 5}, "not a language file"),
        ({"tokenizer_sha256": "0" * 64}, "not the one that it was written with"),
        ({"vocabulary": {"size": SIZE, "mask_id": 7}}, "other ids"),
        ({"vocabulary": {"size": SIZE - 1, "mask_id": 7}}, "do not fit"),
        ({"more": 1}, "not a language file"),
    ],
)
def test_a_header_that_says_something_else_is_refused(tmp_path, changes, said):
    path = written(tmp_path)
    rewritten(path, **changes)
    assert_user_error(lambda: install(path, tiny_model(language_embedding=True)), said)


def test_files_of_any_other_kind_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    assert_user_error(lambda: install(path, tiny_model()), "no such file")
    for data in (
        b"",
        b"abc",
        b"\xff" * 64,
        (5000).to_bytes(8, "little") + b"{}",
        b"\x08" + b"\0" * 7 + b"notjson!",
    ):
        path.write_bytes(data)
        assert_user_error(lambda: install(path, tiny_model()), "not a safetensors file")
    save_file({"a": torch.zeros(1)}, path)
    assert_user_error(lambda: install(path, tiny_model()), "not a language file")
    for metadata in ({"polymod": "["}, {"polymod": "[]"}, {"polymod": "[" * 100_000}):
        save_file({"a": torch.zeros(1)}, path, metadata)
        assert_user_error(lambda: install(path, tiny_model()), "not a language file")
