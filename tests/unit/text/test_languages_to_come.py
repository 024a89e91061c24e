"""Before a language is added: fertility, relatives, tokenizers with more pieces."""

import json

import numpy as np
import pytest

from _asserts import assert_user_error
from _texts import CYRILLIC, sentences, tiny_tokenizer, write_texts
from polymod.text.enlarge import appended, can_extend, enough, extended_tokenizer, new_tokenizer, own_pieces
from polymod.text.fertility import Fertility, advise, measure
from polymod.text.inventory import take_inventory
from polymod.text.relatives import LEAST, overlap, relatives, with_letters
from polymod.text.sample import first_documents
from polymod.text.split import SplitRule
from polymod.text.tokenizer import MASK, RESERVED, Vocabulary, build_tokenizer


@pytest.fixture(scope="module")
def base():
    """A tokenizer trained on one language in Latin letters."""
    return new_tokenizer(sentences(400), 500)


def test_fertility_counts_tokens_words_characters_and_bytes():
    tokenizer = tiny_tokenizer()
    fertility, counts_V = measure(tokenizer, ["the cat", "the \u0436"])
    # the, cat | the, space mark and the two bytes of the letter
    assert counts_V.sum() == 6
    assert fertility.tokens_per_word == 6 / 4
    assert fertility.characters_per_token == (7 + 5) / 6
    assert fertility.byte_share == 2 / 6
    assert fertility.unknown_share == 0
    assert counts_V[tokenizer.token_to_id("\u2581the")] == 2


def text_with(**changes: float) -> Fertility:
    return Fertility(
        **{
            "tokens_per_word": 1.5,
            "characters_per_token": 4.0,
            "byte_share": 0.0,
            "unknown_share": 0.0,
            **changes,
        }
    )


OTHERS = {"en": text_with(), "de": text_with(characters_per_token=3.6)}


@pytest.mark.parametrize(
    ("changes", "vocab", "said"),
    [
        ({}, "keep", "0.9 times"),
        ({"byte_share": 0.3, "unknown_share": 0.3}, "new", "60% of the tokens"),
        ({"unknown_share": 0.06}, "extend", "lacks characters"),
        ({"characters_per_token": 2.0, "tokens_per_word": 3.0}, "extend", "1.9 times"),
        ({"characters_per_token": 1.5, "tokens_per_word": 60.0}, "keep", "knows the characters"),
    ],
)
def test_advice_follows_what_is_unseen_and_how_short_the_pieces_are(changes, vocab, said):
    advice = advise(text_with(**changes), OTHERS)
    assert advice.vocab == vocab
    assert said in advice.why


def test_advice_is_something_that_is_possible():
    assert advise(text_with(), OTHERS, ("extend", "new")).vocab == "extend"
    assert advise(text_with(unknown_share=0.06), OTHERS, ("keep", "new")).vocab == "new"
    assert advise(text_with(), {}, ("new",)).vocab == "new"


def test_overlap_is_the_common_share_of_tokens_with_letters():
    letters_V = np.array([False, True, True, True])
    a_V, b_V = np.array([4, 4, 2, 0]), np.array([10, 0, 5, 5])
    assert overlap(a_V, b_V, letters_V) == pytest.approx(min(0.2, 0.25))
    assert overlap(a_V, a_V, letters_V) == pytest.approx(0.6)
    assert overlap(a_V, np.zeros(4, dtype=np.int64), letters_V) == 0


def test_which_tokens_have_letters():
    tokenizer = tiny_tokenizer()
    letters_V = with_letters(tokenizer)
    pieces = {tokenizer.id_to_token(index) for index in np.flatnonzero(letters_V)}
    assert {"\u2581the", "ing", "a", "Z"} <= pieces
    assert pieces.isdisjoint({"<s>", "<mask>", "<0x61>", "\u2581", "7", "!"})


def test_the_relative_is_the_language_with_the_same_words(base):
    lines = {tag: sentences(300, seed) for tag, seed in (("en", 0), ("de", 1), ("fr", 2))}
    # Of two languages' words, and of a script that the tokenizer does not know.
    mixed = [f"{a} {b}" for a, b in zip(lines["en"], lines["de"], strict=True)]
    letters_V = with_letters(base)
    counts = {tag: measure(base, text)[1] for tag, text in lines.items()}
    near = relatives(measure(base, sentences(300, 0)[:200])[1], counts, letters_V)
    assert near.chosen == ("en",)
    assert next(iter(near.overlap)) == "en"
    assert "en 0." in near.why
    both = relatives(measure(base, mixed)[1], counts, letters_V)
    assert set(list(both.overlap)[:2]) == {"en", "de"}
    none = relatives(measure(base, sentences(300, 0, CYRILLIC))[1], counts, letters_V)
    assert none.chosen == ()
    assert max(none.overlap.values()) < LEAST
    assert "no language" in none.why


