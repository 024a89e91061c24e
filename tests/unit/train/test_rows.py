"""Rows of a new vocabulary: copied, averaged, combined; the static vectors behind them; output biases."""

import numpy as np
import pytest
import torch

from _models import tiny_model
from _texts import sentences
from polymod.model.config import OwnVocabulary
from polymod.model.install import add_language
from polymod.text.encode import Encoder
from polymod.text.enlarge import appended
from polymod.text.tokenizer import RESERVED, build_tokenizer
from polymod.train.rows import begin_bias, begin_rows, combined, pieces_of, same_pieces, sparsemax
from polymod.train.vectors import WINDOW, pairs, static_vectors

EOS = 2
BASE = build_tokenizer([("\u2581", -1.0), ("a", -1.5), ("b", -2.0), ("ab", -2.5), ("\u2581cat", -3.0)])
SIZE = BASE.get_vocab_size()


def model_with(shared_rows: int, size: int):
    """A tiny model with the vocabulary of BASE and a language that has rows of its own."""
    model = tiny_model()
    model.encoder.embeddings.tokens = torch.nn.Embedding(SIZE, 32)
    model.encoder.config = model.config.model_copy(update={"vocab_size": SIZE, "mask_id": SIZE - 1})
    vocabulary = OwnVocabulary(size=size, shared_rows=shared_rows, mask_id=size - 1)
    add_language(model, "ka", seed=0, vocabulary=vocabulary)
    return model, model.encoder.embeddings.tokens.weight, model.encoder.embeddings.own["ka"].tokens_VD


def test_rows_of_pieces_that_both_have_are_copied_and_the_others_stay_as_drawn():
    own = build_tokenizer([("ab", -1.0), ("x", -2.0), ("\u2581cat", -3.0)])
    model, trunk_VD, rows_VD = model_with(0, own.get_vocab_size())
    drawn_VD = rows_VD.detach().clone()
    began = begin_rows(model, "ka", (BASE, own), how="overlap", ids_N=np.zeros(0, dtype=np.int64))
    assert began == {"copied": RESERVED + 2, "random": 1}
    for piece in ("ab", "\u2581cat", "<s>", "<mask>", "<0x41>"):
        assert torch.equal(rows_VD[own.token_to_id(piece)], trunk_VD[BASE.token_to_id(piece)])
    assert torch.equal(rows_VD[own.token_to_id("x")], drawn_VD[own.token_to_id("x")])


def test_a_new_piece_is_the_mean_of_the_old_ones_that_it_is_made_of():
    own = appended(BASE, [("\u2581catab", -1.0), ("\u0436", -2.0)], 2, rows=SIZE)
    model, trunk_VD, rows_VD = model_with(SIZE, SIZE + 2)
    began = begin_rows(model, "ka", (BASE, own), how="overlap", ids_N=np.zeros(0, dtype=np.int64))
    assert began == {"averaged": 2}
    cat, ab = BASE.token_to_id("\u2581cat"), BASE.token_to_id("ab")
    assert torch.allclose(rows_VD[own.token_to_id("\u2581catab") - SIZE], (trunk_VD[cat] + trunk_VD[ab]) / 2)
    two_bytes = [BASE.token_to_id(f"<0x{byte:02X}>") for byte in "\u0436".encode()]
    assert torch.allclose(rows_VD[own.token_to_id("\u0436") - SIZE], trunk_VD[two_bytes].mean(0))


def test_random_leaves_all_rows_as_they_were_drawn():
    own = build_tokenizer([("ab", -1.0)])
    model, _, rows_VD = model_with(0, own.get_vocab_size())
    drawn_VD = rows_VD.detach().clone()
    assert begin_rows(model, "ka", (BASE, own), how="random", ids_N=np.zeros(0, dtype=np.int64)) == {
        "random": RESERVED + 1
    }
    assert torch.equal(rows_VD, drawn_VD)


def test_focus_gives_a_piece_the_row_of_the_one_that_is_used_like_it():
    words = ["\u2581" + word for word in ("eins", "zwei", "drei", "rot", "blau")]
    base = build_tokenizer([("\u2581", -5.0), *((word, -2.0) for word in words)])
    own = build_tokenizer([("\u2581", -5.0), *((word, -2.0) for word in [*words, "\u2581neu"])])
    chance = np.random.default_rng(0)
    lines = []
    for _ in range(300):  # "neu" stands exactly where "rot" does
        pair = [chance.choice(["eins", "zwei", "drei"]), chance.choice(["rot", "neu"])]
        lines.append(" ".join(pair if chance.random() < 0.5 else ["blau", chance.choice(["eins", "zwei"])]))
    ids_N = np.concatenate([[*row, EOS] for row in Encoder(own)(lines)])
    vectors_VK = static_vectors(ids_N, own.get_vocab_size(), boundary=EOS, dimensions=4, seed=0)
    new, like = own.token_to_id("\u2581neu"), own.token_to_id("\u2581rot")
    similar_V = vectors_VK @ vectors_VK[new]
    assert similar_V.argsort(descending=True)[:2].tolist() in ([new, like], [like, new])
    known = {index: ids[0] for index, ids in same_pieces(base, own, base.get_vocab_size()).items()}
    trunk_VD = torch.eye(base.get_vocab_size())
    (found,) = combined(vectors_VK, known, trunk_VD).items()
    assert found[0] == new
    assert found[1].argmax() == base.token_to_id("\u2581rot")
    assert found[1].min() >= 0
    assert found[1].sum() == pytest.approx(1)


