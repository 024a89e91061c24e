"""A home of idle languages for training on CUDA: pinned host memory. Not run on a GPU yet.

A language that is out has weights and moments on the device; at home they are on the host. They are copied
ahead on a stream of their own, and back before the memory is given to another language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from polymod.model.packs import Memory
from polymod.model.partition import TRUNK, owner

_MOMENTS = ("exp_avg", "exp_avg_sq")


class PinnedHome:
    """Host memory for all languages.

    Args:
        device: where training runs. On ``cpu`` the copies are made all the same, which is for tests.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.owned: dict[str, list[nn.Parameter]] = {}
        self.moments: Mapping[Tensor, Any] = {}
        self._host: dict[tuple[nn.Parameter, str], Tensor] = {}
        self._coming: dict[str, list[dict[str, Tensor]]] = {}
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def adopt(self, tag: str, parameters: Sequence[nn.Parameter]) -> None:
        """Take in a language."""
        self.owned[tag] = list(parameters)
        self.store(tag)

    def memory(self, tag: str) -> Memory:
        """As usual; what is adopted is copied."""
        return torch.empty

    def expect(self, tag: str) -> None:
        """Begin to copy a language to the device."""
        if tag in self._coming:
            return
        with torch.cuda.stream(self._stream):  # without a stream this does nothing
            self._coming[tag] = [
                {name: self._copied(tensor) for name, tensor in self._tensors(parameter).items()}
                for parameter in self.owned[tag]
            ]

    def bring(self, tag: str) -> None:
        """Put a language on the device, by the copy that was begun if there is one."""
        self.expect(tag)
        if self._stream is not None:
            torch.cuda.current_stream(self.device).wait_stream(self._stream)
        for parameter, tensors in zip(self.owned[tag], self._coming.pop(tag), strict=True):
            for name, tensor in tensors.items():
                if self._stream is not None:
                    tensor.record_stream(torch.cuda.current_stream(self.device))
                self._set(parameter, name, tensor)

    def store(self, tag: str) -> None:
        """Copy a language to the host and free what it had on the device; waits for the copy."""
        self._coming.pop(tag, None)  # what was set since then is not in it
        for parameter in self.owned[tag]:
            parameter.grad = None
            for name, tensor in self._tensors(parameter).items():
                host = self._host.get((parameter, name))
                if host is None:
                    pinned = self.device.type == "cuda" and tensor.ndim > 0  # not for counts of steps
                    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=pinned)
                    self._host[parameter, name] = host
                if tensor.data_ptr() != host.data_ptr():
                    self._set(parameter, name, host.copy_(tensor))

    def _tensors(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        moments = self.moments.get(parameter, {})
        return {
            "": parameter.data,
            **{name: moments[name] for name in ("step", *_MOMENTS) if name in moments},
        }

    def _set(self, parameter: nn.Parameter, name: str, tensor: Tensor) -> None:
        if name:
            self.moments[parameter][name] = tensor
        else:
            parameter.data = tensor

    def _copied(self, tensor: Tensor) -> Tensor:
        return torch.empty_like(tensor, device=self.device).copy_(tensor, non_blocking=True)


def trunk_to(model: nn.Module, device: torch.device) -> None:
    """Move what all languages share to a device, and leave what they own where it is."""
    for name, parameter in model.named_parameters():
        if owner(name) is TRUNK:
            parameter.data = parameter.data.to(device)
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(device))
