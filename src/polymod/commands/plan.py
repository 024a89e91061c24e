"""``polymod plan``: parameters, memory, disk, time and epochs per language, before anything runs."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from polymod.commands import pretrain
from polymod.config import CommandConfig, Names, Tree
from polymod.diagnose.options import MonitorOptions
from polymod.errors import UserError
from polymod.model.config import Architecture, Arm, ModelConfig
from polymod.train.config import (
    HangAfter,
    MixtureOptions,
    ModelOptions,
    ResidencyOptions,
    Shard,
    ShardPacks,
    TrainOptions,
    TreatmentOptions,
    UpdateName,
)

if TYPE_CHECKING:
    from polymod.train.fitting import Need

H200_SUSTAINED = 0.4 * 989e12  # FLOP/s: 40 % of the data sheet, the target of docs/design/001-model.md
MOST_EPOCHS = 4  # beyond these, repeated text teaches little


class Config(CommandConfig):
    """Takes the options of pretrain, or its config file. Without --data, say how many languages and how large
    a vocabulary; with it, the epochs of every language are shown.
    """

    data: Path | None = Field(None, description="folder that prepare wrote")
    out: Path | None = Field(None, description="run folder; not used")
    arm: Arm = Field("modular", description="a pack per language, one pack for all, or no pack")
    languages: Names = Field((), description="languages to train on")
    num_languages: int = Field(0, ge=0, le=10_000, description="so many languages, instead of naming them")
    vocab_size: int = Field(250_002, gt=300, description="rows of the vocabulary, if there is no --data")
    flops: float = Field(0, ge=0, description="sustained FLOP/s of the device; 0: measure this machine")
    device_memory: float = Field(
        0, ge=0, description="GB of a device's memory; 0: what this machine has for each process"
    )
    calibrate: int = Field(
        0, ge=0, description="time so many steps here, on made-up data; this builds the model"
    )
    begin: Path | None = Field(None, description="as in pretrain; not counted")
    nproc: int = Field(1, ge=1, description="processes that share a step, a device each")
    hang_after: HangAfter = 600.0
    shard: Shard = False
    shard_packs: ShardPacks = False
    bandwidth: float = Field(10.0, gt=0, description="GB/s between processes")
    update: UpdateName = Field("joint", description="how a step is made")
    compile: bool = Field(False, description="as in pretrain; not counted")
    model: ModelOptions = ModelOptions()
    train: TrainOptions = TrainOptions()
    mixture: MixtureOptions = MixtureOptions()
    treatment: TreatmentOptions = TreatmentOptions()
    monitor: MonitorOptions = MonitorOptions()
    residency: ResidencyOptions = ResidencyOptions()

    @classmethod
    def preset(cls, given: Tree) -> tuple[str, Tree]:
        """Sizes and training defaults of ``--model.preset``."""
        return pretrain.Config.preset(given)


def main(config: Config) -> dict[str, Any]:
    """Count; nothing is built unless ``--calibrate`` asks for it."""
    from polymod.model.flops import flops_per_token, parameters
    from polymod.train.conflict import (
        check_blocks,
        check_mapped,
        check_modules,
        check_shard,
        check_shard_packs,
    )
    from polymod.train.fitting import Need, changes
    from polymod.train.memory import BF16, activation_bytes, checkpoint_bytes, machine_memory, mapped_bytes

    if config.num_languages and (config.data is not None or config.languages):
        named = "--languages" if config.data is None else "--data"
        what = f"{named} says which languages there are"
        raise UserError(what, where="--num-languages", fix="leave out one of the two")
    if config.shard:
        check_shard(config.nproc, config.update, config.residency, monitored=config.monitor.gradients > 0)
    if config.shard_packs:
        check_shard_packs(config.nproc, config.arm, config.update)
    if config.residency.mapped:
        check_mapped(config.arm, config.update)
    if config.update.startswith("meta"):
        check_modules(config.arm)
    check_blocks(config.nproc, config.train, config.update)
    tokens, vocab_size = _data(config)
    model = _model(config, tuple(tokens), vocab_size)
    flops = flops_per_token(model, config.train.block_tokens, config.train.mask_probability)
    seen = config.train.steps * config.train.batch_tokens
    languages = _languages(config, tokens)
    need = Need(model, config.train, config.update, config.treatment, config.residency)
    element = activation_bytes(config.train.device, config.train.precision)
    need = replace(need, element=element, processes=config.nproc, spread=config.shard)
    need = replace(need, shared_out=config.shard_packs)
    there = int(config.device_memory * 1e9) or machine_memory(config.train.device, config.nproc)
    ways = [asdict(way) for way in changes(need, there)]
    copies = 1 if config.shard_packs else config.nproc
    return {
        "preset": config.model.preset,
        "arm": config.arm,
        "num_languages": len(tokens),
        "parameters": parameters(model),
        "memory": need.parts,
        "memory_bf16": replace(need, element=BF16).parts,
        "device": {"memory": there, "fits": need.total <= there, "changes": ways},
        "disk": {
            "checkpoint": checkpoint_bytes(model),
            "kept": config.train.keep * checkpoint_bytes(model),
            "idle": copies * mapped_bytes(model) if config.residency.mapped else 0,
        },
        "tokens": seen,
        "flops": {"per_token": flops, "total": flops["total"] * seen},
        "time": _time(config, need, flops["total"] * seen),
        "communication": _communication(config, need),
        "languages": languages,
        "warnings": _epochs(languages),
    }


def _model(config: Config, languages: tuple[str, ...], vocab_size: int) -> ModelConfig:
    return ModelConfig(
        architecture=Architecture(**config.model.model_dump(exclude={"preset", "language_embedding"})),
        arm=config.arm,
        language_embedding=config.model.language_embedding,
        languages=languages,
        vocab_size=vocab_size,
        mask_id=vocab_size - 1,
    )


def _time(config: Config, need: Need, flops: float) -> dict[str, Any]:
    """Seconds of the run in all, shared among the processes, by what is assumed of the device."""
    from polymod.bench.timing import training_flops

    here, at_once = config.flops, config.nproc
    if not here:
        here, at_once = training_flops(), _at_once(config.nproc)
    found: dict[str, Any] = {
        name: {"flops_per_second": rate, "seconds": flops / rate / processes}
        for name, rate, processes in (("device", here, at_once), ("h200", H200_SUSTAINED, config.nproc))
    }
    if config.calibrate:
        from polymod.bench.calibration import seconds_per_step
        from polymod.bench.stepping import Work
        from polymod.train.run import device_and_dtype

        device, dtype = device_and_dtype(config.train.device, config.train.precision, where="--train.device")
        work = Work(need.model, need.train, need.update, need.treatment, device, dtype)
        step = seconds_per_step(work, rounds=config.calibrate)
        processes = config.nproc if device.type == "cuda" else _at_once(config.nproc)
        seconds = step * config.train.steps / processes
        found["measured"] = {"seconds_per_step": step, "rounds": config.calibrate, "seconds": seconds}
    return found


def _at_once(nproc: int) -> int:
    """How many of the processes the cores of this machine serve as well as the one that was timed here."""
    import torch

    from polymod.text.options import cores

    return min(nproc, max(1, cores() // torch.get_num_threads()))


def _communication(config: Config, need: Need) -> dict[str, Any]:
    """What the processes send each other, or nothing for one."""
    from polymod.train.memory import exchanged_bytes, gradient_bytes

    if config.nproc == 1:
        return {}
    reduced = gradient_bytes(need.model, need.train)
    around = exchanged_bytes(need.model, need.train, config.nproc) if config.shard else 2 * reduced
    sent = (config.nproc - 1) / config.nproc * around  # a ring: each part of a sum goes round twice
    seconds = sent / (config.bandwidth * 1e9)
    total = seconds * config.train.steps
    return {"reduced": reduced, "sent": sent, "seconds_per_step": seconds, "seconds": total}


def _data(config: Config) -> tuple[dict[str, int], int]:
    """Training tokens by language (0 if unknown) and vocabulary."""
    from polymod.languages import canonical_all

    if config.data is not None:
        from polymod.text.shards import Shards

        shards = Shards.open(
            config.data, languages=canonical_all(config.languages, where="--languages") or None, verify=False
        )
        there = {tag: shards.num_tokens(tag, "train") for tag in shards.tags}
        most = config.mixture.max_tokens
        return {tag: min(count, most or count) for tag, count in there.items()}, shards.vocabulary.size
    tags = canonical_all(config.languages, where="--languages") or tuple(
        f"qaa-x-{i:05d}" for i in range(config.num_languages or 1)
    )
    return dict.fromkeys(tags, 0), config.vocab_size


def _languages(config: Config, tokens: dict[str, int]) -> dict[str, Any]:
    from polymod.data.mixture import shares

    if config.data is None:
        return {}
    seen = config.train.steps * config.train.batch_tokens
    share_of = shares(tokens, config.mixture.alpha)
    return {
        tag: {"tokens": count, "share": share_of[tag], "epochs": share_of[tag] * seen / max(1, count)}
        for tag, count in tokens.items()
    }


def _epochs(languages: dict[str, Any]) -> list[str]:
    """A warning if languages are repeated too often."""
    often = sorted(
        (tag for tag, entry in languages.items() if entry["epochs"] > MOST_EPOCHS),
        key=lambda tag: -languages[tag]["epochs"],
    )
    if not often:
        return []
    named = ", ".join(f"{tag} {languages[tag]['epochs']:.0f}" for tag in often[:8])
    fix = "lower --train.steps, raise --mixture.alpha where they are small, or add text"
    return [f"{len(often)} languages are seen more than {MOST_EPOCHS} times ({named}): {fix}"]


def show(document: dict[str, Any]) -> None:
    """The same for people."""
    p, m = document["parameters"], document["memory"]
    print(f"{document['preset']}, {document['arm']} arm, {document['num_languages']:,} languages")
    parts = ", ".join(f"{part} {p[part] / 1e6:,.1f}" for part in ("embeddings", "body", "head", "packs"))
    print(f"parameters  {p['total'] / 1e6:,.1f} M: {parts}; a pack {p['pack'] / 1e6:,.2f}")
    named = ", ".join(f"{part} {m[part] / 1e9:.2f}" for part in m if part != "total" and m[part])
    print(f"memory      {m['total'] / 1e9:.2f} GB: {named}")
    half = document["memory_bf16"]["total"]
    bf16 = f"{half / 1e9:.2f} GB with activations in bf16; " if half < m["total"] else ""
    print(f"            {bf16}Python and its libraries add about 0.5 GB")
    _show_fit(document["device"])
    disk = document["disk"]
    print(f"disk        {disk['checkpoint'] / 1e9:.2f} GB a checkpoint, {disk['kept'] / 1e9:.2f} GB in all")
    if disk["idle"]:
        print(f"            {disk['idle'] / 1e9:.2f} GB for idle languages while it runs, at most")
    print(f"tokens      {document['tokens'] / 1e6:,.0f} M, {document['flops']['total']:.2e} FLOPs")
    _show_time(document["time"], document["communication"])
    for tag, entry in document["languages"].items():
        print(
            f"  {tag:<16} {entry['tokens']:>14,} tokens {entry['share']:7.2%} {entry['epochs']:8.2f} epochs"
        )
    for warning in document["warnings"]:
        print(f"warning: {warning}")


def _show_fit(device: dict[str, Any]) -> None:
    there = f"{device['memory'] / 1e9:.1f} GB"
    if device["fits"]:
        print(f"            fits the device's {there}")
        return
    print(f"            does NOT fit the device's {there}; what would:")
    for way in device["changes"]:
        options = " ".join(f"--{name} {value}" for name, value in way["options"].items())
        print(f"              {options}  ({way['total'] / 1e9:.2f} GB)")
    if not device["changes"]:
        print("              nothing that plan knows: smaller sizes of the model, or another device")


def _show_time(times: dict[str, Any], communication: dict[str, Any]) -> None:
    other = "one H200 each" if communication else "one H200"
    for label, entry in (("here", times["device"]), (other, times["h200"])):
        rate = f"at {entry['flops_per_second'] / 1e9:,.0f} GFLOP/s"
        print(f"time        {_duration(entry['seconds'])} {label} {rate} (estimate)")
    if measured := times.get("measured"):
        step = f"{measured['seconds_per_step']:.3g} s a step, {measured['rounds']} timed"
        print(f"time        {_duration(measured['seconds'])} here ({step})")
    if communication:
        sent = f"{communication['sent'] / 1e6:,.1f} MB a process and step"
        print(f"sending     {sent}, {_duration(communication['seconds'])} in all if it waits for it")


def _duration(seconds: float) -> str:
    for unit, size in (("years", 31_557_600), ("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    if seconds < 1:
        return "less than a second"
    return "1 second" if seconds < 1.5 else f"{seconds:.0f} seconds"
