"""The tokenizer: XLM-R's layout, exact size, invertible on any text, specials only where they are meant."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, pre_tokenizers

from _texts import CYRILLIC, sentences, tiny_tokenizer
from polymod.errors import UserError
from polymod.text.encode import Encoder
from polymod.text.normalise import normalise
from polymod.text.tokenizer import Vocabulary, build_tokenizer, encodes_words_alone, load_tokenizer
from polymod.text.training import train

SIZE = 500


@pytest.fixture(scope="module")
def tokenizer():
    samples = [(sentences(300), set("aeioukmnprst")), (sentences(300, letters=CYRILLIC), set(CYRILLIC))]
    alphabet = {char for documents, _ in samples for line in documents for char in line if char != " "}
    return build_tokenizer(train(samples, alphabet | set(map(chr, range(0x21, 0x7F))), SIZE - 261))


def tiny_foreign_tokenizer():
    other = tiny_tokenizer()
    other.pre_tokenizer = pre_tokenizers.Whitespace()
    assert not encodes_words_alone(other)
    return other


def round_trip(tokenizer, text: str) -> str:
    tokenizer.encode_special_tokens = True
    return tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids)


def test_layout(tokenizer):
    ids = tokenizer.get_vocab()
    assert tokenizer.get_vocab_size() == SIZE
    assert sorted(ids.values()) == list(range(SIZE))
    assert [ids[token] for token in ("<s>", "<pad>", "</s>", "<unk>", "<0x00>", "<0xFF>")] == [
        0,
        1,
        2,
        3,
        4,
        259,
    ]
    assert ids["<mask>"] == SIZE - 1
    vocabulary = Vocabulary.of(tokenizer)
    assert vocabulary.special == (0, 1, 2, 3, SIZE - 1)
    assert vocabulary.bytes == tuple(range(4, 260))


def test_sequences_are_framed_as_in_xlm_r(tokenizer):
    tokenizer.encode_special_tokens = False
    a, b = (tokenizer.encode(text, add_special_tokens=False).tokens for text in "ab")
    assert tokenizer.encode("a", "b").tokens == ["<s>", *a, "</s>", "</s>", *b, "</s>"]
    masked = tokenizer.encode("the <mask> of").ids
    assert masked[0] == 0
    assert masked[-1] == 2
    assert masked.count(SIZE - 1) == 1


@given(text=st.text())
def test_decoding_gives_the_normalised_text_back(tokenizer, text):
    assert round_trip(tokenizer, normalise(text)) == normalise(text)


AWKWARD = [
    "<s> <pad> </s> <unk> <mask>",
    "<0x41><0x0A>",
    "a\u2581b \u2581",
    "\U0001f600\u200d\U0001f525 \u6f22\u5b57 \u0f40\u0f0b",
    "\u0301a",
    "\x00\x01",
    "x" * 3000,
    "",
]


@pytest.mark.parametrize("text", AWKWARD, ids=range(len(AWKWARD)))
def test_awkward_texts_come_back(tokenizer, text):
    assert round_trip(tokenizer, text) == normalise(text)
    special = set(Vocabulary.of(tokenizer).special)
    assert special.isdisjoint(tokenizer.encode(text, add_special_tokens=False).ids)


@given(text=st.text())
def test_words_are_encoded_alone(tokenizer, text):
    """The fast way to encode many documents gives what the library gives."""
    assert encodes_words_alone(tokenizer)
    document = normalise(text)
    if document:
        (ids,) = Encoder(tokenizer)([document])
        assert ids == tokenizer.encode(document, add_special_tokens=False).ids


@pytest.mark.parametrize("make", [tiny_tokenizer, tiny_foreign_tokenizer], ids=["ours", "foreign"])
def test_special_tokens_in_a_document_are_text(make):
    (ids,) = Encoder(make())(["the <mask> of <s>"])
    assert set(ids).isdisjoint(Vocabulary.of(make()).special)


def test_the_memory_for_words_is_bounded(tokenizer, monkeypatch):
    monkeypatch.setattr("polymod.text.encode.WORDS_KEPT", 10)
    encoder = Encoder(tokenizer)
    documents = sentences(100)
    assert encoder(documents) == [tokenizer.encode(line, add_special_tokens=False).ids for line in documents]
    assert len(encoder._words) <= 10


def test_other_tokenizers_are_not_taken_apart(tokenizer):
    other = tiny_foreign_tokenizer()
    documents = sentences(20)
    assert Encoder(other)(documents) == [
        other.encode(line, add_special_tokens=False).ids for line in documents
    ]


def test_a_loaded_tokenizer_never_truncates_or_pads(tmp_path):
    tokenizer = tiny_tokenizer()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    loaded = load_tokenizer(tmp_path)
    assert len(loaded.encode("a b c d e f").ids) == 2 + 2 * 6
    assert len(loaded.encode("a").ids) == 2 + 2


def test_what_is_no_tokenizer_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such tokenizer file"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="not a tokenizer"):
        load_tokenizer(tmp_path)


def test_vocabularies_that_do_not_fit_are_refused(tokenizer):
    assert Vocabulary.of(tokenizer, SIZE + 60).size == SIZE + 60
    with pytest.raises(UserError, match=r"ids up to 499, which do not fit into 400 rows\n.*--vocab-size 500"):
        Vocabulary.of(tokenizer, 400)
    without = json.loads(tokenizer.to_str())
    without["model"]["vocab"][-1][0] = "<musk>"
    without["added_tokens"] = without["added_tokens"][:-1]
    with pytest.raises(UserError, match="has no <mask>"):
        Vocabulary.of(Tokenizer.from_str(json.dumps(without)))
