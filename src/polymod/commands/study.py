"""``polymod study``: a plan of many runs, each an ordinary ``polymod pretrain``; resumable, then a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationInfo, model_validator

from polymod.config import CommandConfig, Names, Tree, nested, resolve, split
from polymod.errors import Failure, UserError
from polymod.progress import stderr
from polymod.study.plan import Cell, Options, Setting, cells, placed, settings

if TYPE_CHECKING:
    from polymod.commands import pretrain
    from polymod.train.pretraining import Pretraining


class Config(CommandConfig):
    """PLAN.yaml names runs and their options of pretrain; each is made for every seed. languages of a run:
    a list, each (a run for every language), pairs, or "each with en". examples-of NAME: each language sees as
    many of its tokens as in that run; parameters-of NAME: as many parameters, by the bottleneck. The same
    command goes on where it stopped, and makes the runs that a longer plan adds.
    """

    data: Path = Field(description="folder that prepare wrote")
    out: Path = Field(description="folder of the study; runs are OUT/runs/<name>")
    languages: Names = Field((), description="languages of the study; all of the data if left out")
    seeds: Annotated[tuple[int, ...], BeforeValidator(split)] = Field(
        (0,), min_length=1, description="--train.seed of the runs: every run is made once for each"
    )
    jobs: int = Field(1, ge=1, description="runs at a time; they share the cores")
    common: Tree = Field({}, description="options of pretrain for all runs: --common.train.steps 500")
    runs: dict[str, Any] = Field(min_length=1, description="name -> options of pretrain")
    _settings: dict[str, Setting] = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _every_run(self, info: ValidationInfo) -> Self:
        """Misspelt keys and wrong values of every run are found before anything is read."""
        origins = (info.context or {}).get("origins", {})
        if len({*self.seeds}) < len(self.seeds) or min(self.seeds) < 0:
            what = f"seeds {', '.join(map(str, self.seeds))}: each one once, none below 0"
            raise UserError(what, where=origins.get("seeds", ""))
        self._settings = settings(self.common, self.runs, origins)
        for setting in self._settings.values():
            matches = {"examples_of": setting.examples_of, "parameters_of": setting.parameters_of}
            given = {**setting.options, **matches, "data": self.data, "out": self.out}
            resolve(run_options(), nested(given, setting.places), setting.places)
        return self

    @property
    def settings(self) -> dict[str, Setting]:
        """The plan's runs by name."""
        return self._settings


def run_options() -> type[CommandConfig]:
    """Options of a run of a plan. Made when a plan is read, so that ``--help`` need not know them."""
    from polymod.commands import pretrain

    class RunOptions(pretrain.Config):
        """A run of a plan: what ``pretrain`` takes, and what it is matched to."""

        examples_of: str = Field("", description="steps so that each language sees its tokens of this run")
        parameters_of: str = Field(
            "", description="bottleneck so that there are as many parameters as in this run"
        )

    return RunOptions


def main(config: Config) -> dict[str, Any]:
    """Check the whole plan, make every run that is not finished, then read them all."""
    from polymod.commands import pretrain
    from polymod.languages import canonical_all
    from polymod.study.match import Matcher
    from polymod.study.work import Study
    from polymod.text.shards import Shards

    shards = Shards.open(config.data, languages=canonical_all(config.languages, where="--languages") or None)

    def config_of(options: Options) -> pretrain.Config:
        given = {**options, "data": str(config.data), "out": str(config.out)}
        return resolve(pretrain.Config, nested(given, {}), {}).value

    planned = cells(config.settings, shards.tags, config.seeds)
    matcher = Matcher(planned, config_of, shards.of)
    jobs = {cell: matcher.job(cell) for cell in matcher.matched()}
    for cell, job in jobs.items():
        if cell.seed == config.seeds[0]:
            _require_fit(cell, config_of(cell.options), job)
    study = Study(config.out, config.data, jobs)
    with study.opened(lambda cell: config_of(cell.options), free=pretrain.FREE):
        failed = study.make(config.jobs, stderr())
        document = study.document(failed)
    if failed:
        what = f"{len(failed)} of {len(planned)} runs failed: {', '.join(failed)}"
        fix = f"what they said is in {config.out / 'logs'}; the same command tries them again"
        raise Failure(what, where=str(config.out), fix=fix, document=document)
    return document


def _require_fit(cell: Cell, config: pretrain.Config, job: Pretraining) -> None:
    """The update must fit model and data; a model without weights is enough to know. So must --shard and
    --shard-packs.
    """
    import torch

    from polymod.model.heads import MaskedLM
    from polymod.train.conflict import check_shard, check_shard_packs
    from polymod.train.updates import build, plan_of

    with torch.device("meta"), placed(cell):
        if config.shard:
            monitored = config.monitor.gradients > 0
            check_shard(config.nproc, config.update, config.residency, monitored=monitored)
        if config.shard_packs:
            check_shard_packs(config.nproc, config.arm, config.update)
        build(config.update, plan_of(job, MaskedLM(job.config), config.treatment, torch.float32))


def show(document: dict[str, Any]) -> None:
    """Loss by setting, then by language and setting."""
    from polymod.study.results import lines

    print(*lines(document), sep="\n")
