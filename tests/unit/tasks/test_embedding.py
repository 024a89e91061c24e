"""Vectors of texts: the mean of a layer over the real tokens, whatever else is in the call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from _asserts import assert_user_error
from _models import tiny_config, tiny_model
from _texts import tiny_tokenizer
from polymod.batch import Batch
from polymod.files import language_name
from polymod.model.install import changed
from polymod.tasks.embedding import embed, encode, inner_rows, layer_index, normalised
from polymod.text.tokenizer import RESERVED
from polymod.text.tokenizers import Tokenizers

TAGS = ["to", "en", "sr-Latn", "en", "to", "en", "en"]
LENGTHS = [7, 3, 9, 9, 24, 3, 12]


def sequences() -> list[list[int]]:
    generator = np.random.default_rng(0)
    return [[0, *generator.integers(4, 59, length - 2).tolist(), 2] for length in LENGTHS]


def embed_naive(model, ids: list[int], tag: str, layer: int) -> np.ndarray:
    """One sequence alone, its tokens added up one by one."""
    with torch.no_grad():
        states_ND = model.encoder.hidden_states(Batch.pack([torch.tensor(ids)], [tag]))[layer].double()
    total = sum(states_ND[row] for row in range(1, len(ids) - 1))
    return (total / (len(ids) - 2)).numpy()


@pytest.mark.parametrize("kind", [{}, {"pre_norm": True, "positions": "rotary", "gated": True}])
@pytest.mark.parametrize("budget", [1, 20, 4096])
def test_vectors_are_those_of_each_text_alone(kind, budget) -> None:
    model = tiny_model(**kind)
    layers = [0, 1, -1]
    vectors = embed(model.encoder, sequences(), TAGS, layers=layers, budget=budget)
    assert vectors.shape == (3, len(TAGS), 32)
    assert vectors.dtype == np.float32
    for place, layer in enumerate(layers):
        for index, (ids, tag) in enumerate(zip(sequences(), TAGS, strict=True)):
            wanted = embed_naive(model, ids, tag, layer)
            np.testing.assert_allclose(vectors[place, index], wanted, atol=1e-5, rtol=0)


def test_order_and_neighbours_change_nothing() -> None:
    model, order = tiny_model(), [4, 0, 6, 2, 5, 1, 3]
    whole = embed(model.encoder, sequences(), TAGS)[0]
    some = embed(model.encoder, [sequences()[i] for i in order], [TAGS[i] for i in order])[0]
    np.testing.assert_allclose(some, whole[order], atol=1e-6)


def test_only_the_rows_that_are_sent_elsewhere_change() -> None:
    model = tiny_model()
    own, other = (embed(model.encoder, sequences(), TAGS, via=via)[0] for via in ({}, {"to": "en"}))
    english = embed(model.encoder, sequences(), ["en" if tag == "to" else tag for tag in TAGS])[0]
    np.testing.assert_allclose(other, english, atol=1e-6)
    moved = np.abs(own - other).max(-1) > 1e-3
    assert moved.tolist() == [tag == "to" for tag in TAGS]


def test_dropout_is_off_and_the_mode_is_put_back() -> None:
    model = tiny_model(dropout=0.5).train()
    first, second = (embed(model.encoder, sequences(), TAGS) for _ in range(2))
    assert np.array_equal(first, second)
    assert model.encoder.training


def test_progress_is_told_up_to_the_end() -> None:
    told: list[int] = []
    embed(tiny_model().encoder, sequences(), TAGS, budget=20, told=told.append)
    assert told == sorted(told)
    assert told[-1] == len(TAGS)
    assert len(told) > 2


def test_no_texts_have_no_vectors() -> None:
    assert embed(tiny_model().encoder, [], [], layers=[0, 1]).shape == (2, 0, 32)


def test_inner_rows_are_all_but_the_ends() -> None:
    batch = Batch.pack([torch.arange(4), torch.arange(3)], ["en", "to"])
    assert inner_rows(batch).tolist() == [1, 2, 5]


def test_layers_count_from_both_ends() -> None:
    assert [layer_index(layer, 4) for layer in (0, 4, -1, -5, 2)] == [0, 4, 4, 0, 2]
    assert_user_error(lambda: layer_index(5, 4), "no layer 5", "4 layers")
    assert_user_error(lambda: layer_index(-6, 4), "no layer -6")


def test_normalised_vectors_have_length_one() -> None:
    vectors = np.array([[3.0, 4.0], [0.0, 0.0], [1e-6, 0.0]], np.float32)
    np.testing.assert_allclose(normalised(vectors), [[0.6, 0.8], [0, 0], [1, 0]], rtol=1e-6)


@pytest.fixture
def tokenizers(tmp_path: Path) -> Tokenizers:
    """One for all languages, and Tongan's own, in which ``the`` is no piece."""
    tiny_tokenizer().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizers").mkdir()
    tiny_tokenizer(["\u2581x"]).save(str(tmp_path / "tokenizers" / f"{language_name('to')}.json"))
    return Tokenizers(tmp_path)


def config():
    size = RESERVED + 98
    own = {"to": {"size": size - 2, "mask_id": size - 3, "bos_id": 0, "eos_id": 2, "pad_id": 1}}
    rest = {"vocab_size": size, "mask_id": size - 1, "own_vocabularies": own}
    return changed(tiny_config(), **rest)


def test_each_language_has_its_tokenizer(tokenizers) -> None:
    texts = ["the cat", "the cat", "the cat"]
    first, own, last = encode(texts, ["en", "to", "sr-Latn"], tokenizers, config(), truncate=False)
    assert first == last
    assert len(first) == 4
    assert len(own) > 4
    assert own == [0, *tokenizers.of("to").encode("the cat", add_special_tokens=False).ids, 2]


def test_what_looks_like_a_special_token_is_text(tokenizers) -> None:
    (ids,) = encode(["the </s> <mask>"], ["en"], tokenizers, config(), truncate=False)
    assert 2 not in ids[1:-1]
    assert config().mask_id not in ids


def test_an_empty_text_is_refused_with_its_place(tokenizers) -> None:
    def call(*texts: str) -> None:
        encode(texts, ["en"] * len(texts), tokenizers, config(), truncate=True)

    assert_user_error(lambda: call("the cat", " \t"), "text 1 is empty")
    assert_user_error(lambda: call("", "the cat", ""), "text 0 is empty", "2 texts")


def test_a_long_text_is_refused_or_cut_where_that_is_asked_for(tokenizers) -> None:
    texts, tags = ["the cat", "the " * 30, "cat " * 40], ["en"] * 3

    def call(truncate: bool) -> list[list[int]]:
        return encode(texts, tags, tokenizers, config(), truncate=truncate)

    error = assert_user_error(lambda: call(False), "text 1 has 32 tokens", "at most 24", "truncate=True")
    assert "2 texts are too long, the longest has 42" in str(error)
    cut = call(True)
    assert [len(ids) for ids in cut] == [4, 24, 24]
    assert cut[1][-1] == 2
