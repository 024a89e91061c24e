"""The GPU suite: X-MOD base with 75 languages and 250,002 rows of vocabulary in bf16, on one CUDA device.

Targets are T3 to T9 of the design's performance page. FLOPs are those of ``model.flops``: real tokens only.
"""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch._dynamo.utils import counters

from polymod.bench.peers import Ours, bench_config, ragged_batch, twins
from polymod.bench.timing import interleaved, ratio
from polymod.errors import UserError
from polymod.model.compiled import compile_pieces
from polymod.model.config import PRESETS, ModelConfig
from polymod.model.flops import PEAK_FLOPS, flops_per_token, peak_flops
from polymod.model.heads import MaskedLM, initialise
from polymod.model.loss import masked_lm_loss, softmax_gradient

Case = dict[str, Any]
VOCAB, LANGUAGES, ACTIVE = 250_002, 75, 8
GEMM = 8192  # rows and columns of the product that says what the device reaches
HALF = torch.bfloat16


def beside_transformers(rounds: int) -> Case:
    """Real tokens per second over those of ``transformers``, where a third is padding (T3)."""
    config = _base()
    batch = ragged_batch(config, sequences=96, active=ACTIVE)
    ours, theirs = twins(config, batch, device="cuda", dtype=HALF)
    seconds = interleaved({"ours": _waited(ours.step), "theirs": _waited(theirs.step)}, rounds)
    padding = 1 - batch.num_tokens / (len(batch.lengths) * max(batch.lengths))
    rates = {
        f"{side}_tokens_per_second": batch.num_tokens / statistics.median(s) for side, s in seconds.items()
    }
    return {"ratio": ratio(seconds["theirs"], seconds["ours"]), "padding": padding, **rates}


def mfu(rounds: int) -> Case:
    """Share of the peak, and of a large product's FLOP/s, in steps of full blocks of 512 tokens (T4)."""
    torch.cuda.reset_peak_memory_stats()
    ours = _ours(_base(), sequences=128)
    compile_pieces(ours.model)
    seconds = interleaved({"step": _waited(ours.step), "product": _waited(_product())}, rounds)
    predicted = len(ours.batch.targets_M) / ours.batch.num_tokens
    flops = flops_per_token(ours.model.config, 512, predicted)["total"] * ours.batch.num_tokens
    achieved = [flops / each for each in seconds["step"]]
    reached = 2 * GEMM**3 / min(seconds["product"])
    peak = _peak()
    shares = [each / peak for each in achieved]
    spread = {"median": statistics.median(shares), "min": min(shares), "max": max(shares), "rounds": rounds}
    return {
        "ratio": spread,
        "unit": "of the peak",
        "of_a_product": statistics.median(achieved) / reached,
        "tokens_per_second": ours.batch.num_tokens / statistics.median(seconds["step"]),
        "memory_gb": torch.cuda.max_memory_allocated() / 1e9,
    }


def installed(rounds: int) -> Case:
    """Step time with 1,000 installed languages over 8, of which 8 are in the batch (T7)."""
    few, many = (_ours(_base(count), sequences=32) for count in (ACTIVE, 1000))
    seconds = interleaved({"few": _waited(few.step), "many": _waited(many.step)}, rounds)
    return {"ratio": ratio(seconds["many"], seconds["few"])}


def modularity_tax(rounds: int) -> Case:
    """Step time of a batch in 16 languages over that of the shared arm (T6)."""
    modular, shared = (_ours(_base(arm=arm), sequences=64, active=16) for arm in ("modular", "shared"))
    seconds = interleaved({"modular": _waited(modular.step), "shared": _waited(shared.step)}, rounds)
    return {"ratio": ratio(seconds["modular"], seconds["shared"])}


def grouped(rounds: int) -> Case:
    """Step time with grouped products over that of the loop over 64 languages."""
    loop, together = (_ours(_base(), sequences=64, active=64) for _ in range(2))
    together.model.encoder.packs.grouped_from = 2
    seconds = interleaved({"loop": _waited(loop.step), "grouped": _waited(together.step)}, rounds)
    return {"ratio": ratio(seconds["grouped"], seconds["loop"])}


def compiled(rounds: int) -> Case:
    """Step time with compiled pieces over that without, and graphs made after the tenth step (T5: none)."""
    eager, fused = (_ours(_base(), sequences=64) for _ in range(2))
    compile_pieces(fused.model)
    batches = [ragged_batch(_base(), sequences=32 + i, active=1 + i, seed=i) for i in range(20)]
    before = 0
    for index, batch in enumerate(batches):
        before = _graphs() if index == 10 else before
        Ours(fused.model, batch.to(torch.device("cuda")), HALF).backward()
    again = _graphs() - before
    seconds = interleaved({"eager": _waited(eager.step), "fused": _waited(fused.step)}, rounds)
    return {"ratio": ratio(seconds["fused"], seconds["eager"]), "compiled_again": again}


