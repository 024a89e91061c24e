"""One preparation: what is asked for, and whether its folder holds that already, in part or as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polymod import files
from polymod.config import difference
from polymod.errors import UserError
from polymod.text.examine import check_tokenizer
from polymod.text.inventory import Corpus, take_inventory
from polymod.text.options import Options
from polymod.text.shards import DATA
from polymod.text.tokenizer import TOKENIZER

VOCAB_SIZE = 32_000
SPACE_PER_TEXT = 1.2  # work files and shards, per byte of text
STATE, WORK = "state.json", "work"
# What reading and the search for duplicates do not depend on: it may be changed until the tokenizer is there.
LATER = ("config.vocab_size", "config.tokenizer", "config.sample", "config.split")


@dataclass(frozen=True)
class Job:
    """What is asked for, and where the work files lie.

    Attributes:
        identity: all that the bytes of the result depend on.
    """

    options: Options
    corpora: tuple[Corpus, ...]
    identity: dict[str, Any]

    @classmethod
    def of(cls, options: Options) -> Job:
        """The job that the options describe; nothing is written.

        Raises:
            UserError: the texts or the tokenizer are not usable.
        """
        corpora = take_inventory(options.text, options.languages)
        return cls(options, corpora, _identity(options, corpora))

    @property
    def out(self) -> Path:
        """The data folder."""
        return self.options.out

    @property
    def work(self) -> Path:
        """Folder that is removed in the end."""
        return self.out / WORK

    @property
    def tokenizer(self) -> Path:
        """The tokenizer of the data folder."""
        return self.out / TOKENIZER

    @property
    def tags(self) -> tuple[str, ...]:
        """Languages."""
        return tuple(corpus.tag for corpus in self.corpora)

    def folder(self, stage: str, tag: str) -> Path:
        """Work files of one stage and language."""
        return self.work / stage / files.language_name(tag)


def _identity(options: Options, corpora: Sequence[Corpus]) -> dict[str, Any]:
    config = options.identity()
    if options.tokenizer is not None:
        _, vocabulary = check_tokenizer(options.tokenizer, options.vocab_size)
        config["vocab_size"] = vocabulary.size
        config["tokenizer"] = files.sha256(tokenizer_file(options.tokenizer))
    else:
        config["vocab_size"] = options.vocab_size or VOCAB_SIZE
    return {"config": config, "text": {corpus.tag: corpus.facts() for corpus in corpora}}


def tokenizer_file(path: Path) -> Path:
    """A tokenizer.json, given as such or as the folder that holds it."""
    return path / TOKENIZER if path.is_dir() else path


def begun(job: Job) -> dict[str, Any] | None:
    """The finished document, or None if there is work to do, which begins or goes on."""
    state, data = job.work / STATE, job.out / DATA
    files.remove_temporary(job.out)
    if not state.exists() and not data.exists():
        if any(path.name != files.LOCK for path in job.out.iterdir()):
            what = "the folder is not empty, and no preparation was begun in it"
            raise UserError(what, where=str(job.out), fix="give another --out")
        files.require_space(job.out, int(SPACE_PER_TEXT * sum(corpus.text_size for corpus in job.corpora)))
        files.write_json(state, job.identity)
        return None
    found = files.read_json(data if data.exists() else state)
    before = {key: found.get(key) for key in job.identity} if isinstance(found, dict) else {}
    changed = difference(before, job.identity)
    if changed and not job.tokenizer.exists() and all(line.startswith(LATER) for line in changed):
        files.write_json(state, job.identity)
    elif changed:
        shown = [*changed[:20], *(["..."] if len(changed) > 20 else [])]
        what = "\n  ".join(["the folder was made from other text or with other options:", *shown])
        fix = "give another --out, or the options of before; to begin again remove the folder"
        raise UserError(what, where=str(job.out), fix=fix)
    return found if data.exists() else None
