"""A home of idle languages for training on the CPU: a memory-mapped file that nobody else sees.

Weights and moments of a language have a place in the file, and once they have been there they stay there:
training works on the mapping itself. Taking a language home only gives back the pages that the process holds;
their content remains the file's, and the system writes it to the disk when it likes. The file has no name, so
the system removes it when the process ends in whatever way.
"""

from __future__ import annotations

import math
import mmap
import os
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from polymod.errors import UserError
from polymod.files import require_space
from polymod.model.packs import Memory

_MOMENTS = ("exp_avg", "exp_avg_sq")
_ALIGNED = 64  # bytes; as torch aligns its own memory, so that kernels take the same path
_APART = 2**21  # a touched page brings its neighbours, up to this boundary; they are to be the language's own


class MappedHome:
    """Places of languages that own equally much, in one file.

    Args:
        folder: of the file.
        count: of the languages.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count = folder, count
        self.owned: dict[str, list[nn.Parameter]] = {}
        self.moments: Mapping[Tensor, Any] = {}
        self._first: dict[str, int] = {}  # byte of the file at which a language begins
        self._length = 0  # of the file's part of one language

    def adopt(self, tag: str, parameters: Sequence[nn.Parameter]) -> None:
        """Take in a language.

        Raises:
            UserError: the disk of the folder cannot hold all of them.
        """
        if not self._length:
            self._make(sum(3 * _size(parameter) for parameter in parameters))
        self._first[tag] = len(self.owned) * self._length
        self.owned[tag] = list(parameters)
        self.store(tag)

    def memory(self, tag: str) -> Memory:
        """Gives tensors that are in their places already, for the parameters of the next language in order.

        Memory that is taken for every language and given back leaves holes between what stays, and the
        allocator then goes round all of them. The first one is copied, because it says how long a place is.
        """
        if not self._length:
            return torch.empty
        place = len(self.owned) * self._length

        def tensor(*shape: int) -> Tensor:
            nonlocal place
            made = self._new(shape, torch.float32, place)
            place += 3 * _size(made)
            return made

        return tensor

    def bring(self, tag: str) -> None:
        """Nothing to do: pages come when they are touched."""

    def expect(self, tag: str) -> None:
        """Ask the system to read a language's pages from the disk if they are not in its cache."""
        self._map.madvise(mmap.MADV_WILLNEED, self._first[tag], self._length)

    def store(self, tag: str) -> None:
        """Move what is not in its place yet into it, and give back the pages.

        Raises:
            UserError: the disk is full.
        """
        place = self._first[tag]
        for parameter in self.owned[tag]:
            parameter.grad = None
            parameter.data = self._in_place(parameter.data, place)
            moments = self.moments.get(parameter, {})
            for number, name in enumerate(_MOMENTS, 1):
                if name in moments:
                    where = place + number * _size(parameter)
                    moments[name] = self._in_place(moments[name], where)
            place += 3 * _size(parameter)
        self._map.madvise(mmap.MADV_DONTNEED, self._first[tag], self._length)

    def _make(self, needed: int) -> None:
        """Make the file, given the bytes of a language."""
        require_space(self.folder, self.count * needed)
        self._length = -(-needed // _APART) * _APART
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder) as file:
                os.truncate(file.fileno(), self.count * self._length)  # takes no space before it is written
                self._map = mmap.mmap(file.fileno(), self.count * self._length)
                self._file = os.dup(file.fileno())
        except OSError as error:
            raise _refused(self.folder, error) from None
        weakref.finalize(self, os.close, self._file)
        self._address = torch.frombuffer(self._map, dtype=torch.uint8, count=1).data_ptr()

    def _in_place(self, tensor: Tensor, place: int) -> Tensor:
        """The tensor itself if it lies in its place, else a copy that does."""
        if tensor.data_ptr() == self._address + place:
            return tensor
        return self._new(tensor.shape, tensor.dtype, place).copy_(tensor)

    def _new(self, shape: Sequence[int], dtype: torch.dtype, place: int) -> Tensor:
        """A tensor in the mapping, in a part of the disk that is the file's own.

        Else a full disk would be noticed by the system when it writes pages, and end the process.
        """
        count = math.prod(shape)
        try:
            os.posix_fallocate(self._file, place, count * dtype.itemsize)
        except OSError as error:
            raise _refused(self.folder, error) from None
        return torch.frombuffer(self._map, dtype=dtype, count=count, offset=place).view(shape)


def _size(tensor: Tensor) -> int:
    """Bytes of a tensor's place."""
    return -(-tensor.numel() * tensor.element_size() // _ALIGNED) * _ALIGNED


def _refused(folder: Path, error: OSError) -> UserError:
    what = f"idle languages cannot be kept there: {error.strerror}"
    fix = "free some space, give a --residency.folder on a local disk, or leave out --residency.mapped"
    return UserError(what, where=str(folder), fix=fix)
