"""Registers polymod's own models with ``transformers``' Auto classes, at the moment those are first imported.

Importing ``transformers`` takes seconds and ``import polymod`` must not; so the two modules in which the Auto
classes live get an import hook that registers ours right after them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_REGISTERS_AFTER = {
    "transformers.models.auto.configuration_auto": "polymod.model.hf_config",
    "transformers.models.auto.modeling_auto": "polymod.model.hf_auto",
}


class _ThenRegister(Loader):
    def __init__(self, loader: Loader, registration: str) -> None:
        self.loader, self.registration = loader, registration

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        importlib.import_module(self.registration)


class _AutoClasses(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _REGISTERS_AFTER:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenRegister(spec.loader, _REGISTERS_AFTER[name])
        return spec


def register() -> None:
    """Register now what is imported already, and the rest when it is."""
    for name, registration in _REGISTERS_AFTER.items():
        if name in sys.modules:
            importlib.import_module(registration)
    if not any(isinstance(finder, _AutoClasses) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AutoClasses())
