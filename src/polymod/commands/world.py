"""``polymod world``: related languages with text and gold task data, as ordinary files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from polymod.config import CommandConfig
from polymod.errors import Stopped, UserError

if TYPE_CHECKING:
    from polymod.worlds.world import World

WITHOUT_EFFECT = frozenset({"out", "processes"})  # options that change not one byte
BYTES_PER_SENTENCE, BYTES_PER_EXAMPLE = 120, 800  # at most, on average over the tasks


class Config(CommandConfig):
    """Controlled languages by seed: text, and gold data for inference, entities, parts of speech, questions
    and retrieval in the formats that other data comes in. The folder appears when all of it is written.
    """

    out: Path = Field(description="folder to write")
    languages: int = Field(12, ge=1, le=100_000, description="number of languages")
    families: int = Field(4, ge=1, le=10_000, description="families that they belong to")
    grammars: int | None = Field(
        None, ge=1, description="grammars that families take turns with; by default each language has its own"
    )
    seed: int = Field(0, ge=0, description="decides everything")
    sentences: int = Field(20_000, ge=1, description="sentences of text in each language, at least")
    code_switching: float = Field(
        0.0, ge=0, le=1, description="share of documents with words of another language, which tie families"
    )
    parallel: float = Field(
        0.0, ge=0, le=1, description="share of documents that say each sentence in two languages"
    )
    denials: float = Field(
        0.0, ge=0, le=1, description="chance of a sentence to come after the denial of something similar"
    )
    recalls: float = Field(
        0.0, ge=0, le=1, description="chance of a sentence to come before something told again, or asked"
    )
    train_examples: int = Field(2_000, ge=1, description="examples of each task for training, per language")
    test_examples: int = Field(500, ge=1, description="examples in dev, in test, and lines for retrieval")
    processes: int = Field(len(os.sched_getaffinity(0)), ge=1, le=1024, description="processes to work with")


def main(config: Config) -> dict[str, Any]:
    """Write a world; a finished one is left as it is."""
    from polymod.files import new_folder, require_space, write_json, write_manifest
    from polymod.worlds.facts import facts
    from polymod.worlds.world import Shares, World
    from polymod.worlds.write import FORMATS

    decisive = config.model_dump(mode="json", exclude=set(WITHOUT_EFFECT))
    if config.out.exists() and any(config.out.iterdir()):
        return {**_finished(config.out, decisive), "finished_before": True}
    shares = Shares(config.code_switching, config.parallel, config.denials, config.recalls)
    world = World(config.seed, config.languages, config.families, shares, config.grammars)
    examples = len(FORMATS) * (config.train_examples + 2 * config.test_examples)
    per_language = config.sentences * BYTES_PER_SENTENCE + examples * BYTES_PER_EXAMPLE
    require_space(config.out, config.languages * per_language)
    with new_folder(config.out) as folder:
        counts = _write_languages(config, world, folder)
        document = {"schema": 1, "config": decisive, **facts(world)}
        for tag, entry in document["languages"].items():
            entry["text"] = counts[tag]
        write_json(folder / "world.json", document)
        write_manifest(folder)
    return {**_summary(config.out, document), "finished_before": False}


def _finished(out: Path, decisive: dict[str, Any]) -> dict[str, Any]:
    """The summary of a world that is there already, if it is the one asked for."""
    from polymod.config import completed, difference
    from polymod.files import MANIFEST, read_json

    if not (out / "world.json").is_file() or not (out / MANIFEST).is_file():
        raise UserError("the folder holds something else", where=str(out), fix="give another --out")
    document = read_json(out / "world.json")
    if not isinstance(document, dict) or not isinstance(document.get("config"), dict):
        raise UserError("not the facts of a world", where=str(out / "world.json"), fix="give another --out")
    recorded = completed({**document["config"], "out": str(out)}, Config)
    before = {key: value for key, value in recorded.items() if key not in WITHOUT_EFFECT}
    if changed := difference(before, decisive):
        what = "\n    ".join(["the folder holds a world of another config:", *changed])
        raise UserError(
            what, where=str(out), fix="give another --out, or the options of the world that is there"
        )
    return _summary(out, document)


def _write_languages(config: Config, world: World, folder: Path) -> dict[str, dict[str, int]]:
    """Every language's files, several at a time; returns the counts of each text."""
    from polymod.progress import bars
    from polymod.text.workers import Workers, stoppable
    from polymod.worlds.write import Job, write_language

    kind = (config.seed, config.languages, config.families, world.shares, config.grammars)
    sizes = (config.sentences, config.train_examples, config.test_examples)
    jobs = [Job(folder, *kind, tag, *sizes) for tag in world.tags]
    counts: dict[str, dict[str, int]] = {}
    processes = min(config.processes, len(jobs))
    try:
        with stoppable(), bars("sentences and examples") as group, Workers(processes) as workers:
            group.add("world", sum(job.amount for job in jobs))
            done = 0
            for event in workers.run(write_language, jobs):
                done += event.done
                if event.results:
                    counts[event.task.tag] = event.results[0]
                group.at("world", done, event.task.tag)
            group.remove("world")
    except Stopped as stopped:
        what = f"{stopped.what.partition(';')[0]}; a world appears as a whole, so nothing is left of it"
        raise Stopped(what, fix="run the same command again") from None
    return counts


def _summary(out: Path, document: dict[str, Any]) -> dict[str, Any]:
    languages: dict[str, Any] = document["languages"]
    shown = ("family", "script", "word_order", "affixing", "text")
    return {
        "out": str(out),
        "config": document["config"],
        "languages": {tag: {key: entry[key] for key in shown} for tag, entry in languages.items()},
    }


def show(document: dict[str, Any]) -> None:
    """A row per language."""
    languages: dict[str, Any] = document["languages"]
    for tag, entry in list(languages.items())[:40]:
        text = entry["text"]
        kind = f"family {entry['family']:<5} {entry['script']} {entry['word_order']} {entry['affixing']:<10}"
        print(f"{tag:<12} {kind} {text['documents']:>9,} documents {text['sentences']:>11,} sentences")
    if len(languages) > 40:
        print(f"and {len(languages) - 40} more languages")
    state = "this world is there already" if document["finished_before"] else "written"
    print(f"{document['out']}: {state}; polymod prepare --text {Path(document['out']) / 'text'} --out DATA")
