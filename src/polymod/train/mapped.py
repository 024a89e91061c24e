"""A home of idle languages for training on the CPU: a memory-mapped file that nobody else sees.

Weights and moments of a language have a place in the file, and once they have been there they stay there:
training works on the mapping itself. Taking a language home only gives back the pages that the process holds;
their content remains the file's, and the system writes it to the disk when it likes. The file has no name, so
the system removes it when the process ends in whatever way.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from pathlib import Path

import torch
from torch import Tensor, nn

from polymod.errors import UserError
from polymod.files import require_space
from polymod.model.partition import TRUNK, partition

_MOMENTS = ("exp_avg", "exp_avg_sq")
_ALIGNED = 64  # bytes; as torch aligns its own memory, so that kernels take the same path
_APART = 2**21  # a touched page brings its neighbours, up to this boundary; they are to be the language's own


class MappedHome:
    """Places of all languages in one file.

    Args:
        optimizer: whose moments of a language's parameters have places too, once there are some.
        folder: of the file.

    Raises:
        UserError: no language owns anything, or the disk of the folder cannot hold the file.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, folder: Path) -> None:
        self.folder, self._moments = folder, optimizer.state
        named = dict(model.named_parameters())
        parts = partition(named)
        self._owned = {tag: [named[n] for n in names] for tag, names in parts.items() if tag is not TRUNK}
        if not self._owned:
            fix = "leave it out, or give --arm modular"
            raise UserError("--residency.mapped, but no language has parameters of its own", fix=fix)
        self._first: dict[str, int] = {}  # byte of the file at which a language begins
        self.bytes = end = 0  # that are written at most, and the length of the file with what lies between
        for tag in self._owned:
            self._first[tag] = end
            self.bytes += self._length(tag)
            end += -(-self._length(tag) // _APART) * _APART
        require_space(folder, self.bytes)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                os.truncate(file.fileno(), end)  # no byte of it takes space before it is written
                self._map = mmap.mmap(file.fileno(), end)
                self._file = os.dup(file.fileno())
        except OSError as error:
            raise _refused(folder, error) from None
        weakref.finalize(self, os.close, self._file)
        self._address = torch.frombuffer(self._map, dtype=torch.uint8, count=1).data_ptr()

    @property
    def tags(self) -> tuple[str, ...]:
        """Languages that own something."""
        return tuple(self._owned)

    def bring(self, tag: str) -> None:
        """Nothing to do: pages come when they are touched."""

    def expect(self, tag: str) -> None:
        """Ask the system to read a language's pages from the disk if they are not in its cache."""
        self._advise(tag, mmap.MADV_WILLNEED)

    def store(self, tag: str) -> None:
        """Move what is not in its place yet into it, and give back the pages."""
        place = self._first[tag]
        for parameter in self._owned[tag]:
            parameter.grad = None
            parameter.data = self._in_place(parameter.data, place)
            moments = self._moments.get(parameter, {})
            for number, name in enumerate(_MOMENTS, 1):
                if name in moments:
                    where = place + number * _size(parameter)
                    moments[name] = self._in_place(moments[name], where)
            place += 3 * _size(parameter)
        self._advise(tag, mmap.MADV_DONTNEED)

    def _in_place(self, tensor: Tensor, place: int) -> Tensor:
        """The tensor itself if it lies in its place, else a copy that does.

        Written and not copied into the mapping: then a full disk is an error, and not the end of the process.
        """
        if tensor.data_ptr() == self._address + place:
            return tensor
        content = tensor.detach().contiguous().flatten().view(torch.uint8).numpy().data
        done = 0
        try:
            while done < len(content):
                done += os.pwrite(self._file, content[done:], place + done)
        except OSError as error:
            raise _refused(self.folder, error) from None
        flat = torch.frombuffer(self._map, dtype=tensor.dtype, count=tensor.numel(), offset=place)
        return flat.view(tensor.shape)

    def _advise(self, tag: str, advice: int) -> None:
        size = -(-self._length(tag) // _APART) * _APART
        self._map.madvise(advice, self._first[tag], size)

    def _length(self, tag: str) -> int:
        """Bytes of a language's places."""
        return sum(3 * _size(parameter) for parameter in self._owned[tag])


def _size(tensor: Tensor) -> int:
    """Bytes of a tensor's place."""
    return -(-tensor.numel() * tensor.element_size() // _ALIGNED) * _ALIGNED


def _refused(folder: Path, error: OSError) -> UserError:
    what = f"idle languages cannot be kept there: {error.strerror}"
    fix = "free some space, give a --residency.folder on a local disk, or leave out --residency.mapped"
    return UserError(what, where=str(folder), fix=fix)
