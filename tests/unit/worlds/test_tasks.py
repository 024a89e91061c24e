"""Gold task data is right, balanced, parallel where it says so, and cannot be guessed by shortcuts."""

from __future__ import annotations

from collections import Counter

import pytest

from _worlds import anchors, decide, fits, majority, naive_bayes, words_of
from polymod.worlds import TASKS, World, nli, qa
from polymod.worlds.chance import Chance
from polymod.worlds.document import document
from polymod.worlds.meaning import Clause

OPEN = {"ADJ", "ADV", "NOUN", "PROPN", "VERB"}
UPOS = OPEN | {"ADP", "AUX", "CCONJ", "DET", "NUM", "PART", "PRON", "PUNCT", "SCONJ"}


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def texts(record: dict[str, object]) -> str:
    """All words of an example."""
    return " ".join(
        " ".join(value) if isinstance(value, list) and key == "tokens" else str(value)
        for key, value in record.items()
        if key in ("premise", "hypothesis", "tokens", "context", "question", "text")
    )


@pytest.mark.parametrize("name", TASKS)
def test_dev_and_test_mean_the_same_everywhere_and_train_does_not(world: World, name: str) -> None:
    tags, count = ("qba", "qbb", "qda", "qdb"), 30  # written in other letters than what is alike
    international = set.intersection(*(anchors(world, tag) for tag in tags))

    def constant(split: str, tag: str) -> list[list[str]]:
        """What is written alike in every language, whatever the word order."""
        examples = [words_of(texts(record)) for record in world.task(name, tag, split, count)]
        return [
            sorted(word for word in words if word in international or word.isdigit()) for words in examples
        ]

    for split in ("dev", "test"):
        expected = constant(split, "qba")
        assert all(constant(split, tag) == expected for tag in tags)
        assert sum(map(len, expected)) > count / 2
    assert len({str(constant("train", tag)) for tag in tags}) == len(tags)
    assert constant("dev", "qba") != constant("test", "qba")


@pytest.mark.parametrize("name", TASKS)
def test_no_example_comes_twice(world: World, name: str) -> None:
    records = [str(record) for record in world.task(name, "qcb", "train", 300)]
    assert len(set(records)) >= 0.99 * len(records)  # two meanings may be said alike in one language


@pytest.mark.parametrize("tag", ["qaa", "qba", "qdc"])
def test_inference_is_balanced_and_not_told_by_the_hypothesis(world: World, tag: str) -> None:
    train, test = world.task("nli", tag, "train", 1500), world.task("nli", tag, "test", 600)
    assert Counter(record["label"] for record in test) == dict.fromkeys(nli.LABELS, 200)
    assert all(record["premise"] != record["hypothesis"] for record in test)
    by_hypothesis, by_premise = (
        naive_bayes(*([(record[part], record["label"]) for record in split] for split in (train, test)))
        for part in ("hypothesis", "premise")
    )
    assert abs(by_hypothesis - 1 / 3) < 0.06
    assert by_premise < 0.45


def test_labels_of_inferences_follow_from_their_meaning() -> None:
    for number in range(1500):
        inference = nli.draw(Chance("labels", number), number)
        told = [clause for sentence in inference.premise for clause in sentence]
        assert decide(told, inference.hypothesis) == inference.label, inference


def test_most_contradictions_hang_on_a_denial_and_stories_have_next_to_none() -> None:
    """Why ``denials`` is an option: what is said in docs/worlds.md."""
    drawn = [nli.draw(Chance("hang", number), number) for number in range(900)]
    against = [each for each in drawn if each.label == "contradiction"]
    denying = [each for each in against if any(clause.negated for clause in _clauses(each))]
    assert 0.8 < len(denying) / len(against) < 0.95
    told = [document(Chance("hang", number)) for number in range(300)]
    clauses = [clause for sentences in told for sentence in sentences for clause in sentence]
    assert 0.005 < sum(clause.negated for clause in clauses) / len(clauses) < 0.02
    assert {clause.verb for clause in clauses if clause.negated} == {"find", "remember"}


