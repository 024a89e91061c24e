"""``polymod finetune``: a pre-trained run, a task and a source language -> a model for the task."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from polymod.config import CommandConfig, LastingPath, Names
from polymod.progress import bars, stderr
from polymod.tasks.options import FinetuneOptions

if TYPE_CHECKING:
    from polymod.tasks.finetuning import Evaluation

# What may change between one start and the next.
FREE = ("out", "run", "data", "train.save_every", "train.log_every", "train.micro_tokens")


class Config(CommandConfig):
    """Embeddings and modules stay as they are; everything else and a new head are trained, with the module of
    the source language. The same command on the same --out goes on where it stopped.
    """

    arguments = ("run",)
    run: LastingPath = Field(description="folder that pretrain, extend or import wrote")
    task: str = Field(description="nli, ner, pos or qa")
    data: Path = Field(description="folder with files <split>.<language>.<ending> of the task")
    source: Names = Field(min_length=1, description="language to learn it in, or several")
    out: Path = Field(description="folder to write")
    max_examples: int = Field(0, ge=0, description="training examples of each source language; 0: all")
    train: FinetuneOptions = FinetuneOptions()


def main(config: Config) -> dict[str, Any]:
    """Fine-tune until the last epoch; resume if the folder was begun before."""
    from polymod.files import require_space, sha256, write_json
    from polymod.languages import canonical_all, resolve
    from polymod.tasks.finetuned import RESULT, keep_tokenizers
    from polymod.tasks.finetuning import Finetuning, longest_of
    from polymod.tasks.sources import read_sources
    from polymod.tasks.task import task_named
    from polymod.text.tokenizers import Tokenizers
    from polymod.train.checkpoint import load_model, newest, restore
    from polymod.train.log import RunLog, training_seconds
    from polymod.train.run import device_and_dtype, found, opened

    console, options = stderr(), config.train
    precision = device_and_dtype(options.device, options.precision)
    base, _ = found(config.run)
    sources = read_sources(
        task_named(config.task),
        config.data,
        [resolve(tag, base.config.languages) for tag in canonical_all(config.source)],
        Tokenizers(config.run),
        longest=longest_of(base.config, options),
        most=config.max_examples,
        with_dev=options.select == "best",
    )
    job = Finetuning(base.config, sources, options)
    identity = {"base": sha256(base.folder / "manifest.json"), "examples": sources.hashes}
    with opened(config.out, config, identity=identity, free=FREE):
        keep_tokenizers(config.run, config.out)
        state = job.new_state(load_model(base).encoder, precision[0])
        saved, complaints = newest(config.out)
        for complaint in complaints:
            console.print(f"damaged, going back to an older checkpoint: {complaint}", markup=False)
        evaluations: list[Evaluation] = []
        if saved is not None:
            restore(state, saved)
            evaluations += saved.facts["evaluations"]
            over = job.is_over(state, evaluations)
            console.print("this is finished" if over else f"going on at step {state.step:,}", markup=False)
        if not job.is_over(state, evaluations):
            require_space(config.out, job.most_bytes())
            with (
                bars("steps", console) as group,
                RunLog(config.out, group, job.train, since=state.step) as log,
            ):
                job.fit(state, evaluations, log, config.out, precision)
        seconds = training_seconds(config.out)
        document = {**job.result(state, evaluations), "seconds": seconds}
        write_json(config.out / RESULT, {"schema": 1, **document})
    return {"folder": str(config.out), **document}


def show(document: dict[str, Any]) -> None:
    """What was learnt from what, and how well."""
    languages = ", ".join(f"{tag} {count:,}" for tag, count in document["examples"].items())
    print(f"{document['folder']}: {document['task']} from {languages} examples")
    print(f"{document['steps']:,} steps in {document['seconds']:,.0f} s, step {document['step']:,} chosen")
    if document["dev"]:
        scores = document["dev"]["languages"].items()
        shown = ", ".join(f"{tag} {metrics[document['metric']]:.3f}" for tag, metrics in scores)
        print(f"dev {document['metric']} {shown}")
    counts, protocol = document["parameters"], document["protocol"]
    thawed = f", {', '.join(protocol['unfreeze'])} not" if protocol["unfreeze"] else ""
    lowest = f", the lowest {protocol['freeze_layers']} layers too" if protocol["freeze_layers"] else ""
    print(f"{counts['trained']:,} parameters trained, {counts['frozen']:,} frozen{lowest}{thawed}")
