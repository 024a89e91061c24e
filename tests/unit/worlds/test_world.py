"""A world is a function of its seed, and of nothing else; earlier parts do not change when it grows."""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from _asserts import assert_user_error
from _toys import run
from _worlds import anchors, digest, everything, spearman, words_of
from polymod.languages import canonical
from polymod.worlds import TASKS, Shares, World, qa
from polymod.worlds.cast import Cast
from polymod.worlds.chance import Chance
from polymod.worlds.concepts import CLASS_OF
from polymod.worlds.denial import with_denials
from polymod.worlds.document import document
from polymod.worlds.grammar import Grammar
from polymod.worlds.lexicon import OPEN_CONCEPTS
from polymod.worlds.lineage import Lineage, lineages
from polymod.worlds.meaning import PLACE_WORDS, Clause, Mention
from polymod.worlds.names import SOUNDS_LIKE
from polymod.worlds.phonology import CONSONANTS, VOWELS
from polymod.worlds.recall import with_recalls
from polymod.worlds.relatedness import cosines, ngrams
from polymod.worlds.schemas import SCHEMAS
from polymod.worlds.script import ALPHABETS, spell

# Renew only when the generator is meant to make other worlds, together with ``chance.VERSION`` and the
# examples in docs/worlds.md: run this test, copy the value that it prints.
GOLDEN = "d4e32af233d9f486"


SCRIPT_NAMES = {  # in Unicode
    "Latn": "LATIN",
    "Cyrl": "CYRILLIC",
    "Grek": "GREEK",
    "Geor": "GEORGIAN",
    "Armn": "ARMENIAN",
    "Arab": "ARABIC",
    "Deva": "DEVANAGARI",
}


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
    stories, others = ({_numbers(text) for text in world.documents(tag, 300)} for tag in ("qaa", "qab"))
    assert not {numbers for numbers in stories & others if len(numbers) > 2}
    assert sum(len(numbers) > 2 for numbers in stories) > 10


def _numbers(text: str) -> tuple[str, ...]:
    """Different numbers in a text, in order: it can be recognised by them in every language."""
    return tuple(dict.fromkeys(word for word in words_of(text) if word.isdigit()))


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


@pytest.mark.parametrize("script", ALPHABETS)
def test_scripts_can_be_read_back(script: str) -> None:
    words = {"".join(word) for size in (1, 2, 3) for word in itertools.product("aeiptnr" + "OY", repeat=size)}
    assert len({spell(word, script) for word in words}) == len(words)
    names = {unicodedata.name(letter).split()[0] for word in words for letter in spell(word, script)}
    assert names == {SCRIPT_NAMES[script]}


def test_the_cast_of_a_story_can_be_told_apart() -> None:
    alike = 0
    for number in range(200):
        cast = Cast(Chance("cast", number), {"P": "school", "D": "doctor"})
        entities = [cast[slot] for slot in "ABCDPQTUXY"]
        words = [SOUNDS_LIKE[name] for entity in entities for name in (entity.name, entity.surname) if name]
        nouns = [entity.noun for entity in entities if entity.noun]
        assert len(set(words)) == len(words)
        alike += len(set(nouns)) < len(nouns)
    assert alike <= 4, "chance may hit upon the same noun again and again, but hardly ever"


def test_stories_ask_for_places() -> None:
    steps = [step for schema in SCHEMAS for step in schema.steps]
    plans = [plan for step in steps for sentence in step.sentences for plan in sentence if plan.asked]
    assert plans
    for plan in plans:
        assert plan.asked in [slot for word, slot in plan.obliques if word in PLACE_WORDS], plan


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_text_says_nothing_twice_in_a_row(seed: int) -> None:
    world = World(seed)
    for tag in world.tags:
        grammar = world.grammar(tag)
        for number in range(25):
            before: list[str] = []
            told = document(Chance("natural", seed, tag, number))
            for sentence in with_denials(told, 0.3, Chance("denying", seed, tag, number)):
                words = [form.surface for form in grammar.forms(sentence)]
                assert all(one != other for one, other in itertools.pairwise(words)), words
                assert words != before
                assert len(words) > 2, "a word and a full stop"
                before = words


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


