"""``polymod finetune``: a pre-trained run, a task and a source language -> a model for the task."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from polymod.config import CommandConfig, LastingPath, Names
from polymod.progress import stderr
from polymod.tasks.options import FinetuneOptions
from polymod.train.config import HangAfter, Nproc

if TYPE_CHECKING:
    import torch

    from polymod.tasks.finetuning import Evaluation, Finetuning
    from polymod.train.checkpoint import Saved
    from polymod.train.parallel import Ranks

# What may change between one start and the next.
FREE = (
    "out",
    "run",
    "data",
    "train.save_every",
    "train.log_every",
    "train.micro_tokens",
    "nproc",
    "hang_after",
)


class Config(CommandConfig):
    """Embeddings and modules stay as they are; everything else and a new head are trained, with the module of
    the source language. The same command on the same --out goes on where it stopped.
    """

    arguments = ("run",)
    in_processes = True
    run: LastingPath = Field(description="folder that pretrain, extend or import wrote")
    task: str = Field(description="nli, ner, pos or qa")
    data: Path = Field(description="folder with files <split>.<language>.<ending> of the task")
    source: Names = Field(min_length=1, description="language to learn it in, or several")
    out: Path = Field(description="folder to write")
    max_examples: int = Field(0, ge=0, description="training examples of each source language; 0: all")
    nproc: Nproc = 1
    hang_after: HangAfter = 600.0
    train: FinetuneOptions = FinetuneOptions()


def main(config: Config) -> dict[str, Any]:
    """Fine-tune until the last epoch; resume if the folder was begun before."""
    from polymod.train.parallel import joined
    from polymod.train.run import device_and_dtype

    device, dtype = device_and_dtype(config.train.device, config.train.precision, where="--train.device")
    with joined(config.nproc, device, hang_after=config.hang_after) as ranks:
        return _finetuned(config, ranks, dtype)


def _finetuned(config: Config, ranks: Ranks, dtype: torch.dtype) -> dict[str, Any]:
    """The work of one process; the first one has the document."""
    from polymod.files import require_space, sha256, write_json
    from polymod.tasks.finetuned import RESULT, keep_tokenizers
    from polymod.train.checkpoint import agreed, load_model, restore
    from polymod.train.conflict import check_processes
    from polymod.train.log import logged, training_seconds
    from polymod.train.run import found, opened

    check_processes(ranks.size, config.train.batch_size, "--train.batch-size")
    console = stderr(quiet=not ranks.first)
    base, _ = found(config.run)
    job = _job(config, base, ranks)
    identity = {"base": sha256(base.folder / "manifest.json"), "examples": job.sources.hashes}
    with opened(config.out, config, identity=identity, free=FREE, ranks=ranks):
        if ranks.first:
            keep_tokenizers(config.run, config.out)
        state = job.new_state(load_model(base).encoder, ranks.device)
        saved, complaints = agreed(config.out, ranks)
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
            with logged(config.out, console, job.train, since=state.step, ranks=ranks) as log:
                job.fit(state, evaluations, log, config.out, (ranks.device, dtype))
        if not ranks.first:
            return {}
        seconds = training_seconds(config.out)
        document = {**job.result(state, evaluations), "seconds": seconds}
        write_json(config.out / RESULT, {"schema": 1, **document})
    return {"folder": str(config.out), **document}


def _job(config: Config, base: Saved, ranks: Ranks) -> Finetuning:
    """What is fine-tuned on what."""
    from polymod.languages import resolve_all
    from polymod.tasks.finetuning import Finetuning, longest_of
    from polymod.tasks.sources import read_sources
    from polymod.tasks.task import task_named
    from polymod.text.tokenizers import Tokenizers

    sources = read_sources(
        task_named(config.task),
        config.data,
        resolve_all(config.source, base.config.languages, where="--source"),
        Tokenizers(config.run),
        longest=longest_of(base.config, config.train),
        most=config.max_examples,
        with_dev=config.train.select == "best",
    )
    return Finetuning(base.config, sources, config.train, ranks)


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
