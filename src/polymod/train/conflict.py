"""Options that do not go together, refused before anything is built. No torch here."""

from __future__ import annotations

from polymod.errors import UserError
from polymod.model.config import Arm
from polymod.train.config import UpdateName


def check_modules(arm: Arm) -> None:
    """Refuse to meta-learn where languages have no modules (``UserError``)."""
    if arm != "modular":
        what = f"the {arm} arm has no modules of languages, which are what is meta-learned"
        raise UserError(what, where="--update", fix="give --arm modular")


def check_mapped(arm: Arm, update: UpdateName) -> None:
    """Refuse to keep idle languages out of memory where they own nothing, or where the update reads text of
    other languages than those of a step (``UserError``).
    """
    where = "--residency.mapped"
    if arm != "modular":
        fix = "leave it out, or give --arm modular"
        raise UserError(f"languages have no packs in the {arm} arm", where=where, fix=fix)
    if update.startswith("meta"):
        what = f"--update {update} reads text of other languages than those of a step"
        raise UserError(what, where=where, fix="leave it out, or give another --update")