def test_the_closer_in_the_tree_the_more_related() -> None:
    mean: dict[int, list[float]] = {0: [], 1: [], 2: []}
    for seed in range(4):
        world = World(seed, num_languages=8, num_families=1)
        rows = world.relatedness("words")
        for one, other in itertools.combinations(range(8), 2):
            common = sum(
                here == there for here, there in zip(*(_line(world, n) for n in (one, other)), strict=True)
            )
            mean[common - 1].append(rows[one, other])
    family, branch, twig = (np.mean(mean[depth]) for depth in range(3))
    assert family + 0.03 < branch < twig - 0.03


def _line(world: World, number: int) -> tuple[str, ...]:
    return world.language(world.tags[number]).lineage.nodes


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


def test_families_may_take_turns_with_fewer_grammars_than_there_are_families() -> None:
    """The first and the third family then speak alike, their words are what they were; no language drifts."""
    free, tied = World(0, 9, 3), World(0, 9, 3, grammars=2)
    kinds = [tied.language(tag).typology for tag in tied.tags]
    assert kinds[0::3] == kinds[2::3] == [kinds[0]] * 3
    assert kinds[1::3] == [kinds[1]] * 3
    assert kinds[0] != kinds[1]
    assert len({tuple(free.language(tag).typology.items()) for tag in free.tags}) > 3
    grammar, words = tied.relatedness("grammar"), tied.relatedness("words")
    assert grammar[0, 2] == grammar[0, 3] == 1.0 > grammar[0, 1]
    np.testing.assert_array_equal(words, free.relatedness("words"))
    one, other = (next(tied.documents(tag)) for tag in ("qaa", "qca"))
    assert one != other
    assert_user_error(lambda: World(0, 9, 3, grammars=4), "3 families", "4 grammars", "at most 3")


def test_code_switching_puts_words_of_another_language_into_the_grammar_of_this_one() -> None:
    """Half of the documents; of the open words only; without it, text is what it was."""
    plain, switching = World(0, 6, 3), World(0, 6, 3, Shares(code_switching=0.5))
    pairs = list(zip(plain.documents("qba", 200), switching.documents("qba", 200), strict=True))
    switched = [pair for pair in pairs if pair[0] != pair[1]]
    assert 70 < len(switched) < 130
    own = {word for document in plain.documents("qba", 1000) for word in words_of(document)}
    others = {
        language.spelt(language.words[gloss].stem)
        for language in map(plain.language, plain.tags)
        for gloss in OPEN_CONCEPTS
    }
    new = [word for _, document in switched for word in words_of(document) if word not in own]
    assert len(new) > 500
    assert sum(any(stem in word for stem in others) for word in set(new)) > 0.99 * len(set(new))
    counts = [len(words_of(before)) / len(words_of(after)) for before, after in switched]
    assert np.median(counts) == 1.0, "the grammar is that of the language itself"


def test_a_switched_stem_keeps_its_script_and_takes_own_affixes() -> None:
    world = World(0, 4, 4)
    host, guest = world.language("qda"), world.language("qba")
    language = host.switching(guest, Chance("here"))
    taken = set(language.scripts)
    assert 0.4 < len(taken) / len(OPEN_CONCEPTS) < 0.6
    assert {gloss for gloss in taken if language.words[gloss] != guest.words[gloss]} == set()
    assert {key for key in host.words if key not in taken and language.words[key] != host.words[key]} == set()
    noun = next(
        gloss
        for gloss in OPEN_CONCEPTS
        if gloss in taken and gloss in CLASS_OF and gloss not in language.international
    )
    said = Grammar(language, world.names).forms((Clause("have", Mention(noun), Mention(noun)),))
    forms = [form for form in said if noun in form.gloss.split("-")]
    stem = spell(guest.words[noun].stem, "Cyrl")
    affixes = {form.surface.replace(stem, "") for form in forms}
    assert len(forms) == 2
    assert all(stem in form.surface for form in forms)
    assert any(affixes)
    assert all("DEVANAGARI" in unicodedata.name(letter) for letter in "".join(affixes))


