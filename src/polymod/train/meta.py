"""Meta-learned language modules (Wang, Lipton and Tsvetkov 2020, https://arxiv.org/abs/2010.03017): they are
trained so that a step of the trunk on one language helps all.

theta is the trunk, phi what is meta-learned: the packs of the languages of the virtual step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from polymod.batch import Batch, GlobalBatch
from polymod.data.random import key
from polymod.errors import UserError
from polymod.metrics import LossSum, StepMetrics
from polymod.model.heads import MaskedLM
from polymod.model.partition import TRUNK, owner, place
from polymod.train.by_language import frozen
from polymod.train.config import TrainOptions, TreatmentOptions
from polymod.train.conflict import check_modules
from polymod.train.episodes import Episodes
from polymod.train.joint import apply, backward_all, begun
from polymod.train.loop import TrainState, Update
from polymod.train.optim import learning_rate
from polymod.train.parallel import ALONE, Ranks

Tensors = dict[str, Tensor]
# Mean loss of a batch with some parameters replaced; told whether it is differentiated twice.
Loss = Callable[[nn.Module, Mapping[str, Tensor], Batch, bool], Tensor]


@dataclass(frozen=True)
class MetaMetrics:
    """Mean losses in nats of the virtual step's batch and of every query; norms of the two terms."""

    support: Tensor
    queries: tuple[Tensor, ...]
    direct_norm: Tensor
    through_norm: Tensor


@dataclass(frozen=True)
class Queries:
    """Batches that a virtual step is judged by, and the processes that share them; all make the step."""

    batches: Sequence[Batch]
    ranks: Ranks = ALONE


def masked_lm(model: nn.Module, parameters: Mapping[str, Tensor], batch: Batch, twice: bool) -> Tensor:
    """Mean masked-LM loss."""
    scale = {"scale": 1.0 / max(1, len(batch.targets_M)), "twice": twice}
    loss: Tensor = functional_call(model, dict(parameters), (batch,), scale)[0]
    return loss


def meta_gradient(
    model: nn.Module,
    loss: Loss,
    support: Batch,
    queries: Queries,
    *,
    inner_lr: float,
    order: int = 2,
    phi: Collection[str] = (),
) -> tuple[Tensors, MetaMetrics]:
    """Gradient of the mean query loss after a virtual step of the trunk, with respect to phi.

    With ``theta' = theta - inner_lr grad_theta loss(theta, phi; support)`` it is the mean over queries of

        dloss(theta', phi)/dphi - inner_lr (d2loss(support)/dphi dtheta)^T dloss(theta', phi)/dtheta'

    exactly: the second term is a gradient of a gradient. Queries are differentiated one at a time, so memory
    is that of the support batch, whose graph is kept, and of one query. The support batch runs on PyTorch's
    own attention, whose memory grows with the square of the length, and on the unchunked loss: the fast ones
    have no second derivative.

    Nothing of the model changes; ``.grad`` is not touched.

    Args:
        order: 1 leaves the second term out.
        phi: names of the meta parameters; by default all that the languages of ``support`` own.

    Raises:
        ValueError: with order 1 and no query in a language of ``support`` there is no signal.
    """
    tags = {tag for tag in support.route.tags if tag is not None}
    if order == 1 and not any(tags & set(query.route.tags) for query in queries.batches):
        raise ValueError(
            "queries in other languages reach a module through the trunk only, which takes order=2"
        )
    named = dict(model.named_parameters())
    names = tuple(phi) or tuple(name for name in named if owner(name) in tags)
    phi_leaves = leaves(named, names)
    theta = leaves(named, [name for name in named if owner(name) is TRUNK and name not in phi_leaves])
    with sdpa_kernel(SDPBackend.MATH) if order == 2 else nullcontext():
        support_loss = loss(model, {**theta, **phi_leaves}, support, order == 2)
        g = gradient(support_loss, theta, create_graph=order == 2)
    stepped = {name: theta[name].detach() - inner_lr * g[name].detach() for name in theta}
    stepped = leaves(stepped, stepped)
    count, ranks = len(queries.batches), queries.ranks
    v, direct, losses = zeros(theta), zeros(phi_leaves), list(support_loss.new_zeros(count))
    for number in range(ranks.rank, count, ranks.size):
        query_loss = loss(model, {**stepped, **phi_leaves}, queries.batches[number], False)
        losses[number] = query_loss.detach()
        for name, part in gradient(query_loss, {**stepped, **phi_leaves}).items():
            (direct if name in direct else v)[name] += part / count
    ranks.sum_([*v.values(), *direct.values(), *losses], "meta")
    through = zeros(phi_leaves)
    if order == 2:
        product = torch.stack([(g[name] * v[name]).sum() for name in g]).sum()
        through = gradient(product, phi_leaves)
    metrics = MetaMetrics(support_loss.detach(), tuple(losses), norm(direct), inner_lr * norm(through))
    return {name: direct[name] - inner_lr * through[name] for name in names}, metrics


