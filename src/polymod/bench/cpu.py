"""The CPU suite: what this engine costs beside ``transformers``, more languages, one shared module."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from polymod.bench.data import tokens_per_second
from polymod.bench.peers import Ours, bench_config, differences, ragged_batch, twins
from polymod.bench.timing import interleaved, ratio
from polymod.model.heads import MaskedLM, initialise

Case = dict[str, Any]


def beside_transformers(vocab_size: int, rounds: int) -> Case:
    """Real tokens per second over those of ``transformers``; the same loss and gradients."""
    config = bench_config("modular", num_languages=8, vocab_size=vocab_size)
    batch = ragged_batch(config)
    ours, theirs = twins(config, batch)
    loss_difference, gradient_difference = differences(ours, theirs)
    seconds = interleaved({"ours": ours.step, "theirs": theirs.step}, rounds)
    padding = 1 - batch.num_tokens / (len(batch.lengths) * max(batch.lengths))
    rates = {
        f"{side}_tokens_per_second": batch.num_tokens / statistics.median(s) for side, s in seconds.items()
    }
    return {
        "ratio": ratio(seconds["theirs"], seconds["ours"]),
        "loss_difference": loss_difference,
        "gradient_difference": gradient_difference,
        "padding": padding,
        **rates,
    }


def installed(rounds: int) -> Case:
    """Step time with 1,000 installed languages over 8, of which 8 are in the batch."""
    few, many = (_ours("modular", num_languages=count) for count in (8, 1000))
    seconds = interleaved({"few": few.step, "many": many.step}, rounds)
    return {"ratio": ratio(seconds["many"], seconds["few"])}


def modularity_tax(rounds: int) -> Case:
    """Step time of a batch in eight languages over that of the shared arm, which does the same arithmetic."""
    modular, shared = (_ours(arm, num_languages=8) for arm in ("modular", "shared"))
    seconds = interleaved({"modular": modular.step, "shared": shared.step}, rounds)
    return {"ratio": ratio(seconds["modular"], seconds["shared"])}


CASES: dict[str, Callable[[int], Case]] = {
    "transformers_v32k": lambda rounds: beside_transformers(32_000, rounds),
    "transformers_v250k": lambda rounds: beside_transformers(250_002, rounds),
    "installed_1000_over_8": installed,
    "modularity_tax": modularity_tax,
    "loader": partial(tokens_per_second, 8),
}


def _ours(arm: str, *, num_languages: int) -> Ours:
    config = bench_config(arm, num_languages=num_languages, vocab_size=32_000)
    model = MaskedLM(config)
    initialise(model, seed=0)
    return Ours(model.train(), ragged_batch(config))


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {"torch": torch.__version__, "threads": torch.get_num_threads()}
