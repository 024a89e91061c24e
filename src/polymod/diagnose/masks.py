"""Which parts of the frozen trunk a language needs: gates learnt on its text alone.

Wang, Lipton and Tsvetkov 2020 (arXiv 2010.03017) prune with an L0 penalty. Here a Lagrange multiplier of each
unit holds the expected share of closed gates at the wanted sparsity (as Wang, Wohlwend and Lei 2020,
arXiv 1910.04732), so that masks of all languages are equally sparse. The mask is binary in the end: exactly
so many gates of each unit, the most surely open ones, are kept.

G gates of a site, A gates of all sites.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call

from polymod.batch import Batch
from polymod.diagnose.gates import keep_most, open_probability, sample
from polymod.diagnose.options import Unit
from polymod.diagnose.sites import Site, gated
from polymod.metrics import LossSum
from polymod.model.heads import MaskedLM
from polymod.model.packs import generator

INITIAL = 2.0  # of log a: nearly all gates are open
_MULTIPLIER_RATE, _STIFFNESS = 1.0, 20.0  # nats per share of gates: of a multiplier's step, of the square
_RAMP = 0.5  # of the steps, in which the sparsity wanted rises to its goal


@dataclass(frozen=True)
class Learning:
    """How gates are learnt.

    Attributes:
        sparsity: shares of closed gates, rising; each goes on from the one before.
        steps: for each of them.
        rate: of Adam.
        seed: decides the gates drawn.
    """

    sparsity: tuple[float, ...]
    steps: int
    rate: float
    seed: int


class Gates:
    """The sites of a model with their gates in one list."""

    def __init__(self, model: MaskedLM, at: Sequence[Site]) -> None:
        self.model, self.at = model, tuple(at)
        self.parameters = {name: each.detach() for name, each in model.named_parameters()}
        self.sizes = [len(site.layer_G) for site in at]
        self.units: tuple[Unit, ...] = tuple(dict.fromkeys(site.unit for site in at))
        self.unit_A = [site.unit for site in at for _ in site.layer_G]
        self.layer_A = [layer for site in at for layer in site.layer_G]

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(iter(self.parameters.values())).device

    def closed(self, log_a_A: Tensor) -> dict[Unit, Tensor]:
        """Expected share of closed gates of each unit."""
        return {unit: 1 - open_probability(log_a_A[self.of_unit(unit)]).mean() for unit in self.units}

    def of_unit(self, unit: Unit) -> Tensor:
        """Places of a unit's gates in the list."""
        return torch.tensor([place for place, each in enumerate(self.unit_A) if each == unit])

    def loss(self, z_A: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean loss of a batch under these gates, and each target's own loss."""
        parameters = {**self.parameters, **gated(self.parameters, self.at, z_A.split(self.sizes))}
        scale = 1.0 / max(1, len(batch.targets_M))
        loss, losses_M = functional_call(self.model, parameters, (batch,), {"scale": scale})
        return loss, losses_M

    def score(self, z_A: Tensor, batches: Iterable[Batch]) -> float:
        """Mean loss over batches in nats, without gradients."""
        total = LossSum()
        with torch.no_grad():
            for batch in batches:
                _, losses_M = self.loss(z_A.to(self.device), batch.to(self.device))
                total.add(losses_M.sum(), len(losses_M))
        return total.mean

    def binary(self, log_a_A: Tensor, sparsity: float) -> Tensor:
        """1 for each unit's most surely open gates, so many that its sparsity holds; 0 for the others."""
        z_A = torch.zeros_like(log_a_A)
        for unit in self.units:
            places = self.of_unit(unit)
            z_A[places] = keep_most(log_a_A[places], 1 - sparsity)
        return z_A

    def random(self, sparsity: float, seed: int) -> Tensor:
        """A binary mask drawn at random, as sparse in every unit."""
        order_A = torch.rand(len(self.unit_A), generator=generator(seed, f"random mask {sparsity}"))
        return self.binary(order_A, sparsity)


def learn(
    gates: Gates, batch_at: Callable[[int], Batch], how: Learning, tell: Callable[[int], None]
) -> list[Tensor]:
    """``log a`` (A,) at the end of each sparsity, on the host.

    Args:
        tell: called with the number of steps done.
    """
    device = gates.device
    log_a_A = torch.full((len(gates.unit_A),), INITIAL, device=device, requires_grad=True)
    optimizer = torch.optim.Adam([log_a_A], lr=how.rate)
    multipliers, draws = dict.fromkeys(gates.units, 0.0), generator(how.seed, "gates")
    found, before, done = [], 0.0, 0
    for goal in how.sparsity:
        for step in range(how.steps):
            wanted = before + (goal - before) * min(1.0, (step + 1) / (_RAMP * how.steps))
            uniform_A = torch.rand(len(gates.unit_A), generator=draws).to(device)
            loss, _ = gates.loss(sample(log_a_A, uniform_A), batch_at(done).to(device))
            for unit, closed in gates.closed(log_a_A).items():
                gap = wanted - closed
                loss = loss + multipliers[unit] * gap + _STIFFNESS / 2 * gap**2
                multipliers[unit] += _MULTIPLIER_RATE * float(gap.detach())
            (gradient_A,) = torch.autograd.grad(loss, [log_a_A])
            log_a_A.grad = gradient_A
            optimizer.step()
            done += 1
            tell(done)
        found.append(log_a_A.detach().cpu().clone())
        before = goal
    return found
