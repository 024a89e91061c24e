"""Where a language stands: its tag, its family, and the line of ancestors it inherits from.

Tags are canonical private-use codes: the second letter is the family, the third the member (``qab`` is the
second member of the first family). Further pages of 26 members or 20 families add ``-x-NN`` and ``-x-NN-NN``.
"""

from __future__ import annotations

from typing import NamedTuple

FAMILIES_PER_PAGE, MEMBERS_PER_PAGE = 20, 26
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Lineage(NamedTuple):
    """A language's place in its family; both numbers count from 0."""

    family: int
    member: int

    @property
    def tag(self) -> str:
        """The canonical tag."""
        family_page, family = divmod(self.family, FAMILIES_PER_PAGE)
        member_page, member = divmod(self.member, MEMBERS_PER_PAGE)
        pages = [f"{member_page:02d}", f"{family_page:02d}"][: 2 if family_page else 1]
        suffix = "-x-" + "-".join(pages) if family_page or member_page else ""
        return f"q{_LETTERS[family]}{_LETTERS[member]}{suffix}"

    @property
    def family_name(self) -> str:
        """The letter of the family, with its page behind the first twenty: ``a``, ``c-01``."""
        page, family = divmod(self.family, FAMILIES_PER_PAGE)
        return f"{_LETTERS[family]}-{page:02d}" if page else _LETTERS[family]

    @property
    def nodes(self) -> tuple[str, ...]:
        """The line from the proto-language to the language itself: two branches, each with two twigs."""
        family, branch, twig = self.family, self.member % 2, self.member % 4
        return (f"{family}", f"{family}.{branch}", f"{family}.{branch}.{twig}", f"{family}:{self.member}")


def lineages(num_languages: int, num_families: int) -> list[Lineage]:
    """The languages of a world: families take turns, so that more languages come behind the earlier ones."""
    return [Lineage(index % num_families, index // num_families) for index in range(num_languages)]
