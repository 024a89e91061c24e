"""Where the page comes from: command, versions, seed."""

from __future__ import annotations

from polymod.report.blocks import Block, Facts, Section
from polymod.report.document import Document


def section(document: Document) -> Section | None:
    """Left out where neither command nor versions are known."""
    versions = document.part.part("versions")
    command, seed = document.part.text("command"), document.part.part("world").number("seed")
    pairs = [("command", command)] * bool(command)
    if seed is not None:
        pairs.append(("seed of the world", f"{seed:.0f}"))
    pairs += [(str(name), "" if value is None else str(value)) for name, value in versions.tree.items()]
    if not pairs:
        return None
    blocks: tuple[Block, ...] = (Facts(tuple(pairs), code=True),)
    means = "The command and the versions that these figures depend on."
    advice = "Repeat the command with the same versions and threads to get the same figures."
    return Section("provenance", "Provenance", means, advice, blocks)
