"""A step's trunk gradients language by language: their inner products, and linear combinations of them.

Surgery and aggregation need no more: what they return is a linear combination of the languages' gradients,
whose coefficients follow from the inner products (the Gram matrix) alone. A language's gradient is its share
of the gradient of the mean loss over all predicted tokens, so the sum over languages is the joint gradient.

K languages of a step, G groups of trunk parameters, P trunk parameters, H gradients in memory at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from polymod.batch import Batch, GlobalBatch, Route
from polymod.data.random import key, mix
from polymod.metrics import LossSum, StepMetrics
from polymod.model.partition import TRUNK, Place, owner, place
from polymod.train.config import TrainOptions
from polymod.train.joint import apply, backward, begun, note_losses
from polymod.train.loop import TrainState

Weigh = Callable[[Tensor, tuple[str, ...]], Tensor]  # Gram matrix (G, K, K), tags -> coefficients (G, K)


class Trunk:
    """The trunk's trainable parameters, in groups, as one flat vector.

    Args:
        whole: a single group; else one for each kind of parameter in each layer.
    """

    def __init__(self, model: nn.Module, *, whole: bool) -> None:
        groups: dict[Place, list[nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            if owner(name) is TRUNK and parameter.requires_grad:
                groups.setdefault(Place(None, "trunk") if whole else place(name), []).append(parameter)
        self.groups = tuple(groups)
        self.packs = [parameter for name, parameter in model.named_parameters() if owner(name) is not TRUNK]
        self.places: list[tuple[int, nn.Parameter, slice]] = []  # group, parameter, place in the vector
        stop = 0
        for index, parameters in enumerate(groups.values()):
            for parameter in parameters:
                start, stop = stop, stop + parameter.numel()
                self.places.append((index, parameter, slice(start, stop)))
        self.size = stop

    def zeros(self, *rows: int) -> Tensor:
        """Zeros for ``rows`` gradients, (..., P)."""
        like = self.places[0][1]
        return torch.zeros(*rows, self.size, dtype=like.dtype, device=like.device)


class LanguageGradients:
    """The gradients of one step, one language at a time. Those of packs are the ordinary ones.

    With room for all K every language is computed once. With room for H it takes about ``K / 2H + 1.5`` times
    that work and gives the same.

    Args:
        hold: H; 0 for all languages of the step.
    """

    def __init__(
        self,
        state: TrainState,
        batch: GlobalBatch,
        trunk: Trunk,
        seed: int,
        dtype: torch.dtype,
        hold: int = 0,
    ) -> None:
        self.model, self.trunk, self.dtype = state.model, trunk, dtype
        self.device = next(state.model.parameters()).device
        self.batch, self.state, self.ranks, self._seed = batch, state, state.ranks, seed
        self.pieces = pieces_of(batch)
        self.tags = tuple(batch.targets_of)
        self.hold = min(hold or len(self.tags), len(self.tags))
        self.metrics = begun(batch)
        self._scale = 1.0 / max(1, batch.num_targets)
        self._noted: set[str] = set()
        self._shared: set[str] = set()
        state.optimizer.zero_grad(set_to_none=True)

    def compute(self, tag: str) -> None:
        """Leave a language's gradient, and no other's, in ``.grad`` of the trunk: of several processes, the
        part of this one.

        The first time its losses are noted and its pack gets its gradient.
        """
        for _, parameter, _ in self.trunk.places:
            parameter.grad = None
        again = tag in self._noted
        self._noted.add(tag)
        metrics = StepMetrics() if again else self.metrics
        self.ranks.seed(self._seed, "dropout", self.state.step, tag)
        with frozen(self.trunk.packs if again else []):
            for piece in self.pieces.get(tag, ()):
                backward(self.model, piece.to(self.device), self._scale, self.dtype, metrics)

    def gram(self) -> Tensor:
        """Inner products of the languages' gradients in every group, (G, K, K), float64 on the CPU.

        Over several processes the rows are sums; the products with those that are not kept are sums of parts.
        """
        count = len(self.tags)
        groups = len(self.trunk.groups)
        self._rows_HP = self.trunk.zeros(self.hold)
        gram_GKK = torch.zeros(groups, count, count, dtype=torch.float64, device=self.device)
        for first in range(0, count, self.hold):
            held = slice(first, min(first + self.hold, count))
            for index in range(held.start, held.stop):
                self.compute(self.tags[index])
                self._store(index - first)
            for group, _, where in self.trunk.places:
                rows = self._rows_HP[: held.stop - first, where]
                gram_GKK[group, held, held] += (rows @ rows.T).double()
            for index in range(held.stop, count):
                self.compute(self.tags[index])
                for group, parameter, where in self.trunk.places:
                    if parameter.grad is not None:
                        rows = self._rows_HP[: held.stop - first, where]
                        gram_GKK[group, held, index] += (rows @ parameter.grad.flatten()).double()
            self.ranks.sum_([gram_GKK[:, held, held.stop :]], "products")
            gram_GKK[:, held.stop :, held] = gram_GKK[:, held, held.stop :].transpose(1, 2)
        return gram_GKK.cpu()

    def combine(self, coefficients_GK: Tensor) -> None:
        """Leave the combination with these coefficients in ``.grad`` of the trunk. Comes after ``gram``."""
        rows_HP = self._rows_HP
        c_GK = coefficients_GK.to(rows_HP)
        if self.hold < len(self.tags):
            self.accumulate(lambda index: c_GK[:, index], rows_HP[0].zero_())
            return
        for group, parameter, where in self.trunk.places:
            rows_HP[0, where] = c_GK[group] @ rows_HP[:, where]
            parameter.grad = rows_HP[0, where].view_as(parameter)

    def accumulate(self, coefficients_G: Callable[[int], Tensor], total_P: Tensor) -> None:
        """Compute language after language, add up their gradients, and leave the sum in ``.grad``.

        Args:
            coefficients_G: of a language by its number; asked for when its losses are known.
            total_P: zeros to add to; ``.grad`` will be parts of it.
        """
        for index, tag in enumerate(self.tags):
            self.compute(tag)
            self.share_losses(tag)
            c_G = coefficients_G(index)
            for group, parameter, where in self.trunk.places:
                if parameter.grad is not None:
                    total_P[where] += c_G[group] * parameter.grad.flatten()
        self.ranks.sum_([total_P], "trunk")
        for _, parameter, where in self.trunk.places:
            parameter.grad = total_P[where].view_as(parameter)

    def share_losses(self, *tags: str) -> None:
        """Make the losses of these languages those of all processes, once."""
        counts = {tag: count for tag, count in self.batch.targets_of.items() if tag in {*tags} - self._shared}
        losses = {tag: self.metrics.by_language[tag] for tag in counts if tag in self.metrics.by_language}
        self.ranks.sum_losses(losses, counts)
        self.metrics.by_language |= losses
        self._shared |= counts.keys()

    def mean_losses(self) -> Tensor:
        """Mean loss of every language with the parameters as they are now, (K,), float64 on the CPU."""
        found: dict[str, LossSum] = {}
        with torch.no_grad():
            for tag in self.tags:
                self.ranks.seed(self._seed, "dropout", self.state.step, tag)
                for piece in self.pieces.get(tag, ()):
                    with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                        _, losses_M = self.model(piece.to(self.device))
                    note_losses(found, piece, losses_M)
        self.ranks.sum_losses(found, self.batch.targets_of)
        return torch.tensor([found[tag].mean for tag in self.tags], dtype=torch.float64)

    def _store(self, row: int) -> None:
        for _, parameter, where in self.trunk.places:
            if parameter.grad is None:
                self._rows_HP[row, where] = 0
            else:
                self._rows_HP[row, where] = parameter.grad.flatten()
        self.ranks.sum_([self._rows_HP[row]], "trunk")


def combined(
    state: TrainState, gradients: LanguageGradients, weigh: Weigh, options: TrainOptions
) -> StepMetrics:
    """Step with the combination that ``weigh`` chooses; packs step with their own gradients.

    What is not finite is not weighed: the plain sum then shows it to the check before the step.
    """
    gram_GKK = gradients.gram()
    gradients.share_losses(*gradients.tags)
    state.reducer.sum_packs(gradients.batch)
    finite = bool(gram_GKK.isfinite().all())
    ones_GK = torch.ones(gram_GKK.shape[:2], dtype=gram_GKK.dtype)
    gradients.combine(weigh(gram_GKK, gradients.tags) if finite else ones_GK)
    return apply(state, options, gradients.metrics)


def visiting_orders(count: int, *parts: object) -> Tensor:
    """For each of K languages the others in random order, (K, K - 1): a function of ``parts``."""
    rows = []
    for index in range(count):
        bits = mix(np.arange(count - 1, dtype=np.uint64) ^ key(*parts, index))
        rows.append(np.delete(np.arange(count), index)[np.argsort(bits)])
    return torch.from_numpy(np.array(rows, dtype=np.int64).reshape(count, count - 1))


def pieces_of(batch: GlobalBatch) -> dict[str, list[Batch]]:
    """All tokens and targets of a step by language, in the order of the batch."""
    found: dict[str, list[Batch]] = {}
    for micro in batch.micro:
        for piece in split(micro):
            found.setdefault(piece.route.tags[0] or "none", []).append(piece)
    return found


def split(batch: Batch) -> Iterator[Batch]:
    """A micro-batch cut at the spans of its route."""
    rows = batch.target_rows_M.split(list(batch.target_counts))
    targets = batch.targets_M.split(list(batch.target_counts))
    starts, first = np.cumsum([0, *batch.lengths]).tolist(), 0
    for (tag, start, stop), rows_M, targets_M in zip(batch.route.spans, rows, targets, strict=True):
        last = starts.index(stop, first)
        yield Batch(
            ids_N=batch.ids_N[start:stop],
            positions_N=batch.positions_N[start:stop],
            starts_S1=batch.starts_S1[first : last + 1] - start,
            lengths=batch.lengths[first:last],
            route=Route.of((tag,), (stop - start,)),
            target_rows_M=rows_M - start,
            targets_M=targets_M,
            target_counts=(len(targets_M),),
            substitutes=batch.substitutes,
        )
        first = last


@contextmanager
def frozen(parameters: list[nn.Parameter]) -> Iterator[None]:
    """Without gradients of these parameters."""
    before = [parameter.requires_grad for parameter in parameters]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, required in zip(parameters, before, strict=True):
            parameter.requires_grad_(required)
