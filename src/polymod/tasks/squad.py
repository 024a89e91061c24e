"""Questions on a text, answered by words of the text, in SQuAD's JSON, version 1.1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polymod.tasks.lines import document, field, refuse


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    Attributes:
        start: where it stands in the context, in characters; None if that cannot be known.
        misplaced: it does not stand where the file says.
    """

    text: str
    start: int | None
    misplaced: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """A question and all answers that count; ``where`` is the file and the question's name in it."""

    where: str
    context: str
    question: str
    answers: tuple[Answer, ...]

    @property
    def span(self) -> tuple[int, int] | None:
        """First character of the first answer that has a place, and the one behind its last."""
        placed = ((each.start, len(each.text)) for each in self.answers if each.start is not None)
        start, length = next(placed, (None, 0))
        return None if start is None else (start, start + length)


def read_questions(path: Path) -> list[Question]:
    """The questions of a file, in order.

    An answer that does not stand at its ``answer_start`` is looked for; if the context has it exactly once,
    that is its place, else it has none.

    Raises:
        UserError: the file is no SQuAD 1.1, or something in it is missing, blank or unanswered.
    """
    found = []
    for article, place in _items(document(path), "data", str(path)):
        for paragraph, where in _items(article, "paragraphs", place):
            context = field(paragraph, "context", where)
            for record, name in _items(paragraph, "qas", where):
                question = field(record, "question", name)
                answers = [_answer(each, context, at) for each, at in _items(record, "answers", name)]
                if not answers:
                    refuse("a question without an answer", name, "SQuAD 1.1 answers all; leave others out")
                label = f"{path}: question {record['id']!r}" if "id" in record else name
                found.append(Question(label, context, question, tuple(answers)))
    return found


def _items(record: Any, name: str, where: str) -> Iterator[tuple[Any, str]]:
    """The items of a list in a JSON object, with their places."""
    items = record.get(name) if isinstance(record, dict) else None
    if not isinstance(items, list):
        refuse(f"no list under {name!r}", where, "the file must be JSON as SQuAD 1.1 has it")
    for number, item in enumerate(items):
        yield item, f"{where}: {name}[{number}]" if name == "data" else f"{where}.{name}[{number}]"


def _answer(record: Any, context: str, where: str) -> Answer:
    text, start = field(record, "text", where), record.get("answer_start")
    if type(start) is not int:
        refuse("no number under 'answer_start'", where)
    if start >= 0 and context.startswith(text, start):
        return Answer(text, start)
    first = context.find(text)
    once = first >= 0 and context.find(text, first + 1) < 0
    return Answer(text, first if once else None, misplaced=True)


def placed(examples: Sequence[Question]) -> list[Question]:
    """Those that can be trained on: an answer has a place."""
    return [example for example in examples if example.span]


def qa_report(examples: Sequence[Question]) -> dict[str, int]:
    """Questions, answers, answers that do not stand where the file says (``mismatched``), those of them whose
    place was found (``repaired``), and questions of which no answer has a place (``left_out`` of training).
    """
    answers = [answer for example in examples for answer in example.answers]
    misplaced = [answer for answer in answers if answer.misplaced]
    return {
        "examples": len(examples),
        "answers": len(answers),
        "mismatched": len(misplaced),
        "repaired": sum(answer.start is not None for answer in misplaced),
        "left_out": len(examples) - len(placed(examples)),
    }
