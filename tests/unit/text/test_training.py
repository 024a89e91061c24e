"""Training of the tokenizer: smoothed shares, coverage, exact sizes, the same result every time."""

import random

import pytest

from _texts import CYRILLIC, sentences
from polymod.errors import UserError
from polymod.text.dedup import find_duplicates, ranges
from polymod.text.normalise import digest
from polymod.text.options import Sample
from polymod.text.parts import Summary, part_path, write_part
from polymod.text.split import SplitRule
from polymod.text.training import Text, covered, sampled, settled, shares, train


def text_of(folder, tag: str, lines: list[str], per_part: int = 500) -> Text:
    """A cleaned corpus in parts."""
    parts, found = folder / tag / "parts", folder / tag / "duplicates"
    for number, start in enumerate(range(0, len(lines), per_part)):
        documents = [line.encode() for line in lines[start : start + per_part]]
        summary = Summary()
        summary.counts.documents = len(documents)
        write_part(part_path(parts, 0, number), documents, list(map(digest, documents)), [], summary)
    for task in ranges(tag, parts, found, len(lines)):
        list(find_duplicates(task))
    return Text(tag, parts, found, SplitRule(), sum(map(len, lines)))


def sized(tag: str, characters: int) -> Text:
    return Text(tag, None, None, SplitRule(), characters)


def test_shares_are_sizes_to_the_exponent():
    texts = [sized("en", 16_000), sized("de", 1_000)]
    sample = Sample(characters=5_000, exponent=0.5)
    assert shares(texts, sample) == pytest.approx({"en": 4_000, "de": 1_000})
    assert shares(texts, Sample(characters=10**9, exponent=1)) == pytest.approx({"en": 16_000, "de": 1_000})
    assert shares(texts, Sample(characters=3_400, exponent=0)) == pytest.approx({"en": 1_700, "de": 1_700})


@pytest.mark.parametrize("quota", [2_000, 20_000, 200_000, 600_000])
def test_a_sample_has_the_size_asked_for_and_holds_training_text_only(tmp_path, quota):
    lines = sentences(4_000)
    text = text_of(tmp_path, "en", [*lines, *lines[:500]])
    sample = list(sampled(text, quota))
    assert sum(map(len, sample)) == pytest.approx(quota, rel=0.2)
    assert {SplitRule().of_text(line) for line in sample} == {"train"}
    counts = {line: sample.count(line) for line in random.Random(0).sample(lines[:500], 50)}
    assert max(counts.values()) - min(count for count in counts.values() if count or quota < 100_000) <= 1


def test_a_small_language_is_repeated_at_most_eight_times(tmp_path):
    lines = sentences(30)
    sample = list(sampled(text_of(tmp_path, "en", lines), 10**9))
    assert {sample.count(line) for line in set(sample)} == {8}


def test_a_large_corpus_is_not_read_as_a_whole(tmp_path, monkeypatch):
    text = text_of(tmp_path, "en", sentences(5_000), per_part=50)
    opened = []
    monkeypatch.setattr(
        "polymod.text.training._chosen", lambda part, *rest: opened.append(part) or iter(part.documents())
    )
    list(sampled(text, text.characters / 100))
    assert len(opened) == 4


def test_coverage_leaves_rare_characters_out():
    documents = ["a" * 900 + "b" * 90 + "c" * 9 + "d"]
    assert covered(documents, 0.9) == {"a"}
    assert covered(documents, 0.99) == {"a", "b"}
    assert covered(documents, 0.995) == {"a", "b", "c"}
    assert covered(documents, 1.0) == {"a", "b", "c", "d"}
    assert covered(["", " "], 1.0) == set()


def tiny_samples():
    return [
        (sentences(400), set("aeioukmnprst0123456789")),
        (sentences(400, letters=CYRILLIC), set(CYRILLIC)),
    ]


ALPHABET = set("aeioukmnprst0123456789") | set(CYRILLIC) | set(map(chr, range(0x21, 0x7F)))


@pytest.mark.parametrize("size", [150, 280])
def test_training_gives_the_size_asked_for_and_the_whole_alphabet(size):
    pieces = train(tiny_samples(), ALPHABET, size)
    assert len({piece for piece, _ in pieces}) == size
    assert set(dict(pieces)) >= ALPHABET
    assert [score for _, score in pieces] == sorted((score for _, score in pieces), reverse=True)


def test_training_is_deterministic():
    assert train(tiny_samples(), ALPHABET, 280) == train(tiny_samples(), ALPHABET, 280)


def test_characters_without_a_row_are_in_no_piece():
    samples = [([f"{line} x\u2603y" for line in sentences(300)], ALPHABET)]
    assert not any("\u2603" in piece for piece, _ in train(samples, ALPHABET, 180))


def test_too_small_or_too_large_vocabularies_say_what_would_do():
    with pytest.raises(UserError, match=r"characters, too many for 90 pieces\n.*--vocab-size \d+ or more"):
        train(tiny_samples(), ALPHABET, 90)
    with pytest.raises(UserError, match="too little text for a vocabulary of 50,261 rows") as error:
        train(tiny_samples(), ALPHABET, 50_000)
    largest = int(error.value.fix.split("--vocab-size ")[1].split()[0])
    assert len(train(tiny_samples(), ALPHABET, largest - 261)) == largest - 261


def test_what_differs_from_run_to_run_is_settled():
    first = [
        ("\u2581the", -2.0),
        ("a", -3.1234200001),
        ("ing", -9.0),
        ("x", -9.0001),
        ("y", -9.0002),
        ("z", -9.0),
    ]
    second = [
        ("ing", -9.0),
        ("y", -9.0001),
        ("a", -3.1234199999),
        ("z", -9.0002),
        ("x", -9.0),
        ("\u2581the", -2.0),
    ]
    assert settled(first) == settled(second)
    assert settled(first)[-4:] == [("ing", -9.0), ("x", -9.0), ("y", -9.0), ("z", -9.0)]
