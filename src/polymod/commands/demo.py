"""``polymod demo``: the whole story on a built-in world, ending in ``report.html`` and ``results.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from polymod.commands import pretrain, score
from polymod.config import CommandConfig
from polymod.progress import stderr

ARMS = ("modular", "shared")


class Config(CommandConfig):
    """Makes a world, prepares its text, pre-trains a modular and a shared encoder on the same batches, scores
    both and writes a page. The same command goes on where it was stopped.
    """

    out: Path = Field(Path("demo"), description="folder to write")
    languages: int = Field(12, ge=1, description="languages of the world")
    families: int = Field(4, ge=1, description="families of the world")
    seed: int = Field(0, ge=0, description="decides the world and the training")
    sentences: int = Field(20_000, ge=1000, description="sentences of each language")
    vocab_size: int = Field(4000, ge=300, description="rows of the vocabulary")
    steps: int = Field(1000, gt=0, description="optimiser steps of each arm")


def main(config: Config) -> dict[str, Any]:
    """Run the story; every part resumes or is skipped if it is done."""
    from polymod.files import write_json
    from polymod.report.page import write
    from polymod.train.run import versions

    console = stderr()
    facts = _world(config)
    data = _prepare(config)
    arms = {}
    for arm in ARMS:
        console.print(f"the {arm} arm", markup=False)
        arms[arm] = _arm(config, arm)
    document: dict[str, Any] = {
        "schema": 1,
        "kind": "demo",
        "title": f"A world of {len(facts['languages'])} languages",
        "seconds": sum(arm["seconds"] for arm in arms.values()),
        "command": f"polymod demo --out {config.out}",
        "versions": versions(),
        "world": facts,
        "data": {"vocabulary": data["vocabulary"]["size"], "languages": data["languages"]},
        "arms": arms,
        "config": config.model_dump(mode="json"),
    }
    write_json(config.out / "results.json", document)
    write(document, config.out / "report.html")
    return document


def _world(config: Config) -> dict[str, Any]:
    from polymod.commands import world
    from polymod.files import read_json

    folder = config.out / "world"
    options = config.model_dump(include={"languages", "families", "seed", "sentences"})
    world.main(world.Config(out=folder, train_examples=500, test_examples=100, **options))
    facts = read_json(folder / "world.json")
    return {"seed": config.seed, "languages": facts["languages"], "relatedness": facts["relatedness"]}


def _prepare(config: Config) -> dict[str, Any]:
    from polymod.commands import prepare

    text, out = config.out / "world" / "text", config.out / "data"
    return prepare.main(prepare.Config(text=text, out=out, vocab_size=config.vocab_size))


def _arm(config: Config, arm: str) -> dict[str, Any]:
    from polymod.config import load
    from polymod.model.config import ModelConfig
    from polymod.model.flops import flops_per_token, parameters
    from polymod.report.curves import curves
    from polymod.train.run import found

    run, every = config.out / "runs" / arm, max(1, config.steps // 5)
    options = {
        "data": config.out / "data",
        "out": run,
        "arm": arm,
        "model.preset": "modern-tiny",
        "train.steps": config.steps,
        "train.seed": config.seed,
        "train.save-every": every,
        "train.score-every": every,
        "train.score-tokens": 2048,
    }
    resolved = load(pretrain.Config, None, [(key, str(value)) for key, value in options.items()])
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


def show(document: dict[str, Any]) -> None:
    """Where the page is, and the mean losses."""
    for arm, entry in document["arms"].items():
        mean, entropy = entry["valid"]["mean_loss"], entry["valid"]["mean_unigram_entropy"]
        below = f"{entropy - mean:.3f} below the unigram entropy {entropy:.3f}"
        print(f"{arm:<8} valid loss {mean:.3f} nats, {below}")
    out = Path(document["config"]["out"])
    print(f"training took {document['seconds']:.0f} s in all")
    print(f"open {out / 'report.html'}; numbers in {out / 'results.json'}")
