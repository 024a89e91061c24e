"""The examples in docs/worlds.md are what the generator makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from _worlds import glosses
from polymod.worlds import World
from polymod.worlds.meaning import Clause, Mention

PAGE = (Path(__file__).parents[3] / "docs" / "worlds.md").read_text(encoding="utf-8")
NINDI = Mention(name="f1", sex="f")
BAKER = Mention("baker", sex="f", adjective="kind")
APPLES = Mention("apple", adjective="red", quantity="two")
SENTENCES = {
    "In the evening the kind baker sold Nindi two red apples.": (
        Clause("sell", BAKER, APPLES, (("to", NINDI),), time="evening"),
    ),
    "Where did the teacher find the key?": (
        Clause("find", Mention("teacher", sex="m"), Mention("key"), (("in", Mention("bag")),), asked="place"),
    ),
}
SHOWN = ("qaa", "qab", "qba", "qca", "qda")
WORDS = ("two", "sheep", "milk", "key", "apple", "house", "merchant")


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.mark.parametrize("meaning", SENTENCES)
@pytest.mark.parametrize("tag", SHOWN)
def test_sentences(world: World, meaning: str, tag: str) -> None:
    grammar, sentences = world.grammar(tag), [SENTENCES[meaning]]
    assert meaning in PAGE
    assert f"{tag}  {grammar.text(sentences)}\n     {glosses(grammar, sentences)}\n" in PAGE


@pytest.mark.parametrize("word", WORDS)
def test_words(world: World, word: str) -> None:
    row = " | ".join(world.language(tag).written(word) for tag in SHOWN)
    assert f"| {word} | {row} |" in PAGE


def test_relatedness(world: World) -> None:
    rows, places = world.relatedness(), [world.tags.index(tag) for tag in SHOWN]
    for tag, place in zip(SHOWN, places, strict=True):
        assert f"| {tag} | {' | '.join(f'{rows[place, other]:.2f}' for other in places)} |" in PAGE
