"""A data folder of three languages, made stage by stage without processes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

from _texts import sentences, tiny_tokenizer
from polymod import files
from polymod.text.dedup import find_duplicates, ranges
from polymod.text.encode import PartTask, encode_part
from polymod.text.finish import Language, finish_language
from polymod.text.normalise import digest
from polymod.text.parts import Summary, part_path, write_part
from polymod.text.shards import DATA, SCHEMA
from polymod.text.split import SplitRule
from polymod.text.tokenizer import Vocabulary

RULE = SplitRule(0.1, 0.1)
TAGS = ("en", "con", "sr-Latn")


def write_language(out: Path, tag: str, lines: list[str], per_part: int, size: int) -> dict[str, Any]:
    """All stages after reading, by hand; returns the language's entry."""
    work, name = out.parent / "work", files.language_name(tag)
    parts, found, done = work / "parts" / name, work / "duplicates" / name, work / "done" / name
    bounds = [*range(0, len(lines), per_part), len(lines)]
    for number, (first, stop) in enumerate(pairwise(bounds)):
        documents = [line.encode() for line in lines[first:stop]]
        summary = Summary()
        summary.counts.documents = summary.counts.lines = len(documents)
        write_part(part_path(parts, number, 0), documents, list(map(digest, documents)), [], summary)
    for task in ranges(tag, parts, found, len(lines)):
        list(find_duplicates(task))
    for number, (first, stop) in enumerate(pairwise(bounds)):
        path = done / f"{number:06d}.safetensors"
        place = part_path(parts, number, 0)
        shards = out / "shards" / name
        rest = (found, RULE, out / "tokenizer.json", size, shards, path, 1)
        list(encode_part(PartTask(tag, place, number, first, stop, *rest)))
    steps = finish_language(Language(tag, ("en.txt",), 1, parts, found, done, out, size, RULE))
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def write_data(out: Path, per_part: int = 40, size: int | None = None) -> dict[str, list[str]]:
    """A data folder of three languages; returns their documents."""
    out.mkdir(parents=True)
    tokenizer = tiny_tokenizer()
    tokenizer.save(str(out / "tokenizer.json"))
    vocabulary = Vocabulary.of(tokenizer, size)
    texts = {tag: sentences(200, seed) for seed, tag in enumerate(TAGS)}
    texts["en"] += texts["en"][:10]
    entries = {tag: write_language(out, tag, texts[tag], per_part, vocabulary.size) for tag in TAGS}
    document = {"schema": SCHEMA, "vocabulary": vars(vocabulary), "languages": entries}
    files.write_json(out / DATA, document)
    files.write_manifest(out)
    return {tag: list(dict.fromkeys(texts[tag])) for tag in TAGS}
