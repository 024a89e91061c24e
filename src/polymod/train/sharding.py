"""A trunk that does not fit one device, spread over the processes: FSDP2 (``torch.distributed.fsdp``).

Each process keeps an even share of every trunk tensor, of its gradient and of its moments. A layer is whole
only while it computes; embeddings and head are whole from the forward pass to the end of the backward pass.
Packs stay whole everywhere: a step needs few of them, and they are reduced as ever (train/reducer.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from polymod.model.heads import MaskedLM
from polymod.model.partition import TRUNK, owner
from polymod.train.parallel import Ranks


def shard(model: MaskedLM, ranks: Ranks) -> None:
    """Spread the trunk over ``ranks`` and put it on their devices, in place.

    Sums of gradients are taken for every micro-batch, so that no process ever holds those of the whole trunk.
    All have to run the same number of passes, because each gathers the trunk's tensors.
    """
    owned = {parameter for name, parameter in model.named_parameters() if owner(name) is not TRUNK}
    for parameter in owned:
        if not is_hollow(parameter):
            parameter.data = parameter.data.to(ranks.device)
    mesh = init_device_mesh(ranks.device.type, (ranks.size,))
    for layer in model.encoder.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh, ignored_params=owned)
    for module in _parts(model):
        module.set_gradient_divide_factor(1.0)  # losses are scaled already: sums, no means
        module.set_force_sum_reduction_for_comms(True)
        module.set_custom_all_gather(_Gather(ranks))  # type: ignore[arg-type]
        module.set_custom_reduce_scatter(_ScatterSum(ranks))  # type: ignore[arg-type]


@contextlib.contextmanager
def without_gradients(model: nn.Module) -> Iterator[None]:
    """Forward passes only; afterwards a spread trunk is spread again, whose parts are whole after a pass.

    What is gathered in inference mode could not be trained on later, hence ``no_grad`` for a spread trunk.
    """
    parts = _parts(model)
    with torch.no_grad() if parts else torch.inference_mode():
        yield
    for module in parts:
        module.reshard()


def is_spread(tensor: Tensor) -> bool:
    """Whether this process has only its share of a tensor."""
    return isinstance(tensor, DTensor)


def hollow(like: Tensor, device: torch.device) -> Tensor:
    """A tensor of the same shape without values, in hardly any memory: what another process keeps."""
    return torch.zeros((), dtype=like.dtype, device=device).expand(like.shape)


def is_hollow(tensor: Tensor) -> bool:
    """Whether another process keeps the values of a tensor."""
    return not is_spread(tensor) and tensor.numel() > 1 and not any(tensor.stride())


def put_(tensor: Tensor, full: Tensor) -> None:
    """Set what this process has of a model's tensor to a full one that all processes have."""
    if is_hollow(tensor):
        return
    if isinstance(tensor, DTensor):
        full = distribute_tensor(full, tensor.device_mesh, tensor.placements, src_data_rank=None)
    with torch.no_grad():
        tensor.copy_(full)


@torch.no_grad()
def clip_(parameters: Sequence[nn.Parameter], most: float, ranks: Ranks, kept: Collection[Tensor]) -> Tensor:
    """``clip_grad_norm_`` where processes have different gradients: the norm is that of all, the same
    everywhere.

    Args:
        kept: parameters whose gradient only this process has.

    Returns:
        The norm before clipping; not finite if any number is not.
    """
    shares: list[Tensor] = []
    others: list[Tensor] = []
    for parameter in parameters:
        gradient = parameter.grad
        if isinstance(gradient, DTensor):
            shares.append(gradient.to_local())
        elif gradient is not None:
            (shares if parameter in kept else others).append(gradient)
    spread = _square(shares, ranks.device)
    ranks.sum_([spread], "norm")
    norm = (spread + _square(others, ranks.device)).sqrt()
    factor = (most / (norm + 1e-6)).clamp(max=1.0)
    for gradient in (*shares, *others):
        gradient.mul_(factor.to(gradient.dtype))
    return norm


def _square(tensors: Sequence[Tensor], device: torch.device) -> Tensor:
    norm = torch.nn.utils.get_total_norm(list(tensors))
    return norm.to(device).double().square()


def _parts(model: nn.Module) -> list[FSDPModule]:
    return [module for module in model.modules() if isinstance(module, FSDPModule)]


class _Gather:
    """How FSDP gathers: through ``Ranks``, which counts bytes and turns lost contact into its message."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks

    def allocate(self, size: Sequence[int], *, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Memory for what is exchanged."""
        return torch.empty(*size, dtype=dtype, device=device)

    def __call__(
        self, output_tensor: Tensor, input_tensor: Tensor, group: dist.ProcessGroup, async_op: bool = False
    ) -> dist.Work | None:
        """Put the shares of all into ``output_tensor``."""
        return self._ranks.gather(output_tensor, input_tensor, group, async_op)


class _ScatterSum(_Gather):
    """How FSDP sums gradients, of which each process then has its share."""

    def __call__(  # type: ignore[override]
        self,
        output_tensor: Tensor,
        input_tensor: Tensor,
        group: dist.ProcessGroup,
        op: dist.ReduceOp,
        async_op: bool = False,
    ) -> dist.Work | None:
        """Put this process's share of the sum of all ``input_tensor`` into ``output_tensor``."""
        return self._ranks.scatter_sum(output_tensor, input_tensor, group, async_op)
