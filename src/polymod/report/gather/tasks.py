"""Fine-tuned folders and folders of added languages as parts of a results document."""

from __future__ import annotations

from collections.abc import Mapping
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
        UserError: it was not read in other languages yet, or controls were read on something else.
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
        for control, table in tables.items():
            if _read_on(table) != _read_on(tables["target"]):
                what = f"{_CONTROLS[control]} is of other languages or examples than {_CONTROLS['target']}"
                fix = "run polymod transfer on it again, with --module all"
                raise UserError(what, where=str(folder), fix=fix)
        if (folder / DIFFERENCES).is_file():
            found["differences"] = document_of(folder / DIFFERENCES)["differences"]
    return found


def _read_on(table: Mapping[str, Any]) -> tuple[Any, ...]:
    """The split, and how many examples of each language."""
    return table.get("split"), {tag: each.get("examples") for tag, each in table["languages"].items()}


def addition(folder: Path) -> dict[str, Any]:
    """What ``extend`` says of the languages it added."""
    found = document_of(folder / EXTENDED)
    return {"languages": found["languages"], "old_languages": found["old_languages"]}
