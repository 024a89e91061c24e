"""Fine-tuned folders and folders of added languages as parts of a results document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from polymod.errors import UserError
from polymod.report.gather.folders import EXTENDED, document_of
from polymod.tasks.finetuned import RESULT
from polymod.tasks.tables import DIFFERENCES

_CONTROLS = {"target": "transfer.json", "source": "transfer-source.json", "none": "transfer-none.json"}


def transfer(folder: Path) -> dict[str, Any]:
    """The tables that ``transfer`` left in a fine-tuned folder.

    Raises:
        UserError: it was not read in other languages yet.
    """
    tables = {
        control: document_of(folder / name)
        for control, name in _CONTROLS.items()
        if (folder / name).is_file()
    }
    if "target" not in tables:
        fix = "run polymod transfer on it, with --module all for the controls"
        raise UserError("the fine-tuned model has no transfer.json", where=str(folder), fix=fix)
    found: dict[str, Any] = {**tables["target"], "labels": document_of(folder / RESULT).get("labels", [])}
    if len(tables) > 1:
        found["modules"] = tables
    if (folder / DIFFERENCES).is_file():
        found["differences"] = document_of(folder / DIFFERENCES)["differences"]
    return found


def addition(folder: Path) -> dict[str, Any]:
    """What ``extend`` says of the languages it added."""
    found = document_of(folder / EXTENDED)
    return {"languages": found["languages"], "old_languages": found["old_languages"]}