def _graphs() -> int:
    """Graphs that torch.compile has made so far."""
    return int(counters["stats"]["unique_graphs"])


def head(rounds: int) -> Case:
    """The compiled head's forward and backward for 16,384 predictions over its three matrix products (T9)."""
    generator = torch.Generator("cuda").manual_seed(0)
    h_MD = torch.randn(16_384, 768, device="cuda", dtype=HALF, generator=generator, requires_grad=True)
    weight_VD = (0.02 * torch.randn(VOCAB, 768, device="cuda", generator=generator)).requires_grad_()
    bias_V = torch.zeros(VOCAB, device="cuda", requires_grad=True)
    targets_M = torch.randint(VOCAB, (16_384,), device="cuda", generator=generator)

    fused = torch.compile(softmax_gradient, dynamic=True)

    def loss() -> None:
        with torch.autocast("cuda", HALF):
            total, _ = masked_lm_loss(h_MD, weight_VD, bias_V, targets_M, scale=1 / 16_384, fused=fused)
        torch.autograd.grad(total, (h_MD, weight_VD, bias_V))

    half_VD = weight_VD.detach().to(HALF)
    grad_MV = torch.randn(4096, VOCAB, device="cuda", dtype=HALF, generator=generator)

    def products() -> None:
        for start in range(0, 16_384, 4096):
            rows_CD = h_MD.detach()[start : start + 4096]
            F.linear(rows_CD, half_VD)
            grad_MV @ half_VD
            grad_MV.t() @ rows_CD

    seconds = interleaved({"head": _waited(loss), "products": _waited(products)}, rounds)
    return {"ratio": ratio(seconds["head"], seconds["products"])}


def waits(rounds: int) -> Case:
    """How often forward and backward of a step wait for the device (T5: never)."""
    ours = _ours(_base(), sequences=64)
    ours.step()
    mode, counts = torch.cuda.get_sync_debug_mode(), []
    torch.cuda.set_sync_debug_mode("warn")
    try:
        for _ in range(rounds):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                ours.backward()
            counts.append(float(sum("synchroniz" in str(each.message) for each in caught)))
    finally:
        torch.cuda.set_sync_debug_mode(mode)
    spread = {"median": statistics.median(counts), "min": min(counts), "max": max(counts), "rounds": rounds}
    return {"ratio": spread, "unit": "waits"}


CASES: dict[str, Callable[[int], Case]] = {
    "transformers_base": beside_transformers,
    "mfu": mfu,
    "installed_1000_over_8": installed,
    "modularity_tax": modularity_tax,
    "grouped_over_loop": grouped,
    "compiled_over_eager": compiled,
    "head_over_gemm": head,
    "waits": waits,
}


def cases() -> dict[str, Callable[[int], Case]]:
    """The suite.

    Raises:
        UserError: there is no CUDA device.
    """
    if not torch.cuda.is_available():
        raise UserError("the suite 'gpu' needs a CUDA device", fix="give --suite cpu on this machine")
    return CASES


def _base(num_languages: int = LANGUAGES, arm: str = "modular") -> ModelConfig:
    return bench_config(arm, num_languages=num_languages, vocab_size=VOCAB, sizes=PRESETS["base"])


def _ours(config: ModelConfig, *, sequences: int, active: int = ACTIVE) -> Ours:
    """A step of full blocks of 512 tokens."""
    model = MaskedLM(config)
    initialise(model, seed=0)
    batch = ragged_batch(config, sequences=sequences, active=active, shortest=512, longest=512)
    return Ours(model.cuda().train(), batch.to(torch.device("cuda")), HALF)


def _waited(step: Callable[[], object]) -> Callable[[], None]:
    """A step to its end on the device."""

    def run() -> None:
        step()
        torch.cuda.synchronize()

    return run


def _product() -> Callable[[], object]:
    """A large bf16 product of random numbers (zeros would be faster than real data)."""
    a, b = (torch.randn(GEMM, GEMM, device="cuda", dtype=HALF) for _ in range(2))
    return lambda: a @ b


def _peak() -> float:
    """The vendor's dense bf16 FLOP/s of this device.

    Raises:
        UserError: the device is not known.
    """
    name = torch.cuda.get_device_name()
    if (peak := peak_flops(name)) is not None:
        return peak
    what = f"the peak of {name!r} is not known"
    raise UserError(what, fix=f"known: {', '.join(PEAK_FLOPS)}; leave out the case mfu with --cases")
