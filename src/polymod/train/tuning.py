"""Choices that depend on the device, made by timing them on it before training."""

from __future__ import annotations

import time

import torch

from polymod.batch import Batch
from polymod.model.grouped import is_available
from polymod.model.packs import Packs, apply_modules

ROUNDS = 5
FEWEST_SPANS = 2  # with one there is nothing to group


def choose_grouping(packs: Packs, batch: Batch, dtype: torch.dtype, activation: str) -> dict[str, float]:
    """Let a batch's modules be computed together if that is faster here than one language after the other.

    Both ways run forward and backward on random rows of the batch's route. On a CPU the loop always wins, so
    nothing is timed there.

    Returns:
        Seconds of a step's modules each way, ``loop`` and ``grouped``; empty if there was no choice.
    """
    weight = next(packs.parameters())
    spans = len(batch.route.spans)
    if weight.device.type != "cuda" or not is_available() or spans < FEWEST_SPANS:
        return {}
    seconds = {}
    for name, grouped_from in (("loop", 0), ("grouped", FEWEST_SPANS)):
        packs.grouped_from = grouped_from
        seconds[name] = _seconds(packs, batch, dtype, activation)
    packs.zero_grad(set_to_none=True)
    packs.grouped_from = FEWEST_SPANS if seconds["grouped"] < seconds["loop"] else 0
    return seconds


def _seconds(packs: Packs, batch: Batch, dtype: torch.dtype, activation: str) -> float:
    """The best of some rounds, all places of modules forward and backward."""
    device, hidden_size = next(packs.parameters()).device, packs.sizes[1]
    x_ND = torch.randn(batch.num_tokens, hidden_size, device=device, dtype=dtype, requires_grad=True)
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            out_ND = x_ND
            for routed in packs.select(batch.route):
                out_ND = out_ND + apply_modules(out_ND, routed, activation)
        out_ND.float().square().mean().backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
    return best
