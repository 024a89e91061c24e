"""What a folder holds, told by the files in it; names of runs that tell them apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from polymod.errors import UserError
from polymod.files import read_json
from polymod.tasks.finetuned import RESULT as FINETUNED
from polymod.text.shards import DATA
from polymod.train.run import RECORD

GRADIENTS, MASKS, CONTROLS, GAPS = DIAGNOSES = ("gradients", "masks", "controls", "gaps")
DEMO, EXTENDED, WORLD = "results.json", "extend.json", "world.json"
TASK, RUN, ADDITION, TEXT = "task", "run", "addition", "text"  # kinds, beside the diagnoses and those below
FILES: Mapping[str, str] = {  # a kind and the file that tells it; the first of a run's three counts
    DEMO: DEMO,
    **{name: f"{name}.json" for name in DIAGNOSES},
    TASK: FINETUNED,
    ADDITION: EXTENDED,
    RUN: RECORD,
    TEXT: DATA,
    WORLD: WORLD,
}
OF_A_RUN = (TASK, ADDITION, RUN)
_CAN_BE = "a folder of pretrain, extend, finetune (after transfer), diagnose, demo, prepare or world"


def kinds(path: Path) -> list[str]:
    """What a folder holds, at least one thing.

    Raises:
        UserError: no folder, or none that a page can be made from.
    """
    if not path.is_dir():
        what = "no folder, but a file" if path.exists() else "no such folder"
        raise UserError(what, where=str(path), fix=f"give {_CAN_BE}")
    found = [kind for kind, name in FILES.items() if (path / name).is_file()]
    of_a_run = [kind for kind in OF_A_RUN if kind in found]
    found = [kind for kind in found if kind not in of_a_run[1:]]
    if not found:
        raise UserError("nothing that a report can show is here", where=str(path), fix=f"give {_CAN_BE}")
    return found


def document_of(path: Path) -> dict[str, Any]:
    """A JSON document that polymod wrote.

    Raises:
        UserError: unreadable, or of another schema.
    """
    found = read_json(path)
    if not isinstance(found, dict) or found.get("schema") != 1:
        fix = "write it again with this version of polymod"
        raise UserError("no document of schema 1", where=str(path), fix=fix)
    return found


def names(paths: Iterable[Path]) -> dict[Path, str]:
    """The shortest end of each path that no other one has: mostly its last part."""
    whole = {path: path.resolve().parts for path in paths}
    return {path: _shortest(parts, [*whole.values()]) for path, parts in whole.items()}


def _shortest(parts: Sequence[str], among: Sequence[Sequence[str]]) -> str:
    for length in range(1, len(parts) + 1):
        if len({tuple(each) for each in among if each[-length:] == parts[-length:]}) == 1:
            return "/".join(parts[-length:])
    return "/".join(parts)
