"""Train modular multilingual encoders. See README.md."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from polymod.registration import register

if TYPE_CHECKING:
    from polymod.errors import UserError
    from polymod.face.model import Model, load
    from polymod.languages import LanguageError

__all__ = ["LanguageError", "Model", "UserError", "load"]

# Where each public name lives; imported when it is first used, so that ``import polymod`` stays fast.
_HOMES = {
    "LanguageError": "polymod.languages",
    "Model": "polymod.face.model",
    "UserError": "polymod.errors",
    "load": "polymod.face.model",
}

register()


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'polymod' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