def _clauses(inference: nli.Inference) -> list[Clause]:
    return [inference.hypothesis, *(clause for sentence in inference.premise for clause in sentence)]


def test_a_hypothesis_does_not_depend_on_its_label() -> None:
    for number in range(60):
        drawn = [nli.draw(Chance("same", number), turn) for turn in range(3)]
        assert len({inference.hypothesis for inference in drawn}) == 1
        assert [inference.label for inference in drawn] == list(nli.LABELS)


@pytest.mark.parametrize("tag", ["qaa", "qba", "qda"])
def test_entities_are_valid_and_ambiguous(world: World, tag: str) -> None:
    train, test = world.task("ner", tag, "train", 800), world.task("ner", tag, "test", 400)
    kinds: dict[str, set[str]] = {}
    for record in train + test:
        before = "O"
        for token, label in zip(record["tokens"], record["tags"], strict=True):
            place, _, kind = label.partition("-")
            assert label == "O" or (place in "BI" and kind in ("PER", "LOC", "ORG"))
            assert place != "I" or before[2:] == kind, record
            kinds.setdefault(token, set()).add(kind or "O")
            before = label
    seen = Counter(label for record in test for label in record["tags"])
    assert min(seen["B-PER"], seen["B-LOC"], seen["B-ORG"], seen["I-PER"], seen["I-ORG"]) > 15
    assert sum(len(found) > 1 for found in kinds.values()) > 20
    right = majority(train, test, "O")
    assert 0.5 < sum(right) / len(right) < 0.93


@pytest.mark.parametrize("tag", World().tags)
def test_parts_of_speech(world: World, tag: str) -> None:
    records = world.task("pos", tag, "dev", 60)
    found = Counter(label for record in records for label in record["tags"])
    assert set(found) <= UPOS
    assert OPEN | {"ADP", "PUNCT", "SCONJ"} <= set(found)
    assert all(record["tags"][-1] == "PUNCT" and record["tokens"][-1] in ".?" for record in records)


@pytest.mark.parametrize("tag", World().tags)
def test_answers_stand_in_the_context(world: World, tag: str) -> None:
    for record in world.task("qa", tag, "test", 60):
        (answer,) = record["answers"]
        start, text = answer["answer_start"], answer["text"]
        context = record["context"]
        assert text
        assert context[start : start + len(text)] == text
        assert start == 0 or context[start - 1] == " "
        assert context[start + len(text)] in " .,:?"
        assert record["question"].endswith("?")
        assert 1 <= len(text.split()) <= 8
        assert sum(context.count(mark) for mark in ".?") >= 5


def test_questions_have_one_answer() -> None:
    for number in range(400):
        reading = qa.draw(Chance("answers", number), number)
        question = reading.question
        part, told = question.asked.asked, [clause for sentence in reading.context for clause in sentence]
        answers = {getattr(clause, part) for clause in told if fits(clause, question.asked)}
        assert getattr(reading.context[question.sentence][question.clause], part) in answers
        assert len(answers) == 1, (question.asked, answers)


def test_questions_ask_for_everything(world: World) -> None:
    language = world.language("qba")
    first = Counter(
        gloss
        for record in world.task("qa", "qba", "test", 300)
        for gloss in ("who", "what", "where", "when")
        if language.written(gloss) in words_of(record["question"])
    )
    assert min(first[word] for word in ("who", "what", "where", "when")) > 8


def test_most_contexts_have_other_answers_of_the_same_kind(world: World) -> None:
    names = {form for record in world.task("ner", "qba", "train", 800) for form in _names(record)}
    several = [
        len(names & set(words_of(record["context"]))) > 1 for record in world.task("qa", "qba", "test", 100)
    ]
    assert sum(several) > 80


def _names(record: dict[str, list[str]]) -> list[str]:
    return [token for token, label in zip(record["tokens"], record["tags"], strict=True) if label == "B-PER"]


def test_lines_for_retrieval_differ_in_every_language(world: World) -> None:
    for tag in world.tags[:4]:
        lines = [record["text"] for record in world.task("retrieval", tag, "test", 300)]
        assert len(set(lines)) > 295
        assert not any("\n" in line for line in lines)
