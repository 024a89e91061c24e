"""What would have to change for a run to fit the memory of a device, by counting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from polymod.model.config import PRESETS, Architecture, ModelConfig
from polymod.train.config import ResidencyOptions, TrainOptions, TreatmentOptions, UpdateName
from polymod.train.memory import BF16, FP32, TRUNKS, extra_trunks, languages_of_step, memory

_LEAST_HELD = 2  # trunk gradients that surgery needs at once


@dataclass(frozen=True)
class Need:
    """What decides how much memory a run needs.

    Attributes:
        element: bytes of an activation.
        processes: that share a step.
        spread: each of them has only its share of the trunk.
        shared_out: each of them keeps the packs of its share of the languages only.
    """

    model: ModelConfig
    train: TrainOptions
    update: UpdateName = "joint"
    treatment: TreatmentOptions = field(default_factory=TreatmentOptions)
    residency: ResidencyOptions = field(default_factory=ResidencyOptions)
    element: int = FP32
    processes: int = 1
    spread: bool = False
    shared_out: bool = False

    @property
    def parts(self) -> dict[str, int]:
        """Bytes by part and in all, as ``memory`` counts them."""
        in_step = languages_of_step(len(self.model.packs), self.train)
        trunks = extra_trunks(self.update, self.treatment, in_step)
        return memory(
            self.model,
            self.train,
            element=self.element,
            trunks=trunks,
            residency=self.residency,
            shares=self.processes if self.spread else 1,
            pack_shares=self.processes if self.shared_out else 1,
        )

    @property
    def total(self) -> int:
        """Bytes in all."""
        return self.parts["total"]


@dataclass(frozen=True)
class Change:
    """Options to give, and the bytes that the run needs then."""

    options: dict[str, str]
    total: int


def changes(need: Need, there: int) -> list[Change]:
    """Ways to fit a run into ``there`` bytes; none if it fits, or if nothing here makes it fit.

    What leaves the result as it is (but for rounding) comes first and alone if it is enough; what changes the
    model or its precision is counted on top of it.
    """
    if need.total <= there:
        return []
    for options, smaller in _same_result(need):
        if smaller.total <= there:
            return [Change(options, smaller.total)]
    *_, (least, smallest) = _same_result(need)
    found = []
    for ways in (_half(smallest), _fewer_languages(smallest), _smaller_presets(smallest)):
        fitting = ((options, other) for options, other in ways if other.total <= there)
        if way := next(fitting, None):
            found.append(Change({**least, **way[0]}, way[1].total))
    return found


def _same_result(need: Need) -> Iterator[tuple[dict[str, str], Need]]:
    """Smaller micro-batches, the largest first; then fewer gradients held; then idle languages elsewhere, or
    packs or the trunk spread over processes: the way that frees less first, each with all of these steps.
    """
    steps = [({}, need), *_smaller_steps(need)]
    least = steps[-1][1]
    ways = [(way, fields) for way, fields in _elsewhere(need) if replace(least, **fields).total < least.total]
    yield from steps[1:] if len(steps) > 1 or ways else steps
    for way, fields in sorted(ways, key=lambda each: -replace(least, **each[1]).total):
        yield from (({**options, **way}, replace(other, **fields)) for options, other in steps)


def _smaller_steps(need: Need) -> Iterator[tuple[dict[str, str], Need]]:
    options: dict[str, str] = {}
    tokens = min(need.train.micro_tokens, need.train.batch_tokens)
    while tokens // 2 >= need.train.block_tokens:
        tokens //= 2
        need = replace(need, train=need.train.model_copy(update={"micro_tokens": tokens}))
        options = {"train.micro-tokens": str(tokens)}
        yield options, need
    if need.update not in TRUNKS and need.treatment.hold != _LEAST_HELD:
        treatment = need.treatment.model_copy(update={"hold": _LEAST_HELD})
        yield {**options, "treatment.hold": str(_LEAST_HELD)}, replace(need, treatment=treatment)


def _elsewhere(need: Need) -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    """Idle languages out of memory, or packs or the trunk spread over processes: one of them, or both of
    the last two; options, and what they change of a need.
    """
    if need.residency.mapped or need.spread or need.shared_out:
        return
    modular = need.model.arm == "modular" and not need.update.startswith("meta")
    if modular:
        mapped = need.residency.model_copy(update={"mapped": True})
        yield {"residency.mapped": "true"}, {"residency": mapped}
    if modular and need.processes > 1 and need.update != "balance":
        yield {"shard-packs": "true"}, {"shared_out": True}
    if need.processes > 1 and need.update == "joint":
        yield {"shard": "true"}, {"spread": True}
        if modular:
            yield {"shard": "true", "shard-packs": "true"}, {"spread": True, "shared_out": True}


def _half(need: Need) -> Iterator[tuple[dict[str, str], Need]]:
    if need.element != BF16:
        yield {"train.precision": "bf16"}, replace(need, element=BF16)


def _fewer_languages(need: Need) -> Iterator[tuple[dict[str, str], Need]]:
    """Nine tenths of the languages, and again; only a pack per language makes them cost anything."""
    tags = need.model.languages
    while need.model.arm == "modular" and len(tags) > 1:
        tags = tags[: len(tags) * 9 // 10]
        yield (
            {"languages": f"{len(tags)} of them"},
            replace(need, model=need.model.model_copy(update={"languages": tags})),
        )


def _smaller_presets(need: Need) -> Iterator[tuple[dict[str, str], Need]]:
    """Presets of the same kind of model that are smaller, the largest first."""
    architecture = need.model.architecture
    there = {name: Architecture(**sizes["model"]) for name, sizes in PRESETS.items()}
    smaller = [
        (name, sizes)
        for name, sizes in there.items()
        if sizes.positions == architecture.positions and sizes.hidden_size < architecture.hidden_size
    ]
    for name, sizes in sorted(smaller, key=lambda each: -each[1].hidden_size):
        model = need.model.model_copy(update={"architecture": sizes})
        yield {"model.preset": name}, replace(need, model=model)
