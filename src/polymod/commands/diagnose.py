"""``polymod diagnose``: interference between languages: gradients, masks, gaps, controls."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from polymod.config import CommandConfig, Names
from polymod.diagnose.options import ControlOptions, GapOptions, GradientOptions, MaskOptions
from polymod.progress import Bars, bars, stderr

if TYPE_CHECKING:
    import torch

    from polymod.diagnose.subject import Subject
    from polymod.diagnose.work import Work


class Config(CommandConfig):
    """gradients: how far the gradients of languages agree. masks: which parts of the trunk a language needs.
    gaps: whether languages are better off alone, from the runs of a study or single ones. controls: what each
    pack contributes. The result is OUT/WHAT.json; the same command goes on where it stopped.
    """

    arguments = ("what", "runs")
    what: Literal["gradients", "masks", "gaps", "controls"] = Field(
        description="gradients, masks, gaps or controls"
    )
    runs: Names = Field(
        min_length=1,
        description="one or several folders that pretrain or extend wrote; gaps: study or pretrain",
    )
    data: Path = Field(description="folder that prepare wrote, with the runs' tokenizer")
    out: Path = Field(description="folder for the result")
    languages: Names = Field((), description="languages to diagnose; all of each run if left out")
    block_tokens: int = Field(0, ge=0, description="length of the sequences; 0: as each run was trained")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where to compute, in fp32")
    gradients: GradientOptions = GradientOptions()
    masks: MaskOptions = MaskOptions()
    gaps: GapOptions = GapOptions()
    controls: ControlOptions = ControlOptions()


def main(config: Config) -> dict[str, Any]:
    """Diagnose every run; what is done already is read."""
    if config.what == "gaps":
        return _gaps(config)
    from polymod.diagnose.subject import Subject
    from polymod.diagnose.work import opened
    from polymod.files import read_json, write_json
    from polymod.train.run import device_and_dtype

    console, path = stderr(), config.out / f"{config.what}.json"
    device, _ = device_and_dtype(config.device, "fp32", where="--device")
    subjects = [
        Subject.opened(Path(run), config.data, languages=config.languages, block=config.block_tokens)
        for run in config.runs
    ]
    if config.what == "gradients" and config.gradients.checkpoints == "all":
        subjects = [each for subject in subjects for each in subject.at_every_checkpoint()]
    with opened(config.out, config.what, _request(config, subjects)) as work:
        if path.exists():
            console.print("this diagnosis is finished", markup=False)
        else:
            with bars("parts", console) as group:
                results = [
                    _diagnosed(config, subject, device, work.of(f"{number:03d}"), group)
                    for number, subject in enumerate(subjects)
                ]
            more = {"averages": _averages(config, subjects, results)} if config.what == "gradients" else {}
            write_json(path, {"schema": 1, "what": config.what, "results": results, **more})
        document: dict[str, Any] = read_json(path)
    return document


def _averages(config: Config, subjects: list[Subject], results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Agreement over the checkpoints of each run, and over runs that differ in their seed."""
    from polymod.commands import pretrain
    from polymod.diagnose.averages import averages
    from polymod.diagnose.kinship import Kinship

    related = config.gradients.relatedness
    apart = {*pretrain.FREE, "train.seed"}
    settings = [
        json.dumps({key: value for key, value in sorted(subject.training.items()) if key not in apart})
        for subject in subjects
    ]
    return averages(results, settings, Kinship.read(related) if related is not None else None)


def _gaps(config: Config) -> dict[str, Any]:
    """Score all runs on the same text, then compare them."""
    from polymod.languages import resolve_all
    from polymod.study.compare import Comparison
    from polymod.text.shards import Shards
    from polymod.train.run import device_and_dtype

    shards = Shards.open(config.data)
    asked = resolve_all(config.languages, shards.tags, where="--languages")
    comparison = Comparison(list(map(Path, config.runs)), shards, config.gaps, config.block_tokens)
    return comparison.made(
        config.out,
        asked or shards.tags,
        device_and_dtype(config.device, "fp32", where="--device")[0],
        stderr(),
    )


def _diagnosed(
    config: Config, subject: Subject, device: torch.device, work: Work, group: Bars
) -> dict[str, Any]:
    """One run at one checkpoint, with a bar."""
    from polymod.diagnose.ablation import Ablation
    from polymod.diagnose.controls import diagnose_controls
    from polymod.diagnose.gradients import diagnose_gradients

    name = f"{subject.run.name} at step {subject.saved.step:,}"

    def tell(done: int) -> None:
        group.at(name, done)

    ablation = Ablation(subject, config.masks, device, work, tell)
    num_languages = len(subject.tags)
    total = {
        "gradients": num_languages * config.gradients.batches,
        "masks": ablation.steps,
        "controls": num_languages,
    }
    group.add(name, total[config.what])
    if config.what == "gradients":
        found = work.part("all", lambda: diagnose_gradients(subject, config.gradients, device, tell))
    elif config.what == "masks":
        found = ablation.document()
    else:
        found = diagnose_controls(subject, config.controls, device, work, tell)
    group.remove(name)
    return found


def _request(config: Config, subjects: list[Subject]) -> dict[str, Any]:
    """What the result depends on."""
    options = config.model_dump(
        mode="json", include={"what", "runs", "languages", "block_tokens", config.what}
    )
    checkpoints = {f"{subject.run} step {subject.saved.step}": subject.saved.chain for subject in subjects}
    data = subjects[0].shards.fingerprint
    return {"config": options, "identity": {"data": data, "checkpoints": checkpoints}}


def show(document: dict[str, Any]) -> None:
    """Tables, one for each run or checkpoint; of gaps one for all."""
    from polymod.diagnose.tables import average_lines, control_lines, gap_lines, gradient_lines, mask_lines

    if document.get("kind") == "gaps":
        print(*gap_lines(document), sep="\n")
        return
    lines = {"gradients": gradient_lines, "masks": mask_lines, "controls": control_lines}[document["what"]]
    for number, result in enumerate(document["results"]):
        print(*([""] * (number > 0)), *lines(result), sep="\n")
    for average in document.get("averages", ()):
        print("", *average_lines(average), sep="\n")
