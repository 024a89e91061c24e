"""A world as files: text and tasks of one language in the standard formats, language by language."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import IO, Any, NamedTuple

from polymod.worlds.world import SPLITS, Shares, World

Record = dict[str, Any]


class Job(NamedTuple):
    """One language of a world, to be written below a folder.

    Attributes:
        sentences: of text, at least; the last document is written to its end.
        train, test: examples of each task in the train split, and in dev and test each.
    """

    folder: Path
    seed: int
    languages: int
    families: int
    shares: Shares
    grammars: int | None
    tag: str
    sentences: int
    train: int
    test: int

    @property
    def amount(self) -> int:
        """What there is to do: sentences and examples."""
        return self.sentences + len(FORMATS) * (self.train + 2 * self.test) + self.test


def write_language(job: Job) -> Generator[int, None, dict[str, int]]:
    """Write text and tasks; yields sentences and examples done, returns the counts of the text."""
    world = World(job.seed, job.languages, job.families, job.shares, job.grammars)
    counts = yield from _write_text(world, job)
    for task, (extension, write) in FORMATS.items():
        for split in SPLITS:
            count = job.train if split == "train" else job.test
            records = world.task(task, job.tag, split, count)
            with _open(job.folder / task / f"{split}.{job.tag}.{extension}") as file:
                write(file, records, f"{split}-{job.tag}")
            yield count
    with _open(job.folder / "retrieval" / f"{job.tag}.txt") as file:
        file.writelines(
            f"{record['text']}\n" for record in world.task("retrieval", job.tag, "test", job.test)
        )
    yield job.test
    return counts


def _write_text(world: World, job: Job) -> Generator[int, None, dict[str, int]]:
    """One document per line."""
    documents = sentences = words = characters = 0
    with _open(job.folder / "text" / f"{job.tag}.txt") as file:
        for text, count in world.counted_documents(job.tag):
            file.write(f"{text}\n")
            documents, sentences, words = documents + 1, sentences + count, words + text.count(" ") + 1
            characters += len(text)
            yield min(count, job.sentences - sentences + count)
            if sentences >= job.sentences:
                break
    return {"documents": documents, "sentences": sentences, "words": words, "characters": characters}


def _open(path: Path) -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("w", encoding="utf-8", newline="\n")


def _jsonl(file: IO[str], records: Iterable[Record], name: str) -> None:
    """A JSON object per line."""
    for number, record in enumerate(records):
        file.write(json.dumps({"id": f"{name}-{number}", **record}, ensure_ascii=False) + "\n")


def _two_columns(file: IO[str], records: Iterable[Record], name: str) -> None:
    """Token, tab, tag; a blank line behind each sentence (CoNLL)."""
    for record in records:
        pairs = zip(record["tokens"], record["tags"], strict=True)
        file.write("".join(f"{token}\t{tag}\n" for token, tag in pairs) + "\n")


def _squad(file: IO[str], records: Iterable[Record], name: str) -> None:
    """SQuAD v1.1, a paragraph for every question."""
    paragraphs = [
        {
            "context": record["context"],
            "qas": [{"id": f"{name}-{number}", "question": record["question"], "answers": record["answers"]}],
        }
        for number, record in enumerate(records)
    ]
    document = {"version": "1.1", "data": [{"title": name, "paragraphs": paragraphs}]}
    file.write(json.dumps(document, ensure_ascii=False) + "\n")


# Extension and writer of each task; retrieval is one aligned file per language.
FORMATS: dict[str, tuple[str, Callable[[IO[str], Iterable[Record], str], None]]] = {
    "nli": ("jsonl", _jsonl),
    "ner": ("conll", _two_columns),
    "pos": ("tsv", _two_columns),
    "qa": ("json", _squad),
}
