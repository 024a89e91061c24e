"""A world is a function of its seed, and of nothing else; earlier parts do not change when it grows."""

from __future__ import annotations

import unicodedata
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from _asserts import assert_user_error
from _toys import run
from _worlds import anchors, digest, everything, spearman, words_of
from polymod.languages import canonical
from polymod.worlds import TASKS, World
from polymod.worlds.lineage import Lineage, lineages
from polymod.worlds.phonology import CONSONANTS, VOWELS
from polymod.worlds.relatedness import cosines, ngrams
from polymod.worlds.script import ALPHABETS, spell

# Renew only when the generator is meant to make other worlds, together with ``chance.VERSION`` and the
# examples in docs/worlds.md: run this test, copy the value that it prints.
GOLDEN = "?"


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def test_golden() -> None:
    found = digest(everything(World(seed=7, num_languages=6, num_families=3)))
    assert found == GOLDEN, f"the generator makes other worlds: {found}; see the comment above"


def test_another_process_with_another_hash_seed_makes_the_same_world() -> None:
    script = "from _worlds import *; print(digest(everything(World(7, 6, 3))))"
    done = run("-c", script, env={"PYTHONHASHSEED": "1", "PYTHONPATH": str(Path(__file__).parents[2])})
    assert done.stdout.strip() == digest(everything(World(7, 6, 3))), done.stderr


def test_another_seed_makes_another_world() -> None:
    one, other = World(0, 2, 1), World(1, 2, 1)
    assert next(one.documents("qaa")) != next(other.documents("qaa"))
    assert one.task("nli", "qaa", "test", 3) != other.task("nli", "qaa", "test", 3)


def test_more_languages_and_families_come_behind_the_others(world: World) -> None:
    larger = World(num_languages=40, num_families=4)
    assert larger.tags[:12] == world.tags
    with_more_families = World(num_languages=40, num_families=8)
    for tag in ("qaa", "qdb"):
        texts = [next(each.documents(tag)) for each in (world, larger, with_more_families)]
        assert texts[0] == texts[1] == texts[2]


def test_more_documents_and_examples_come_behind_the_others(world: World) -> None:
    assert list(world.documents("qba", 3)) == list(islice(world.documents("qba"), 5))[:3]
    for name in TASKS:
        assert world.task(name, "qba", "train", 6)[:4] == world.task(name, "qba", "train", 4)


def test_documents_of_languages_and_of_a_language_differ(world: World) -> None:
    texts = list(world.documents("qaa", 300))
    assert len(set(texts)) == len(texts)
    stories = {tuple(word for word in text.split() if word.isdigit()) for text in texts}
    others = [tuple(word for word in text.split() if word.isdigit()) for text in world.documents("qab", 300)]
    assert not any(other in stories for other in others if len(other) > 2)


@pytest.mark.parametrize(("languages", "families"), [(1000, 7), (1000, 60), (30, 30)])
def test_every_tag_is_canonical_and_once(languages: int, families: int) -> None:
    tags = [lineage.tag for lineage in lineages(languages, families)]
    assert len(set(tags)) == languages
    assert [canonical(tag) for tag in tags] == tags


def test_tags_show_family_and_member() -> None:
    assert [Lineage(*place).tag for place in ((0, 0), (3, 1), (19, 25))] == ["qaa", "qdb", "qtz"]
    assert [Lineage(*place).tag for place in ((0, 26), (20, 0), (21, 53))] == [
        "qaa-x-01",
        "qaa-x-00-01",
        "qbb-x-02-01",
    ]
    assert [Lineage(*place).family_name for place in ((3, 30), (21, 0))] == ["d", "b-01"]


def test_a_thousand_languages_are_no_burden() -> None:
    world = World(num_languages=1000, num_families=50)
    assert len(world.tags) == 1000
    assert len(next(world.documents(world.tags[-1]))) > 50


def test_wrong_words_are_told(world: World) -> None:
    assert_user_error(lambda: World(num_languages=3, num_families=4), "3 languages", "4 families")
    assert_user_error(lambda: World(num_languages=3, num_families=0), "families")
    assert_user_error(lambda: world.language("qzz"), "qzz", "qaa")
    assert_user_error(lambda: world.task("ner", "qaa", "valid", 1), "valid", "train, dev, test")
    assert_user_error(lambda: world.task("stance", "qaa", "test", 1), "stance", "nli, ner")
    assert_user_error(lambda: world.relatedness("looks"), "looks", "spelling")


@pytest.mark.parametrize("tag", World().tags)
def test_text_is_nfc_and_in_one_script(world: World, tag: str) -> None:
    script, known = world.language(tag).script, anchors(world, tag)
    syllables = [consonant + vowel + consonant for consonant in CONSONANTS for vowel in VOWELS]
    letters = {letter for syllable in [*VOWELS, *syllables] for letter in spell(syllable, script)}
    for text in world.documents(tag, 40):
        assert unicodedata.is_normalized("NFC", text)
        assert text.endswith((".", "?"))
        assert "  " not in text
        for word in words_of(text):
            assert word.isdigit() or word in known or set(word) <= letters, word


def test_scripts_can_be_read_back() -> None:
    for script, alphabet in ALPHABETS.items():
        assert len(set(alphabet.values())) == len(alphabet), script


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_families_are_real(seed: int) -> None:
    world = World(seed)
    rows, upper = world.relatedness(), np.triu_indices(12, 1)
    assert np.array_equal(rows, rows.T)
    assert np.allclose(np.diag(rows), 1)
    related = np.array(
        [[world.family(one) == world.family(other) for other in world.tags] for one in world.tags]
    )
    within, between = rows[upper][related[upper]], rows[upper][~related[upper]]
    assert within.min() > between.max()
    assert within.mean() > 2.5 * between.mean()


def test_relatedness_can_be_measured_in_the_text() -> None:
    upper, found = np.triu_indices(12, 1), []
    for seed in (0, 1, 2):
        world = World(seed)
        trigrams = [
            ngrams(word for text in world.documents(tag, 50) for word in words_of(text)) for tag in world.tags
        ]
        overlap = cosines(trigrams)[upper]
        found.append(spearman(world.relatedness()[upper], overlap))
        assert spearman(world.relatedness("spelling")[upper], overlap) > 0.7
    assert np.mean(found) > 0.65, found
