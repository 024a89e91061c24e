"""The arithmetic of a model: parameters and floating-point operations, without building it."""

from __future__ import annotations

from polymod.model.config import ModelConfig

# Dense bf16 FLOP/s of devices, by what their names contain, as the vendor has them.
PEAK_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}


def parameters(config: ModelConfig) -> dict[str, int]:
    """Parameters by part: ``embeddings``, ``body``, ``head``, ``pack`` (one language), ``packs`` (all),
    ``total``.
    """
    a = config.architecture
    d, f, b = a.hidden_size, a.ffn_size, a.bottleneck_size
    embeddings = config.vocab_size * d + 2 * d
    if a.positions == "learned":
        embeddings += (a.max_length + config.pad_id + 1) * d
    attention = 4 * (d * d + d)
    up = (2 if a.gated else 1) * (d * f + f)
    own_norm = 2 * d if a.module_norm == "own" and config.arm != "dense" else 0
    body = a.num_layers * (attention + up + f * d + d + 4 * d + own_norm) + (2 * d if a.pre_norm else 0)
    head = d * d + d + 2 * d + config.vocab_size
    pack = a.num_layers * a.modules_per_layer * (2 * d * b + b + d)
    packs = pack * len(config.packs) + (d * len(config.languages) if config.language_embedding else 0)
    own = sum(vocabulary.own_rows * (d + 1) for vocabulary in config.own_vocabularies.values())
    total = embeddings + body + head + packs + own
    return {
        "embeddings": embeddings,
        "body": body,
        "head": head,
        "pack": pack,
        "packs": packs,
        "total": total,
    }


def flops_per_token(config: ModelConfig, length: float, predicted: float) -> dict[str, float]:
    """Training FLOPs (forward and backward) per real token.

    Args:
        length: mean length of the sequence that a token belongs to.
        predicted: share of the positions at which a token is predicted.

    Returns:
        ``encoder``, ``attention`` (the quadratic part), ``head`` and ``total``. An embedding look-up costs
        nothing.
    """
    a = config.architecture
    d, f = a.hidden_size, a.ffn_size
    b = a.bottleneck_size * a.modules_per_layer if config.arm != "dense" else 0
    encoder = 6.0 * a.num_layers * (4 * d * d + (3 if a.gated else 2) * d * f + 2 * d * b)
    attention = 12.0 * a.num_layers * d * length
    head = 6.0 * predicted * (d * config.vocab_size + d * d)
    return {"encoder": encoder, "attention": attention, "head": head, "total": encoder + attention + head}


def peak_flops(device_name: str) -> float | None:
    """Dense bf16 FLOP/s of a device by the vendor's data sheet; ``None`` if it is not known."""
    return next((peak for known, peak in PEAK_FLOPS.items() if known in device_name), None)
