"""``polymod demo``: the whole story on a built-in world, ending in ``report.html`` and ``results.json``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from polymod.config import CommandConfig
from polymod.progress import bars, stderr

ARMS = ("modular", "shared")
GROWN = "grown"  # the modular arm with one language more
FEW = 200  # examples to score a task with, in each language
EPOCHS = {"nli": 3, "ner": 3}  # of the tasks that are learnt; everything else is the default


class Config(CommandConfig):
    """Makes a world and pre-trains a modular and a shared encoder on the same batches. Then the modular one
    gets one more language, learns two tasks in one language and reads them in all. Ends in a page. The same
    command goes on where it was stopped.
    """

    out: Path = Field(Path("demo"), description="folder to write")
    languages: int = Field(12, ge=1, description="languages to pre-train on; one more is added afterwards")
    families: int = Field(4, ge=1, description="families of the world")
    seed: int = Field(0, ge=0, description="decides the world and the training")
    sentences: int = Field(20_000, ge=1000, description="sentences of each language")
    vocab_size: int = Field(4000, ge=300, description="rows of the vocabulary")
    steps: int = Field(950, gt=0, description="optimiser steps of each arm")
    examples: int = Field(1500, gt=0, description="examples to learn each task from")


class Cast(NamedTuple):
    """Who plays which part: languages of pre-training, the one added, the one tasks are learnt in."""

    known: tuple[str, ...]
    new: str
    source: str


def main(config: Config) -> dict[str, Any]:
    """Run the story; every part resumes or is skipped if it is done."""
    from polymod.files import write_json
    from polymod.report.page import write
    from polymod.train.run import versions

    facts = _world(config)
    cast = _cast(facts["languages"])
    data = _prepare(config, cast)
    _arms_at_once(config)
    arms = {arm: _arm(config, arm) for arm in ARMS}
    added = _added(config, cast)
    tasks = {task: _task(config, cast, task) for task in EPOCHS}
    trained = (*arms.values(), *added["languages"].values(), *(each["learnt"] for each in tasks.values()))
    document: dict[str, Any] = {
        "schema": 1,
        "kind": "demo",
        "title": f"A world of {len(facts['languages'])} languages",
        "seconds": sum(part["seconds"] for part in trained),
        "command": f"polymod demo --out {config.out}",
        "versions": versions(),
        "world": facts,
        "data": {"vocabulary": data["vocabulary"]["size"], "languages": data["languages"]},
        "arms": arms,
        "added": added,
        "transfer": tasks,
        "config": config.model_dump(mode="json"),
    }
    write_json(config.out / "results.json", document)
    write(document, config.out / "report.html")
    return document


def _world(config: Config) -> dict[str, Any]:
    from polymod.commands import world
    from polymod.files import read_json

    folder = config.out / "world"
    options = config.model_dump(include={"families", "seed", "sentences"})
    few = min(FEW, config.examples)
    options |= {"languages": config.languages + 1, "train_examples": few, "test_examples": few}
    world.main(world.Config(out=folder, **options))
    facts = read_json(folder / "world.json")
    return {"seed": config.seed, "languages": facts["languages"], "relatedness": facts["relatedness"]}


def _cast(languages: dict[str, Any]) -> Cast:
    """The last language is the new one; tasks are learnt in the first one of its family, if there is any."""
    *known, new = languages
    family = [tag for tag in known if languages[tag]["family"] == languages[new]["family"]]
    return Cast(tuple(known), new, (family or known)[0])


def _lessons(config: Config, cast: Cast) -> Path:
    """The beginning of the same world, up to the language of the tasks, with many examples and no text."""
    from polymod.commands import world

    folder, count = config.out / "lessons", cast.known.index(cast.source) + 1
    sizes = {"languages": count, "families": min(count, config.families), "sentences": 1}
    examples = {"train_examples": config.examples, "test_examples": min(FEW, config.examples)}
    world.main(world.Config(out=folder, seed=config.seed, **sizes, **examples))
    return folder


def _prepare(config: Config, cast: Cast) -> dict[str, Any]:
    from polymod.commands import prepare

    text, out, size = config.out / "world" / "text", config.out / "data", config.vocab_size
    return prepare.main(prepare.Config(text=text, out=out, vocab_size=size, languages=cast.known))


def _arms_at_once(config: Config) -> None:
    """Train the arms in processes of their own: models this small leave cores idle. What one of them could
    not do is done, or told, by ``_arm``.
    """
    from polymod.study.results import finished
    from polymod.study.runner import Task, run_all
    from polymod.study.work import words

    tasks = []
    for arm in ARMS:
        folder, log = (config.out / "runs" / name for name in (arm, f"{arm}.log"))
        if not finished(folder, config.steps):
            typed = ("pretrain", *words(_arm_options(config, arm)))
            tasks.append(Task(arm, typed, folder, log, config.steps))
    if tasks:
        stderr().print(f"the arms {' and '.join(ARMS)}", markup=False)
        with bars("steps", stderr()) as group:
            failed = run_all(tasks, min(len(tasks), os.cpu_count() or 1), group)
        for arm, why in failed.items():
            stderr().print(f"the {arm} arm failed by itself: {why}", markup=False)


def _arm_options(config: Config, arm: str) -> dict[str, Any]:
    every = max(1, config.steps // 5)
    return {
        "data": config.out / "data",
        "out": config.out / "runs" / arm,
        "arm": arm,
        "model.preset": "modern-tiny",
        "train.steps": config.steps,
        "train.seed": config.seed,
        "train.save-every": every,
        "train.score-every": every,
        "train.score-tokens": 2048,
    }


def _arm(config: Config, arm: str) -> dict[str, Any]:
    """A trained arm: what it costs, its losses, its learning curves."""
    from polymod.commands import pretrain, score
    from polymod.config import load
    from polymod.model.config import ModelConfig
    from polymod.model.flops import flops_per_token, parameters
    from polymod.report.curves import curves
    from polymod.train.run import found

    run = config.out / "runs" / arm
    resolved = load(pretrain.Config, None, _words(_arm_options(config, arm)))
    done = pretrain.main(resolved.value)
    scores = score.main(score.Config(run=run, data=config.out / "data", max_tokens=2**14))
    model: ModelConfig = found(run)[0].config
    train = resolved.value.train
    flops = flops_per_token(model, train.block_tokens, train.mask_probability)
    valid = {key: scores[key] for key in ("languages", "mean_loss", "mean_unigram_entropy")}
    return {
        "parameters": parameters(model)["total"],
        "flops_per_token": flops["total"],
        "tokens": done["step"] * train.batch_tokens,
        "seconds": done["seconds"],
        "steps": done["step"],
        "valid": valid,
        **curves(run),
    }


def _added(config: Config, cast: Cast) -> dict[str, Any]:
    """The new language, with the vocabulary that the tokenizer's fertility speaks for."""
    from polymod.commands import extend
    from polymod.config import load
    from polymod.text.inventory import take_inventory
    from polymod.train.run import found
    from polymod.train.survey import Surveyor

    stderr().print(f"{cast.new} is added to the {ARMS[0]} arm", markup=False)
    run, text = config.out / "runs" / ARMS[0], config.out / "world" / "text" / f"{cast.new}.txt"
    corpus, surveyor = take_inventory(text, (cast.new,))[0], Surveyor(run, found(run)[0].config)
    advice = surveyor.look(corpus, vocab="keep", rows=None, smallest=1, with_relatives=False).advice
    options = {
        "run": run,
        "language": cast.new,
        "text": text,
        "out": config.out / "runs" / GROWN,
        "init-from": "auto",
        "vocab": advice.vocab,
        "train.steps": max(1, config.steps // 8),
        "train.seed": config.seed,
    }
    if advice.vocab == "extend":  # by as many pieces as each of the others has on average
        options["vocab-size"] = max(1, config.vocab_size // config.languages)
    return extend.main(load(extend.Config, None, _words(options)).value)


def _task(config: Config, cast: Cast, task: str) -> dict[str, Any]:
    """A task learnt in the source language and read in all, with every control."""
    from polymod.commands import finetune, transfer
    from polymod.config import load

    stderr().print(f"{task} is learnt in {cast.source} and read in all languages", markup=False)
    out = config.out / "runs" / task
    options = {
        "run": config.out / "runs" / GROWN,
        "task": task,
        "data": _lessons(config, cast) / task,
        "source": cast.source,
        "out": out,
        "train.seed": config.seed,
        "train.epochs": EPOCHS[task],
    }
    learnt = finetune.main(load(finetune.Config, None, _words(options)).value)
    data = config.out / "world" / task
    read = transfer.main(transfer.Config(folders=(str(out),), data=data, module="all"))
    return {**read, "labels": learnt["labels"], "learnt": learnt}


def _words(options: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Options as they are typed."""
    return [(name, str(value)) for name, value in options.items()]


def show(document: dict[str, Any]) -> None:
    """Losses, the added language, tasks in every language; where the page is."""
    for arm, entry in document["arms"].items():
        mean, entropy = entry["valid"]["mean_loss"], entry["valid"]["mean_unigram_entropy"]
        below = f"{entropy - mean:.3f} below the unigram entropy {entropy:.3f}"
        print(f"{arm:<8} valid loss {mean:.3f} nats, {below}")
    old = document["added"]["old_languages"].values()
    equal = sum(each["bit_equal"] for each in old)
    for tag, entry in document["added"]["languages"].items():
        below = f"{entry['unigram_entropy'] - entry['loss']:.3f} below {entry['unigram_entropy']:.3f}"
        without = "" if entry["no_module"] is None else f"; without its module {entry['no_module']:.3f}"
        print(f"{tag:<8} added, loss {entry['loss']:.3f} nats, {below}{without}")
    print(f"{'':<8} {equal} of {len(old)} old languages are bit for bit as before")
    _show_transfer(document["transfer"])
    out = Path(document["config"]["out"])
    print(f"training took {document['seconds']:.0f} s in all")
    print(f"open {out / 'report.html'}; numbers in {out / 'results.json'}")


def _show_transfer(tasks: dict[str, Any]) -> None:
    """A row per language: each task through the language's own module, the source's, and none."""
    print(f"{'':<12}" + "".join(f"{task:>13} {each['metric']:<13}" for task, each in tasks.items()).rstrip())
    print(f"{'language':<12}" + f"{'own':>9}{'source':>9}{'none':>9}" * len(tasks))
    tables = [table for each in tasks.values() for table in each["modules"].values()]
    for tag in tables[0]["languages"]:
        print(f"{tag:<12}" + "".join(f"{table['languages'][tag]['score']:9.3f}" for table in tables))
    if all(table["macro"] is not None for table in tables):
        print(f"{'mean':<12}" + "".join(f"{table['macro']:9.3f}" for table in tables))
    sources = ", ".join({each["source"]: None for each in tasks.values()})
    print(f"learnt in {sources}; mean of the others; through their own, the source's or no module")
    for task, each in tasks.items():
        for control, table in each["differences"].items():
            if (apart := table["macro"]) is not None:
                ends = f"[{apart['low']:+.3f} {apart['high']:+.3f}]"
                print(f"{task}, {control.replace('-', ' minus ')}: {apart['difference']:+.3f} {ends}")