def test_a_parallel_document_says_each_sentence_again_in_the_first_language() -> None:
    """Half of the documents; those of the first language again in any other; the rest is what it was."""
    plain, parallel = World(0, 4, 2), World(0, 4, 2, Shares(parallel=0.5))
    grammars = {tag: plain.grammar(tag) for tag in plain.tags}
    for tag in plain.tags:
        told = list(islice(parallel.counted_documents(tag), 60))
        others: set[str] = set()
        twice = 0
        for number, (text, count) in enumerate(told):
            sentences = document(Chance("document", 0, tag, number))
            spoken = {one: [grammars[one].text([each]) for each in sentences] for one in plain.tags}
            if text == " ".join(spoken[tag]):
                assert count == len(sentences)
                continue
            assert count == 2 * len(sentences)
            also = {one for one in plain.tags if text == _in_turns(spoken[tag], spoken[one])}
            assert len(also) == 1
            others, twice = others | also, twice + 1
        assert 18 < twice < 42
        assert others == (set(plain.tags[1:]) if tag == "qaa" else {"qaa"})


def test_a_denial_stands_in_front_of_what_it_excludes_and_denies_nothing_that_is_told() -> None:
    """Three in ten of the sentences that can have one; what was told stays as it was, in its order."""
    denials = sentences = 0
    for number in range(200):
        told = document(Chance("denied", number))
        text = with_denials(told, 0.3, Chance("denials", number))
        assert [sentence for sentence in text if sentence in told] == told
        affirmed = [clause for sentence in told for clause in sentence if not clause.negated]
        for place, sentence in enumerate(text):
            if sentence in told:
                continue
            (denial,), after = sentence, text[place + 1][0]
            plain = after._replace(manner="", link="")
            changed = [name for name in Clause._fields if getattr(denial, name) != getattr(plain, name)]
            assert "negated" in changed
            assert len(changed) == 2, (denial, after)
            assert denial.negated
            assert denial._replace(negated=False) not in [
                clause._replace(manner="", link="") for clause in affirmed
            ]
            denials += 1
        sentences += len(told)
    assert 0.24 < denials / sentences < 0.33


def test_denials_are_said_in_every_language_and_leave_the_rest_as_it_was() -> None:
    plain, denying = World(0, 4, 4), World(0, 4, 4, Shares(denials=0.3))
    for tag in plain.tags:
        for text, longer in zip(plain.documents(tag, 20), denying.documents(tag, 20), strict=True):
            assert len(longer) >= len(text)
            rest = iter(_sentences(longer))
            assert all(sentence in rest for sentence in _sentences(text))
        word = plain.language(tag).written("not")
        counts = [sum(text.count(word) for text in world.documents(tag, 50)) for world in (plain, denying)]
        assert counts[1] > counts[0] + 60


def test_recalls_say_and_ask_only_what_was_told_and_answer_rightly() -> None:
    """Claims affirm and deny; either kind gets each of the answers *so*, *not* and *but*."""
    answers: Counter[tuple[bool, str]] = Counter()
    recalls = sentences = 0
    for number in range(300):
        told = with_denials(document(Chance("told", number)), 0.3, Chance("denied", number))
        text = with_recalls(told, 0.5, Chance("recalled", number))
        known: list[Clause] = []
        place = 0
        for sentence, after in zip(text, [*text[1:], ()], strict=True):
            if place < len(told) and sentence is told[place]:
                known += [_timeless(clause, part) for clause in told[place - 1] for part in ("place", "time")]
                place += 1
                continue
            (clause,) = sentence
            recalls += not clause.link
            plain = clause._replace(asked="", time="", link="")
            if clause.asked == "truth":
                (answer,) = after
                answers[clause.negated, answer.link] += 1
                truths = {each.negated for each in known if each._replace(negated=clause.negated) == plain}
                right = {truth == clause.negated for truth in truths}
                assert {"so": True, "not": False}.get(answer.link, "but") in (right or {"but"})
            elif clause.verb:
                assert plain in known
        assert place == len(told), "what was told stays, in its order"
        sentences += place
    assert 0.25 < recalls / sentences < 0.6
    assert min(answers[denied, link] for denied in (False, True) for link in ("so", "not", "but")) > 60


def _timeless(clause: Clause, part: str) -> Clause:
    return qa.plain(clause, part)._replace(time="")


def _sentences(text: str) -> list[str]:
    return text.replace("?", ".").split(". ")


def _in_turns(one: list[str], other: list[str]) -> str:
    return " ".join(sentence for pair in zip(one, other, strict=True) for sentence in pair)
