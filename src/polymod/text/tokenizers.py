"""The tokenizers of a run: one for all languages, and those of languages that have their own."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from polymod.errors import UserError
from polymod.files import language_name, sha256
from polymod.text.tokenizer import TOKENIZER, load_tokenizer

TOKENIZERS = "tokenizers"  # folder of the languages' own


class Tokenizers:
    """The tokenizer of a language: ``tokenizers/lang-<tag>.json`` if the run has it, else the common one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._load = lru_cache(maxsize=None)(load_tokenizer)

    def path(self, tag: str) -> Path:
        """File of a language's tokenizer.

        Raises:
            UserError: the run has none.
        """
        own, common = own_path(self.folder, tag), self.folder / TOKENIZER
        if own.is_file():
            return own
        if not common.is_file():
            fix = "import a directory that has a tokenizer.json"
            raise UserError("the run has no tokenizer", where=str(self.folder), fix=fix)
        return common

    def of(self, tag: str) -> Tokenizer:
        """A language's tokenizer; it never truncates or pads."""
        return self._load(self.path(tag))

    def sha256(self, tag: str) -> str:
        """Hash of the file."""
        return sha256(self.path(tag))

    def has_own(self, tag: str) -> bool:
        """Whether a language has a tokenizer of its own."""
        return own_path(self.folder, tag).is_file()


def own_path(folder: Path, tag: str) -> Path:
    """Where a language's own tokenizer lies, if it has one."""
    return folder / TOKENIZERS / f"{language_name(tag)}.json"
