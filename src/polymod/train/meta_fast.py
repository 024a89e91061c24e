"""Meta-learned modules at a cost that does not grow with the number of languages: the virtual step is the
step that was really taken, the meta loss is the next batch, and the second derivative a finite difference.

What train/meta.py gets from gradients of gradients, this gets from one more pass over the previous batch:
``(grad_phi loss(theta + e d) - grad_phi loss(theta)) / e`` (DARTS, Liu, Simonyan and Yang 2019,
https://arxiv.org/abs/1806.09055). As the step is Adam's and not plain descent, its derivative with respect to
the gradient enters, a diagonal (SAMA, Choe et al. 2023, https://arxiv.org/abs/2310.05674).

theta is the trunk, phi the packs of the languages of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.func import functional_call

from polymod.batch import GlobalBatch
from polymod.errors import UserError
from polymod.metrics import StepMetrics
from polymod.model.heads import MaskedLM
from polymod.model.partition import TRUNK, owner
from polymod.train.config import TrainOptions, TreatmentOptions
from polymod.train.conflict import check_modules
from polymod.train.joint import apply, backward_all, begun
from polymod.train.loop import TrainState, Update
from polymod.train.meta import Tensors, gradient, leaves, norm, zeros
from polymod.train.parallel import ALONE, Ranks

RADIUS, RADIUS_BF16 = 1e-3, 1e-2
THETA = (
    "meta.theta/"  # of the step before: its trunk, the slope of its step, its packs, their plain gradients
)
KINDS = (THETA, "meta.slope/", "meta.phi/", "meta.plain/")
_AT_ONCE = 2**17


def meta_fast(
    model: MaskedLM,
    options: TrainOptions,
    treatment: TreatmentOptions,
    dtype: torch.dtype,
    batch_at: Callable[[int], GlobalBatch],
) -> Update[GlobalBatch]:
    """The update. Trunk and packs step together, the trunk as in the joint update.

    With ``v`` and ``direct``, the gradients of trunk and packs on this batch, the gradient of the packs is
    ``direct - (d2loss(previous batch)/dphi dtheta)^T (slope * v)``: what the trunk's previous step did to
    this loss. ``slope`` is the derivative of that step by its gradient, or ``inner_rate`` if that is given.

    The state carries the previous trunk and slope (two trunks of memory) and the packs of the previous batch
    with their plain gradients. Under bf16 the difference is two-sided and wider, because of rounding.

    Args:
        batch_at: the batch of a step; asked for the previous one after a restart.

    Raises:
        UserError: no packs, or an option that only the exact update has.
    """
    check_modules(model.config.arm)
    _refuse(treatment)
    one_sided = dtype == torch.float32
    radius = treatment.radius or (RADIUS if one_sided else RADIUS_BF16)
    trunk = {name: p for name, p in model.named_parameters() if owner(name) is TRUNK and p.requires_grad}
    packs = {name: p for name, p in model.named_parameters() if owner(name) is not TRUNK}
    kept: dict[int, GlobalBatch] = {}  # the previous batch by its step

    def update(state: TrainState, batch: GlobalBatch) -> StepMetrics:
        metrics = begun(batch)
        state.optimizer.zero_grad(set_to_none=True)
        device, before = next(model.parameters()).device, state.step - 1
        with state.reducer.summing(batch, metrics):
            backward_all(model, batch, dtype, metrics)
        v = {name: p.grad for name, p in trunk.items() if p.grad is not None}
        through: Tensors = {}
        theta, slope, old_phi, base = (carried(state.extra, kind, device) for kind in KINDS)
        if theta:
            previous = kept.get(before) or batch_at(before)
            seed = (options.seed, "dropout", before)
            at = partial(gradient_of_packs, model, previous, dtype, seed, ranks=state.ranks)
            direction = {name: slope[name].mul_(v[name]) if slope else v[name] for name in v}
            through = difference(at, theta, old_phi, direction, base if one_sided else None, radius)
        direct = {name: p.grad for name, p in packs.items() if p.grad is not None}
        plain = {name: _into(base.get(name), gradient) for name, gradient in direct.items()}
        phi = {name: _into(old_phi.get(name), packs[name].detach()) for name in direct}
        _bend(packs, through, 1.0 if slope else treatment.inner_rate)
        kept.clear()
        state.extra, last = {}, state.extra
        theta = {name: _into(last.get(THETA + name), p.detach()) for name, p in trunk.items()}
        if not apply(state, options, metrics).skipped:
            kept[state.step] = batch
            slope = {} if treatment.inner_rate else adam_slopes(state, v, slope, options, metrics)
            for kind, tensors in zip(KINDS, (theta, slope, phi, plain), strict=True):
                state.extra |= {kind + name: tensor for name, tensor in tensors.items()}
        return metrics

    return update


def difference(
    pack_gradient: Callable[[Tensors, Tensors], Tensors],
    theta: Tensors,
    phi: Tensors,
    direction: Tensors,
    base: Tensors | None,
    radius: float,
) -> Tensors:
    """``(d2loss/dphi dtheta)^T direction`` as the difference of gradients of the packs at two trunks.

    Args:
        pack_gradient: gradient of the loss with respect to phi, given theta and phi.
        theta: shifted in place and left there, to save memory.
        base: the gradient at theta itself, for a one-sided difference; ``None``: two-sided, a pass more.
        radius: length of the shift relative to theta's.
    """
    length = norm(direction)
    if not 0 < length < torch.inf:  # nothing to look for; what is not finite ends the step
        return {name: torch.zeros_like(tensor) * length for name, tensor in phi.items()}
    e = float(radius * norm(theta) / length)

    def shifted(distance: float) -> Tensors:
        for name, tensor in direction.items():
            theta[name].add_(tensor, alpha=distance)
        return pack_gradient(theta, phi)

    ahead = shifted(e)
    behind, width = (shifted(-2 * e), 2 * e) if base is None else (base, e)
    return {name: ahead[name].sub_(behind[name]).div_(width) for name in phi}


def adam_slope(m: Tensor, v: Tensor, g: Tensor, step: Tensor, options: TrainOptions) -> Tensor:
    """Derivative of Adam's step ``m / (sqrt(v) + epsilon)`` (both unbiased) with respect to its gradient.

    Args:
        m, v, step: mean gradient, mean squared gradient and steps as they are after the step.
        g: the gradient of the step.
    """
    unbias_m, unbias_v = 1 - options.beta1**step, 1 - options.beta2**step
    root = (v / unbias_v).sqrt_()
    below = root + options.epsilon
    pull = (m * g).mul_((1 - options.beta2) / (unbias_m * unbias_v))
    pull.div_(root.clamp_(min=torch.finfo(root.dtype).tiny)).div_(below)
    return pull.neg_().add_((1 - options.beta1) / unbias_m).div_(below)


def adam_slopes(
    state: TrainState, v: Tensors, into: Tensors, options: TrainOptions, metrics: StepMetrics
) -> Tensors:
    """The slope of the step just taken for every parameter with a gradient, the learning rate included.

    Clipping is taken as a factor: how the norm depends on the gradient is left out.

    Args:
        v: the gradients, clipped.
        into: tensors to write into, if they are there already.
    """
    rate = metrics.learning_rate * min(1.0, options.clip / (metrics.gradient_norm + 1e-6))
    found, named = {}, dict(state.model.named_parameters())
    for name, g in v.items():
        moments = state.optimizer.state[named[name]]
        found[name] = into[name] if name in into else torch.empty(g.shape, dtype=g.dtype, device=g.device)
        flat = (moments["exp_avg"], moments["exp_avg_sq"], g, found[name])
        pieces = (tensor.flatten().split(_AT_ONCE) for tensor in flat)  # stays in the cache, needs no room
        for m_part, v_part, g_part, out in zip(*pieces, strict=True):
            out.copy_(adam_slope(m_part, v_part, g_part, moments["step"], options).mul_(rate))
    return found


def carried(extra: Mapping[str, Tensor], prefix: str, device: torch.device) -> Tensors:
    """The carried tensors of one kind, by name."""
    return {
        name.removeprefix(prefix): tensor.to(device)
        for name, tensor in extra.items()
        if name.startswith(prefix)
    }


def gradient_of_packs(
    model: MaskedLM,
    batch: GlobalBatch,
    dtype: torch.dtype,
    dropout: tuple[object, ...],
    theta: Tensors,
    phi: Tensors,
    ranks: Ranks = ALONE,
) -> Tensors:
    """Gradient of the packs on a batch, with the dropout of its step; the trunk's is not computed."""
    ranks.seed(*dropout)
    by = leaves(phi, phi)
    total: Tensors = {}
    for micro in batch.micro:
        on_device = micro.to(next(iter(phi.values())).device)
        with torch.autocast(on_device.ids_N.device.type, dtype, enabled=dtype != torch.float32):
            scale = {"scale": 1.0 / max(1, batch.num_targets)}
            loss = functional_call(model, {**theta, **by}, (on_device,), scale)[0]
        parts = gradient(loss, by)
        total = {name: total[name] + part for name, part in parts.items()} if total else parts
    total = total or zeros(phi)
    ranks.sum_(list(total.values()), "packs")
    return total


def _bend(packs: Mapping[str, torch.nn.Parameter], through: Tensors, rate: float) -> None:
    """Take ``rate`` times what came through the trunk off the gradients of the packs, in place."""
    for name, bent in through.items():
        direct = packs[name].grad
        packs[name].grad = bent.mul_(-rate) if direct is None else direct.sub_(bent, alpha=rate)


def _into(buffer: Tensor | None, values: Tensor) -> Tensor:
    """A copy, in a buffer if there is one."""
    return values.clone() if buffer is None else buffer.to(values.device).copy_(values)


def _refuse(treatment: TreatmentOptions) -> None:
    for name, exact_only in (
        ("only-other-languages", treatment.only_other_languages),
        ("head", treatment.head),
        ("order", treatment.order == 1),
    ):
        if exact_only:
            what = "meta-fast has no such option"
            raise UserError(what, where=f"--treatment.{name}", fix="leave it out, or give --update meta")
