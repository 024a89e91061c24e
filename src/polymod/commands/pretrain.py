"""``polymod pretrain``: from token shards to a trained encoder, one arm at a time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from polymod.config import CommandConfig, LastingPath, Names, Tree
from polymod.diagnose.options import MonitorOptions
from polymod.model.config import Architecture, Arm, ModelConfig
from polymod.progress import stderr
from polymod.train.config import (
    HangAfter,
    MixtureOptions,
    ModelOptions,
    Nproc,
    ResidencyOptions,
    Shard,
    ShardPacks,
    TrainOptions,
    TreatmentOptions,
    UpdateName,
    preset_values,
)

if TYPE_CHECKING:
    import torch

    from polymod.batch import GlobalBatch
    from polymod.text.shards import Shards
    from polymod.train.loop import TrainState, Update
    from polymod.train.parallel import Ranks
    from polymod.train.pretraining import Pretraining

DEFAULT_PRESET = "modern-tiny"
# What may change between one start of a run and the next.
FREE = (
    *("out", "data", "languages", "train.save_every", "train.keep", "train.log_every", "train.score_every"),
    *("train.score_tokens", "train.tensorboard", "train.micro_tokens", "treatment.hold"),
    *("monitor.gradients", "begun_from", "residency.mapped", "residency.languages", "residency.folder"),
    *("nproc", "hang_after", "shard", "shard_packs"),
)


class Config(CommandConfig):
    """The same command on the same --out goes on where it stopped. --model.preset sets the sizes of the model
    and the options of training together; each of them can be set on its own besides.
    """

    in_processes = True
    data: LastingPath = Field(description="folder that prepare wrote")
    out: Path = Field(description="run folder")
    arm: Arm = Field("modular", description="a pack per language, one pack for all, or no pack")
    languages: Names = Field((), description="languages to train on; all of the data if left out")
    begin: LastingPath | None = Field(
        None, description="run whose trunk, and packs of the same languages, the weights begin with"
    )
    nproc: Nproc = 1
    hang_after: HangAfter = 600.0
    shard: Shard = False
    shard_packs: ShardPacks = False
    update: UpdateName = Field("joint", description="how a step is made")
    compile: bool = Field(False, description="let torch.compile fuse parts of the layers; meant for GPUs")
    model: ModelOptions = ModelOptions()
    train: TrainOptions = TrainOptions()
    mixture: MixtureOptions = MixtureOptions()
    treatment: TreatmentOptions = TreatmentOptions()
    monitor: MonitorOptions = MonitorOptions()
    residency: ResidencyOptions = ResidencyOptions()

    @classmethod
    def preset(cls, given: Tree) -> tuple[str, Tree]:
        """Sizes and training defaults of ``--model.preset``."""
        section = given.get("model")
        name = str(section.get("preset", DEFAULT_PRESET)) if isinstance(section, dict) else DEFAULT_PRESET
        values = preset_values(name)
        return name, {**values, "model": {"preset": name, **values.get("model", {})}}

    def model_config_for(self, shards: Shards) -> ModelConfig:
        """The model that this run trains on these shards."""
        sizes = self.model.model_dump(exclude={"preset", "language_embedding"})
        v = shards.vocabulary
        return ModelConfig(
            architecture=Architecture(**sizes),
            arm=self.arm,
            language_embedding=self.model.language_embedding,
            languages=shards.tags,
            vocab_size=v.size,
            bos_id=v.bos_id,
            pad_id=v.pad_id,
            eos_id=v.eos_id,
            mask_id=v.mask_id,
        )


def main(config: Config) -> dict[str, Any]:
    """Train until ``train.steps``; resume if the run was begun before."""
    from polymod.train.parallel import joined
    from polymod.train.run import device_and_dtype

    device, dtype = device_and_dtype(config.train.device, config.train.precision, where="--train.device")
    with joined(config.nproc, device, hang_after=config.hang_after) as ranks:
        return _pretrained(config, ranks, dtype)


def _pretrained(config: Config, ranks: Ranks, dtype: torch.dtype) -> dict[str, Any]:
    """The work of one process; the first one has the document."""
    from polymod.languages import canonical_all
    from polymod.text.shards import Shards
    from polymod.train.begin import begin_from
    from polymod.train.checkpoint import agreed, checkpoint_folders, restore
    from polymod.train.conflict import check_blocks, check_shard, check_shard_packs
    from polymod.train.log import training_seconds, training_speed
    from polymod.train.pretraining import Pretraining, masked_lm
    from polymod.train.run import device_name, keep_tokenizer, opened
    from polymod.train.updates import build, compile_for, plan_of

    check_blocks(ranks.size, config.train, config.update)
    if config.shard:
        check_shard(ranks.size, config.update, config.residency, monitored=config.monitor.gradients > 0)
    if config.shard_packs:
        check_shard_packs(ranks.size, config.arm, config.update)
    console = stderr(quiet=not ranks.first)
    shards = Shards.open(config.data, languages=canonical_all(config.languages, where="--languages") or None)
    model_config = config.model_config_for(shards)
    shared = {"spread": config.shard, "shared_out": config.shard_packs}
    job = Pretraining(shards, model_config, config.train, config.mixture, ranks, **shared)
    identity, state = job.identity, job.new_state(config.residency, config.update, config.out)
    model = masked_lm(state)
    if config.begin is not None and not checkpoint_folders(config.out):
        identity["begun_from"] = begin_from(config.begin, model, shards.tokenizer_path)
    if config.compile:
        compile_for(config.update, model)
    update = build(config.update, plan_of(job, model, config.treatment, dtype))
    with opened(config.out, config, identity=identity, free=FREE, ranks=ranks):
        if ranks.first:
            keep_tokenizer(shards.tokenizer_path, config.out)
        saved, complaints = agreed(config.out, ranks)
        for complaint in complaints:
            console.print(f"damaged, going back to an older checkpoint: {complaint}", markup=False)
        if saved is None and complaints and config.begin is not None:
            begin_from(config.begin, model, shards.tokenizer_path)
        if saved is not None:
            restore(state, saved)
            done = state.step >= config.train.steps
            console.print(
                "this run is finished" if done else f"going on at step {state.step:,}", markup=False
            )
        if state.step < config.train.steps:
            if warning := _room(config, model.config, ranks):
                console.print(f"warning: {warning}", markup=False)
            _train(config, job, state, update, dtype, identity)
        valid = job.score(state)
        if not ranks.first:
            return {}
        seconds = training_seconds(config.out)
        speed = training_speed(config.out, job.flops_per_token, device_name(ranks.device), ranks.size)
    return {"run": str(config.out), "step": state.step, "seconds": seconds, "speed": speed, "valid": valid}


def _train(
    config: Config,
    job: Pretraining,
    state: TrainState,
    update: Update[GlobalBatch],
    dtype: torch.dtype,
    identity: dict[str, Any],
) -> None:
    """Bring the state to the last step."""
    from polymod.diagnose.monitor import monitored
    from polymod.train.keepers import lending
    from polymod.train.log import logged
    from polymod.train.loop import fit
    from polymod.train.residency import around

    console = stderr(quiet=not job.ranks.first)
    with logged(config.out, console, config.train, since=state.step, ranks=job.ranks) as log:
        jobs = job.jobs(config.out, log, facts={"identity": identity}, console=console)
        until, seed, every = config.train.steps, config.train.seed, config.monitor.gradients
        update = monitored(update, config.out, every=every, since=state.step, dtype=dtype, ranks=job.ranks)
        update, data_at = around(state.residency, lending(state.keepers, update), job.at)
        fit(state, update, data_at, until=until, seed=seed, log=log.step, jobs=jobs)


def _room(config: Config, model: ModelConfig, ranks: Ranks) -> str:
    """Refuse if the disk is too small; a warning if memory is."""
    from polymod.files import require_space
    from polymod.train.memory import checkpoint_bytes, extra_trunks, languages_of_step, mapped_bytes, shortage

    device = ranks.device.type
    mapped = config.residency.mapped and device == "cpu" and config.residency.folder is None
    # every process has such a file, of its share if languages are shared out; the weights are there already
    moments = (1 if config.shard_packs else ranks.size) * 2 * mapped_bytes(model) // 3 if mapped else 0
    require_space(config.out, int(2.2 * checkpoint_bytes(model)) + moments)
    trunks = extra_trunks(config.update, config.treatment, languages_of_step(len(model.packs), config.train))
    if device != "cpu":
        return ""
    shares, pack_shares = (ranks.size if given else 1 for given in (config.shard, config.shard_packs))
    return shortage(
        model,
        config.train,
        trunks=trunks,
        residency=config.residency,
        shares=shares,
        pack_shares=pack_shares,
        processes=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
    )


def show(document: dict[str, Any]) -> None:
    """The losses that the run ends with."""
    from polymod.commands.score import show as show_scores

    speed = document["speed"]
    rates = f"{speed['tokens_per_second']:,.0f} tokens/s, {speed['flops_per_second'] / 1e9:,.0f} GFLOP/s"
    share = f", {speed['mfu']:.1%} of the device's peak (MFU)" if speed["mfu"] is not None else ""
    print(f"{document['run']}: {document['step']:,} steps in {document['seconds']:,.0f} s, {rates}{share}")
    show_scores(document["valid"])
