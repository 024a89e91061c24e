"""What a folder holds, told by the files in it; names of runs that tell them apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from polymod.diagnose.work import REQUEST
from polymod.errors import UserError
from polymod.files import read_json
from polymod.report.part import Part
from polymod.study.results import DOCUMENT as STUDY
from polymod.study.work import PLAN
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
_GO_ON = "give the same polymod study command again: it goes on where it was"
MOST_RUNS = 12  # of a study on one page: more cannot be told apart there
_CAN_BE = "a folder of pretrain, extend, finetune (after transfer), study, diagnose, demo, prepare or world"


def kinds(path: Path) -> list[str]:
    """What a folder holds, at least one thing.

    Raises:
        UserError: no folder, or none that a page can be made from.
    """
    _require_folder(path)
    found = _found(path)
    if not found:
        raise _nothing(path)
    return found


def expanded(path: Path) -> list[Path]:
    """A folder, or in the place of a study its finished runs.

    Raises:
        UserError: no run of the study is finished, or more than fit a page.
    """
    if not (path / STUDY).is_file():
        return [path]
    names_ = Part(document_of(path / STUDY)).part("runs").parts()
    if not names_:
        raise UserError("no run of the study is finished", where=str(path), fix=_GO_ON)
    if len(names_) > MOST_RUNS:
        what = f"a study of {len(names_)} runs; a page shows {MOST_RUNS} so that they can be told apart"
        raise UserError(what, where=str(path), fix=f"give some of {path / 'runs'}/*")
    own = [path] if _found(path) else []  # a diagnosis may have been written there
    return [*own, *(path / "runs" / name for name in names_)]


def failed(path: Path) -> list[str]:
    """Runs of a study that failed, so that its page is without them."""
    if not (path / STUDY).is_file():
        return []
    return list(Part(document_of(path / STUDY)).part("failed").tree)


def _require_folder(path: Path) -> None:
    if not path.is_dir():
        what = "no folder, but a file" if path.exists() else "no such folder"
        raise UserError(what, where=str(path), fix=f"give {_CAN_BE}")


def _found(path: Path) -> list[str]:
    """What finished things a folder holds; of a run one."""
    found = [kind for kind, name in FILES.items() if (path / name).is_file()]
    of_a_run = [kind for kind in OF_A_RUN if kind in found]
    return [kind for kind in found if kind not in of_a_run[1:]]


def _nothing(path: Path) -> UserError:
    """What is begun there, or that nothing is."""
    for what in DIAGNOSES:
        if (path / what / REQUEST).is_file():
            fix = f"give the same command again, it goes on: polymod diagnose {what} ... --out {path}"
            return UserError(f"diagnose {what} is not finished here", where=str(path), fix=fix)
    if (path / PLAN).is_file() and (path / "runs").is_dir():
        fix = f"{_GO_ON}; or give {path / 'runs'}/*"
        return UserError("the study is not finished", where=str(path), fix=fix)
    return UserError("nothing that a report can show is here", where=str(path), fix=f"give {_CAN_BE}")


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
