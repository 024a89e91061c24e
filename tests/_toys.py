"""Small fixtures that several tests share: a command's config, a folder with a manifest, a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from polymod.config import CommandConfig, Config, Names, Tree
from polymod.files import write_manifest


class ToySizes(Config):
    """A section."""

    width: int = Field(4, gt=0, description="columns")
    height: int = Field(2, gt=0, description="rows")
    gap: float = Field(0.5, description="of something")
    preset: Literal["small", "large"] = "small"

    @model_validator(mode="after")
    def _even(self) -> ToySizes:
        if self.width % 2:
            raise ValueError(f"width {self.width} is odd")
        return self


class ToyConfig(CommandConfig):
    """A command with everything that a command can have."""

    arguments = ("path", "more")
    path: Path = Field(description="a folder")
    more: Names = ()
    languages: Names = Field((), description="languages to take")
    name: str = "none"
    limit: int | None = None
    loud: bool = Field(False, description="say more")
    sizes: ToySizes = ToySizes()

    @classmethod
    def preset(cls, given: Tree) -> tuple[str, Tree]:
        """``large`` is wider."""
        sizes = given.get("sizes", {})
        large = isinstance(sizes, dict) and sizes.get("preset") == "large"
        return ("large", {"sizes": {"width": 400, "height": 300}}) if large else ("", {})


def toy_folder(folder: Path) -> Path:
    """A folder with two files and their manifest."""
    (folder / "languages").mkdir(parents=True)
    (folder / "trunk.bin").write_bytes(bytes(range(256)))
    (folder / "languages" / "lang-nul.bin").write_bytes(b"nothing")
    write_manifest(folder)
    return folder


def run(
    *words: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python with these words to its end."""
    command = [sys.executable, *map(str, words)]
    merged = {**os.environ, **(env or {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=merged, cwd=cwd)


def run_polymod(
    *words: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a ``polymod`` command in a process of its own."""
    return run("-c", "from polymod.cli import main; main()", *words, env=env, cwd=cwd)
