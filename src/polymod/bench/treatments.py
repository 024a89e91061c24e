"""The suite of treatments: what a step costs with each update, beside the joint one on the same batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

from polymod.batch import GlobalBatch
from polymod.bench.peers import bench_config, ragged_batch
from polymod.bench.stepping import Work, stepping
from polymod.bench.timing import interleaved, ratio
from polymod.model.config import ModelConfig
from polymod.model.flops import parameters
from polymod.train.config import TrainOptions, TreatmentOptions, UpdateName
from polymod.train.memory import FP32, extra_trunks

Case = dict[str, Any]
VOCAB, BLOCK = 32_000, 128


def beside_joint(name: UpdateName, rounds: int, *, languages: int = 8, hold: int = 0) -> Case:
    """Step time over that of the joint update, optimiser included, and what it holds in memory besides."""
    treatment = TreatmentOptions(hold=hold)
    config = bench_config("modular", num_languages=languages, vocab_size=VOCAB)
    contenders = {
        "treated": _stepping(name, config, treatment),
        "joint": _stepping("joint", config, treatment),
    }
    seconds = interleaved(contenders, rounds)
    counts, trunks = parameters(config), extra_trunks(name, treatment, languages)
    return {
        "ratio": ratio(seconds["treated"], seconds["joint"]),
        "languages": languages,
        "trunks": trunks,
        "bytes": FP32 * trunks * (counts["total"] - counts["packs"]),
    }


CASES: dict[str, Callable[[int], Case]] = {
    "pcgrad": partial(beside_joint, "pcgrad"),
    "pcgrad_hold_2": partial(beside_joint, "pcgrad", hold=2),
    "gradvac": partial(beside_joint, "gradvac"),
    "balance": partial(beside_joint, "balance"),
    "meta_fast_4": partial(beside_joint, "meta-fast", languages=4),
    "meta_fast_32": partial(beside_joint, "meta-fast", languages=32),
    "meta_4": partial(beside_joint, "meta", languages=4),
    "meta_32": partial(beside_joint, "meta", languages=32),
}
if find_spec("torchjd"):  # extra ``mtl``
    CASES["jd_aligned_mtl"] = partial(beside_joint, "jd:AlignedMTL")


def _stepping(name: UpdateName, config: ModelConfig, treatment: TreatmentOptions) -> Callable[[], object]:
    """A step on one batch in all languages; the learning rate is that of the middle of a run."""
    micro = ragged_batch(config, active=len(config.languages))
    options = TrainOptions(steps=10**6, warmup=0.0, batch_tokens=micro.num_tokens, block_tokens=BLOCK)
    step = stepping(Work(config, options, name, treatment))
    return partial(step, GlobalBatch((micro,), len(micro.targets_M), ""))