def test_old_pieces_keep_their_ids(base):
    extended = extended_tokenizer(base, sentences(400, 3, CYRILLIC), 100, rows=500)
    old, new = base.get_vocab(), extended.get_vocab()
    assert {piece: new[piece] for piece in old} == old
    assert sorted(set(new.values()) - set(old.values())) == list(range(500, 500 + len(new) - len(old)))
    assert len(new) - len(old) <= 100
    assert Vocabulary.of(extended).mask_id == Vocabulary.of(base).mask_id == 499


def test_an_extended_tokenizer_knows_the_new_language_and_its_text_comes_back(base):
    lines = sentences(400, 3, CYRILLIC)
    extended = extended_tokenizer(base, lines, 100, rows=500)
    before, after = measure(base, lines)[0], measure(extended, lines)[0]
    assert before.byte_share > 0.8
    assert after.byte_share == 0
    assert after.characters_per_token > 2 * before.characters_per_token
    assert [extended.decode(extended.encode(text).ids) for text in lines[:20]] == lines[:20]
    assert extended.token_to_id(MASK) in extended.encode(f"\u0430 {MASK}").ids


def test_characters_come_before_longer_pieces_and_shared_pieces_take_the_new_score():
    base = build_tokenizer([("a", -1.0), ("b", -2.0)])
    own = [("xy", -0.5), ("a", -3.0), ("x", -4.0), ("y", -5.0)]
    tokens = json.loads(appended(base, own, 2, rows=RESERVED + 2).to_str())["model"]["vocab"]
    assert tokens[RESERVED + 2 :] == [["x", -4.0], ["y", -5.0]]
    assert ["a", -3.0] in tokens
    assert ["b", -2.0] in tokens


def test_spare_rows_of_the_run_are_filled_up():
    base = build_tokenizer([("a", -1.0)])
    extended = appended(base, [("b", -1.0)], 5, rows=RESERVED + 4)
    assert extended.token_to_id("b") == RESERVED + 4
    assert Vocabulary.of(extended).size == RESERVED + 5


def test_a_tokenizer_of_another_model_cannot_be_extended():
    from tokenizers import Tokenizer, models

    other = Tokenizer(models.BPE({"a": 0, "b": 1}, []))
    assert not can_extend(other)
    assert_user_error(lambda: extended_tokenizer(other, ["a"], None, rows=2), "Unigram", "--vocab new")


def test_too_little_text_is_an_error_only_where_a_size_was_asked_for():
    lines = sentences(20)
    assert new_tokenizer(lines, None).get_vocab_size() < 1000
    assert_user_error(lambda: new_tokenizer(lines, 5000), "too little text", "--vocab-size")
    scores = [score for _, score in own_pieces(lines, 4000, exact=False)]
    assert scores == sorted(scores, reverse=True)


def test_first_documents_are_of_the_training_split(tmp_path):
    lines = sentences(3000)
    folder = write_texts(tmp_path, {"en": ["", *lines]})
    corpora = take_inventory(folder)
    some = first_documents(corpora[0], 20_000)
    rule = SplitRule(small=True)
    assert some == [line for line in lines if rule.of_text(line) == "train"][: len(some)]
    assert 20_000 <= sum(map(len, some)) < 20_200
    assert take_inventory(folder / "en.txt", ("eng",)) == corpora


def test_no_text_is_an_error(tmp_path):
    folder = write_texts(tmp_path, {"en": ["", " "]})
    assert_user_error(lambda: first_documents(take_inventory(folder)[0], 100), "no text", "'en'")


def test_training_reads_as_many_documents_as_their_distinct_words_allow() -> None:
    """Text without spaces is cut early; words that come again cost nothing."""
    spaced = ["the same words"] * 1000
    assert len(enough(spaced, 100)) == 1000
    unspaced = [f"{number:020}" for number in range(1000)]
    assert enough(unspaced, 100) == unspaced[:5]