def test_focus_fills_rows_and_counts_them():
    lines = ["ab cat xab", "cat ab x", "x ab cat b"] * 20
    own = build_tokenizer([("\u2581", -1.0), ("ab", -1.0), ("b", -4.0), ("x", -2.0), ("\u2581cat", -3.0)])
    ids_N = np.concatenate([[*row, EOS] for row in Encoder(own)(lines)])
    model, trunk_VD, rows_VD = model_with(0, own.get_vocab_size())
    began = begin_rows(model, "ka", (BASE, own), how="focus", ids_N=ids_N)
    assert began == {"combined": 1, "copied": RESERVED + 4}
    row_D = rows_VD[own.token_to_id("x")]
    assert trunk_VD.min(0).values.le(row_D + 1e-6).all()  # inside the hull of the trunk's rows
    assert trunk_VD.max(0).values.ge(row_D - 1e-6).all()


def test_pairs_are_those_within_the_window_of_one_document():
    ids_N = np.random.default_rng(0).integers(2, 9, 200)  # 2 ends a document
    naive = {}
    for i, a in enumerate(ids_N):
        for j in range(max(0, i - WINDOW), min(len(ids_N), i + WINDOW + 1)):
            between = ids_N[min(i, j) : max(i, j) + 1]
            if i != j and EOS not in between:
                naive[int(a), int(ids_N[j])] = naive.get((int(a), int(ids_N[j])), 0) + 1
    rows, columns, counts = pairs(ids_N, EOS)
    assert dict(zip(zip(rows.tolist(), columns.tolist(), strict=True), counts.tolist(), strict=True)) == naive


def test_static_vectors_agree_with_the_dense_definition():
    lines = sentences(200, words=30)
    ids_N = np.concatenate([[*row, EOS] for row in Encoder(BASE)(lines)])
    counts = np.zeros((SIZE, SIZE))
    for row, column, count in zip(*pairs(ids_N, EOS), strict=True):
        counts[row, column] = count
    there = np.flatnonzero(counts.sum(1))
    contexts = counts.sum(0) ** 0.75
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = counts / counts.sum(1, keepdims=True) / (contexts / contexts.sum())
        dense = np.maximum(np.log(np.where(ratio > 0, ratio, 1)), 0)
    left, strength, _ = np.linalg.svd(dense)
    naive = left * np.sqrt(strength)
    naive /= np.maximum(np.linalg.norm(naive, axis=1, keepdims=True), 1e-12)
    vectors = static_vectors(ids_N, SIZE, boundary=EOS, dimensions=64, seed=0).numpy()
    assert set(np.flatnonzero(vectors.any(1))) == set(there)
    assert (
        np.abs((vectors @ vectors.T)[np.ix_(there, there)] - (naive @ naive.T)[np.ix_(there, there)]).max()
        < 1e-3
    )


def test_no_text_gives_no_vectors():
    assert not static_vectors(np.array([EOS, EOS]), 5, boundary=EOS, dimensions=2, seed=0).any()


def test_sparsemax_is_the_nearest_point_of_the_simplex():
    z_QC = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
    p_QC = sparsemax(z_QC)
    assert (p_QC >= 0).all()
    assert torch.allclose(p_QC.sum(1), torch.ones(20))
    assert (p_QC == 0).any()
    for z_C, p_C in zip(z_QC.tolist(), p_QC.tolist(), strict=True):
        low, high = min(z_C) - 1, max(z_C)
        for _ in range(60):  # the threshold, by bisection
            middle = (low + high) / 2
            low, high = (middle, high) if sum(max(z - middle, 0) for z in z_C) > 1 else (low, middle)
        assert p_C == pytest.approx([max(z - low, 0) for z in z_C], abs=1e-5)


def test_biases_are_log_frequencies_of_the_own_rows():
    model, _, _ = model_with(SIZE, SIZE + 2)
    counts_V = np.arange(SIZE + 2)
    begin_bias(model, "ka", counts_V)
    shares_V = (counts_V + 1) / (counts_V + 1).sum()
    assert model.encoder.embeddings.own["ka"].bias_V.tolist() == pytest.approx(
        np.log(shares_V[SIZE:]), abs=1e-5
    )


def test_how_old_pieces_make_a_new_one():
    own = appended(BASE, [("abab", -1.0)], 1, rows=SIZE)
    ab = BASE.token_to_id("ab")
    assert pieces_of(BASE, own, SIZE) == {SIZE: [ab, ab]}
