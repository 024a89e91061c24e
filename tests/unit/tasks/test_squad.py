"""Reading of SQuAD 1.1: answers that stand elsewhere, and what is wrong with a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from _asserts import assert_user_error
from polymod.tasks.lines import lines
from polymod.tasks.squad import Answer, placed, qa_report, read_questions

CONTEXT = "Oslo is north of Rome, and Rome is south of Oslo and of Bern."


def squad(*answers: Any, context: Any = CONTEXT, **more: Any) -> dict[str, Any]:
    qas = [{"id": "q", "question": "Where?", "answers": list(answers), **more}]
    return {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": context, "qas": qas}]}]}


def answer(text: str, start: Any) -> dict[str, Any]:
    return {"text": text, "answer_start": start}


def write(folder: Path, document: Any) -> Path:
    path = folder / "dev.en.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def test_answers_keep_their_place_or_get_the_only_one_there_is(tmp_path: Path) -> None:
    path = write(
        tmp_path, squad(answer("Rome", 27), answer("Bern", 3), answer("Rome", 1), answer("Paris", 0))
    )
    (question,) = read_questions(path)
    assert question.answers == (
        Answer("Rome", 27),
        Answer("Bern", CONTEXT.index("Bern"), misplaced=True),
        Answer("Rome", None, misplaced=True),
        Answer("Paris", None, misplaced=True),
    )
    assert question.span == (27, 31)
    assert question.where == f"{path}: question 'q'"
    counts = {"examples": 1, "answers": 4, "mismatched": 3, "repaired": 1, "left_out": 0}
    assert qa_report([question]) == counts


def test_questions_without_a_place_are_scored_but_not_trained_on(tmp_path: Path) -> None:
    there, elsewhere = squad(answer("Paris", 0), answer("Bern", 56)), squad(answer("Oslo", 7))
    there["data"] += elsewhere["data"]
    examples = read_questions(write(tmp_path, there))
    assert [example.span for example in examples] == [(56, 60), None]
    assert placed(examples) == examples[:1]
    assert qa_report(examples)["left_out"] == 1


def test_negative_places_are_no_places(tmp_path: Path) -> None:
    (question,) = read_questions(write(tmp_path, squad(answer("Bern", -5))))
    assert question.answers[0].misplaced
    assert question.span == (56, 60)


def test_characters_are_counted_as_the_file_has_them(tmp_path: Path) -> None:
    context = "cafe\u0301 \U0001f600 ที่นี่ 北京"
    (question,) = read_questions(write(tmp_path, squad(answer("北京", 15), context=context)))
    assert question.span == (15, 17)
    assert not question.answers[0].misplaced


def test_compressed_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "test.en.json.zst"
    path.write_bytes(zstandard.compress(json.dumps(squad(answer("Rome", 27))).encode()))
    assert len(read_questions(path)) == 1
    path.write_bytes(path.read_bytes()[:-20])
    assert_user_error(lambda: read_questions(path), str(path), "truncated")


WRONG = {
    "no data": ({"dta": []}, ["no list under 'data'", "SQuAD 1.1"]),
    "a list": ([], ["no list under 'data'"]),
    "no paragraphs": ({"data": [{"title": "t"}]}, ["data[0]: no list under 'paragraphs'"]),
    "no context": (squad(answer("Rome", 27), context=7), ["data[0].paragraphs[0]: no text under 'context'"]),
    "blank question": (squad(answer("Rome", 27), question=" "), ["data[0].paragraphs[0].qas[0]", "blank"]),
    "no answer": (squad(is_impossible=True), ["a question without an answer"]),
    "no place": (squad({"text": "Rome"}), [".answers[0]", "no number under 'answer_start'"]),
    "a place that is no number": (squad(answer("Rome", True)), ["no number under 'answer_start'"]),
    "blank answer": (squad(answer("", 0)), ["'text' is blank"]),
    "text": ("{\n\n?", [":3", "not JSON"]),
    "surrogate": (squad(answer("\udc80", 0)), ["half a surrogate pair"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, name: str) -> None:
    document, parts = WRONG[name]
    path = write(tmp_path, document)
    assert_user_error(lambda: read_questions(path), str(path), *parts)


def test_lines_and_documents_have_a_bound(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("polymod.tasks.lines.LARGEST_DOCUMENT", 100)
    assert_user_error(lambda: read_questions(write(tmp_path, squad(answer("Rome", 27)))), "larger than")
    monkeypatch.setattr("polymod.tasks.lines.LONGEST_LINE", 100)
    path = tmp_path / "lines"
    path.write_text("a\n" + "b" * 101, encoding="utf-8")
    assert_user_error(lambda: list(lines(path)), f"{path}:2", "longer than")
    path.write_bytes(b"a\n\xff\n")
    assert_user_error(lambda: list(lines(path)), f"{path}:2", "not UTF-8")
    assert_user_error(lambda: list(lines(tmp_path / "not")), "cannot be read")


def test_lines_across_blocks_are_whole(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "lines"
    path.write_text("\ufeffone\r\n\ntwo\u2028three\n" + "\n".join(map(str, range(500))), encoding="utf-8")
    monkeypatch.setattr("polymod.text.streams.BLOCK", 7)
    found = list(lines(path))
    assert [text for _, text in found] == ["one", "", "two\u2028three", *map(str, range(500))]
    assert [where for where, _ in found] == [f"{path}:{number}" for number in range(1, 504)]
