"""``polymod verify``: check every hash of a data, run or export folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from polymod.config import CommandConfig
from polymod.errors import Failure, UserError
from polymod.files import MANIFEST, problems


class Config(CommandConfig):
    """Reads every byte; exits 1 and names the files if a hash does not hold."""

    arguments = ("path",)
    path: Path = Field(description="a folder that prepare, pretrain, import or export wrote")


def main(config: Config) -> dict[str, Any]:
    """Verify all manifests at or below the folder."""
    if not config.path.is_dir():
        raise UserError("no such folder", where=str(config.path))
    manifests = sorted(
        path
        for path in config.path.rglob(MANIFEST)
        if not any(part.startswith(".") for part in path.relative_to(config.path).parts)
    )
    if not manifests:
        raise UserError(
            "no manifest here, nothing to verify",
            where=str(config.path),
            fix="give a folder that polymod wrote",
        )
    found = [problem for manifest in manifests for problem in problems(manifest.parent)]
    checkpoints = config.path.rglob("checkpoints/step-????????")
    found += [f"{folder / MANIFEST}: missing" for folder in checkpoints if folder / MANIFEST not in manifests]
    document = {
        "path": str(config.path),
        "manifests": [str(path) for path in manifests],
        "problems": found,
    }
    if found:
        what = f"{len(found)} of the files differ from their manifest; the first is {found[0]}"
        raise Failure(what, where=str(config.path), fix="write the folder again", document=document)
    return document


def show(document: dict[str, Any]) -> None:
    """One line, and one for each problem."""
    found = document["problems"]
    verdict = "every hash holds" if not found else f"{len(found)} problem(s)"
    print(f"{document['path']}: {len(document['manifests'])} manifest(s), {verdict}")
    print("".join(f"  {problem}\n" for problem in found), end="")