def meta(
    model: MaskedLM,
    options: TrainOptions,
    treatment: TreatmentOptions,
    dtype: torch.dtype,
    episodes: Episodes,
) -> Update[GlobalBatch]:
    """The update: the paper's alternation.

    1. The trunk steps on the batch, in all its languages (modules stay, unless ``trunk_only`` is off).
    2. A language is drawn by its tokens in the batch; theta' is a virtual step on other training text of it.
    3. The meta loss is the mean over languages of the loss on text of their meta splits.
    4. That language's pack alone steps with the meta gradient, clipped by itself, with moments of its own.

    Each step is checked before it changes anything, the second is in fp32; a frozen trunk steps virtually.

    Raises:
        UserError: no packs, no signal, or a single language.
    """
    check_modules(model.config.arm)
    _check(model, treatment)
    heads = [name for name, _ in model.named_parameters() if treatment.head and place(name).group == "head"]
    own = [p for name, p in model.named_parameters() if owner(name) is not TRUNK or name in heads]
    ids = {id(parameter) for parameter in own}
    trains = any(parameter.requires_grad and id(parameter) not in ids for parameter in model.parameters())

    def update(state: TrainState, batch: GlobalBatch) -> StepMetrics:
        metrics, device = begun(batch), next(model.parameters()).device
        metrics.learning_rate = learning_rate(state.step, options)
        if trains:
            state.optimizer.zero_grad(set_to_none=True)
            with frozen(own if treatment.trunk_only else []), state.reducer.summing(batch, metrics):
                backward_all(state.model, batch, dtype, metrics)
            if apply(state, options, metrics).skipped:
                return metrics
        for number in range(state.step * treatment.draws, (state.step + 1) * treatment.draws):
            tag = drawn(batch, int(key(options.seed, "meta", number)))
            state.optimizer.zero_grad(set_to_none=True)
            others = [other for other in episodes.tags if other != tag or not treatment.only_other_languages]
            state.ranks.seed_alike(options.seed, "dropout", "meta", number)  # all make the same virtual step
            gradient_of, found = meta_gradient(
                state.model,
                masked_lm,
                support := episodes.at(tag, "train", number).to(device),
                Queries([episodes.at(other, "meta", number).to(device) for other in others], state.ranks),
                inner_lr=treatment.inner_rate or metrics.learning_rate,
                order=treatment.order,
                phi=[*heads, *(name for name, _ in model.named_parameters() if owner(name) == tag)],
            )
            if not trains:  # nothing else says what the loss is
                count = len(support.targets_M)
                metrics.by_language.setdefault(tag, LossSum()).add(found.support * count, count)
            for name, parameter in model.named_parameters():
                parameter.grad = gradient_of.get(name)
            metrics.skipped |= apply(state, options, StepMetrics()).skipped
        return metrics

    return update


def drawn(batch: GlobalBatch, bits: int) -> str:
    """The language of a random token of a batch."""
    spans = [span for micro in (batch.whole or batch).micro for span in micro.route.spans]
    place_ = bits % sum(stop - start for _, start, stop in spans)
    for tag, start, stop in spans:
        if place_ < stop - start:
            assert tag is not None
            return tag
        place_ -= stop - start
    raise AssertionError("beyond the batch")


def leaves(tensors: Mapping[str, Tensor], names: Collection[str]) -> Tensors:
    """The same values, to differentiate by."""
    return {name: tensors[name].detach().requires_grad_() for name in names}


def gradient(value: Tensor, by: Mapping[str, Tensor], *, create_graph: bool = False) -> Tensors:
    """Gradients by name, zeros for what the value does not depend on."""
    found = torch.autograd.grad(
        value, list(by.values()), create_graph=create_graph, materialize_grads=True, allow_unused=True
    )
    return dict(zip(by, found, strict=True))


def zeros(like: Mapping[str, Tensor]) -> Tensors:
    """Zeros of the same shapes."""
    return {name: torch.zeros_like(tensor) for name, tensor in like.items()}


def norm(tensors: Mapping[str, Tensor]) -> Tensor:
    """Norm of all of them together."""
    total: Tensor = torch.stack([tensor.detach().norm() for tensor in tensors.values()]).norm()
    return total


def _check(model: MaskedLM, treatment: TreatmentOptions) -> None:
    if treatment.only_other_languages and treatment.order == 1:
        what = "with order 1 the loss of other languages does not reach a module"
        raise UserError(
            what, where="--treatment.order", fix="give order 2, or leave only-other-languages out"
        )
    if treatment.only_other_languages and len(model.config.languages) == 1:
        raise UserError("there is no other language", where="--treatment.only-other-languages")
