"""How much memory and disk a run needs, by counting; no model is built. Checked against measurements in
tests.

D model width, F feed-forward width, B bottleneck width, V vocabulary.
"""

from __future__ import annotations

import os
from pathlib import Path

from polymod.model.config import ROWS_PER_CHUNK, ModelConfig
from polymod.model.flops import parameters
from polymod.train.config import ResidencyOptions, TrainOptions, TreatmentOptions, UpdateName

FP32, BF16 = 4, 2
# Tensors as large as the trunk that an update holds besides its weights, gradients and moments.
TRUNKS: dict[str, int] = {"joint": 0, "balance": 1, "meta": 4, "meta-fast": 2}


def extra_trunks(update: UpdateName, treatment: TreatmentOptions, languages: int) -> int:
    """How many such tensors; surgery and aggregation keep a gradient of each language of a step.

    Args:
        languages: of a step.
    """
    return TRUNKS[update] if update in TRUNKS else min(treatment.hold or languages, languages)


def languages_of_step(languages: int, options: TrainOptions) -> int:
    """How many of so many languages can have text in one step."""
    return min(languages, max(1, options.batch_tokens // options.block_tokens))


def memory(
    config: ModelConfig,
    options: TrainOptions,
    *,
    element: int = FP32,
    trunks: int = 0,
    residency: ResidencyOptions | None = None,
    shares: int = 1,
    pack_shares: int = 1,
) -> dict[str, int]:
    """Bytes at the peak of a training step.

    Args:
        element: bytes of an activation: 4 in fp32, 2 under bf16 autocast.
        trunks: what ``extra_trunks`` says of the update.
        residency: where idle languages are; with ``mapped`` they are not counted.
        shares: processes that the trunk is spread over; the bytes are those of each.
        pack_shares: processes that the packs are shared out among.

    Returns:
        ``weights``, ``gradients`` (trunk and the languages of a batch), ``optimizer`` (moments),
        ``activations`` (of a micro-batch), ``head`` (logits and gradients of the output matrix),
        ``treatment`` (what the update holds besides), ``gathered`` (what is whole of a spread trunk) and
        ``total``.
    """
    counts = parameters(config)
    trunk = counts["total"] - counts["packs"]
    elsewhere = trunk - -(-trunk // shares)
    kept, lent = languages_here(config, options, residency, pack_shares)
    pack = counts["packs"] // max(1, len(config.packs))
    there = trunk - elsewhere + kept * pack
    rows = min(ROWS_PER_CHUNK, max(1, round(options.micro_tokens * options.mask_probability)))
    embedding = config.vocab_size * config.architecture.hidden_size
    parts = {
        "weights": FP32 * (there + lent * pack),
        "gradients": gradient_bytes(config, options) - FP32 * elsewhere,
        "optimizer": 2 * FP32 * there,
        "activations": element * options.micro_tokens * activations_per_token(config),
        "head": FP32 * (2 * rows * config.vocab_size + embedding),
        "treatment": FP32 * trunks * trunk,
        "gathered": gathered_bytes(config, element=element) if shares > 1 else 0,
    }
    return {**parts, "total": sum(parts.values())}


def gathered_bytes(config: ModelConfig, *, element: int = FP32) -> int:
    """Bytes of a spread trunk that a process has whole at the peak of a step, at the end of backward.

    Embeddings and head, their gradient and the copy of it that is sent; weights of two layers, gradients of
    one and their copy. Autocast keeps a half-precision copy of each layer from its forward pass on.
    """
    counts, layers = parameters(config), config.architecture.num_layers
    root = counts["embeddings"] + counts["head"]
    kept = element * counts["body"] if element < FP32 else 0
    return FP32 * (3 * root + 4 * counts["body"] // max(1, layers)) + kept


def exchanged_bytes(config: ModelConfig, options: TrainOptions, processes: int) -> int:
    """Bytes that go round once in a step with a spread trunk: for each micro-batch its layers are gathered
    twice, the rest once, and gradients summed once; then the sums of the packs, which go round twice.
    """
    counts = parameters(config)
    trunk = counts["total"] - counts["packs"]
    passes = -(-options.batch_tokens // (processes * options.micro_tokens))
    packs = gradient_bytes(config, options) - FP32 * trunk
    return FP32 * passes * (2 * trunk + counts["body"]) + 2 * packs


def languages_here(
    config: ModelConfig, options: TrainOptions, residency: ResidencyOptions | None, pack_shares: int
) -> tuple[int, int]:
    """Packs in a process's memory at the peak of a step: with moments, and lent to it without them."""
    installed = len(config.packs)
    of_step, kept = languages_of_step(installed, options), -(-installed // pack_shares)
    lent = min(of_step, installed - kept)
    if residency is not None and residency.mapped and config.arm == "modular":
        kept = min(kept, of_step + residency.languages)
    return kept, lent


def shortage(
    config: ModelConfig,
    options: TrainOptions,
    *,
    trunks: int = 0,
    residency: ResidencyOptions | None = None,
    shares: int = 1,
    pack_shares: int = 1,
    processes: int = 1,
) -> str:
    """A warning if a step on the CPU needs more memory than this machine has for each of so many processes;
    else nothing.
    """
    spread = {"shares": shares, "pack_shares": pack_shares}
    needed = memory(config, options, trunks=trunks, residency=residency, **spread)["total"]
    there = machine_memory("cpu", processes)
    if needed < 0.9 * there:
        return ""
    each = f" for each of {processes} processes" if processes > 1 else ""
    have = f"a step needs about {needed / 1e9:.1f} GB, this machine has {there / 1e9:.1f} GB{each}"
    ways = "lower --train.micro-tokens, or the sizes of the model"
    mapped = ResidencyOptions(mapped=True)
    fewer = memory(config, options, trunks=trunks, residency=mapped, **spread)["total"]
    if fewer < needed and not (residency and residency.mapped):
        ways = f"give --residency.mapped true, {ways}"
    return f"{have}: {ways}"


def machine_memory(device: str, processes: int = 1) -> int:
    """Bytes of memory that this machine has for each of so many processes: on a CUDA device if it has one and
    is not told ``cpu``, else their share of the host's.
    """
    if _cuda_here(device):
        import torch

        return int(torch.cuda.get_device_properties(0).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // processes


def activation_bytes(device: str, precision: str) -> int:
    """Bytes of an activation on such a device; ``auto`` is bf16 on CUDA, also on one that is not here."""
    half = precision == "bf16" or (precision == "auto" and (device.startswith("cuda") or _cuda_here(device)))
    return BF16 if half else FP32


def _cuda_here(device: str) -> bool:
    if device == "cpu" or not Path("/proc/driver/nvidia/version").exists():
        return False
    import torch  # only here: counting needs no torch

    return torch.cuda.is_available()


def gradient_bytes(config: ModelConfig, options: TrainOptions) -> int:
    """Bytes of gradients that a step has at most: the trunk's and those of the languages of a batch."""
    counts = parameters(config)
    trunk, per_language = counts["total"] - counts["packs"], counts["packs"] // max(1, len(config.packs))
    return FP32 * (trunk + languages_of_step(len(config.packs), options) * per_language)


def activations_per_token(config: ModelConfig) -> int:
    """Numbers that the forward pass keeps for the backward pass, per token."""
    a = config.architecture
    d = a.hidden_size
    attention = 3 * d + d + d + d  # projections, output, residual sum, norm
    rotated = 2 * d if a.positions == "rotary" else 0
    feed_forward = (4 if a.gated else 2) * a.ffn_size + 2 * d
    width = {"layer": 3 * d, "sublayers": d}[a.module_place]  # input, and norm and sum behind the layer
    module = a.modules_per_layer * (2 * a.bottleneck_size + width) if config.arm != "dense" else 0
    return a.num_layers * (attention + rotated + feed_forward + module) + 3 * d


def mapped_bytes(config: ModelConfig) -> int:
    """Size of the file of idle languages at most: weights and two moments of all of them."""
    return 3 * FP32 * parameters(config)["packs"] if config.arm == "modular" else 0


def checkpoint_bytes(config: ModelConfig) -> int:
    """Size of a checkpoint: weights and two moments."""
    return 3 * FP32 * parameters(config)["total"]
