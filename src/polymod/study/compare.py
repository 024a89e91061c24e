"""Gaps of trained runs: those of studies, or single ones, all scored on the same text and then compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from polymod.diagnose.compared import Trained, common_block, require_apart
from polymod.diagnose.gaps import Compared, gaps
from polymod.diagnose.options import GapOptions
from polymod.diagnose.work import opened
from polymod.files import write_json
from polymod.progress import bars
from polymod.study.results import DOCUMENT, runs_of
from polymod.text.shards import Shards


class Comparison:
    """Runs to be compared.

    Args:
        folders: of studies, or of runs that pretrain wrote.
        shards: the data that all were trained on.
        block: length of the sequences to score; 0: as the runs were trained.

    Raises:
        UserError: a study or a run is not finished, or has other data; runs that cannot be told apart.
    """

    def __init__(self, folders: Sequence[Path], shards: Shards, options: GapOptions, block: int) -> None:
        named = [pair for folder in folders for pair in _runs(folder)]
        self.runs = [Trained.opened(run, shards, setting) for run, setting in named]
        require_apart(self.runs)
        self._shards, self._options, self._block = shards, options, common_block(self.runs, block)

    def made(self, out: Path, tags: Sequence[str], device: torch.device, console: Console) -> dict[str, Any]:
        """The document for these languages, also written to ``gaps.json``; scores that are there are read.

        Raises:
            UserError: they cannot be compared, which is told before anything is scored.
        """
        compared = [run.compared(self._shards, dict.fromkeys(run.tags, 0.0), tags) for run in self.runs]
        self._document(compared, tags)
        with opened(out, "gaps", self._request(tags)) as work, bars("runs", console) as group:
            group.add("scored", len(self.runs))
            for number, run in enumerate(self.runs):
                losses = work.part(f"{number:04d}", self._scorer(run, device))
                known = {tag: losses[tag] for tag in compared[number].losses}
                compared[number] = replace(compared[number], losses=known)
                group.at("scored", number + 1)
            group.remove("scored")
            document = self._document(compared, tags)
            write_json(out / "gaps.json", document)
        return document

    def _document(self, compared: Sequence[Compared], tags: Sequence[str]) -> dict[str, Any]:
        entropy = {tag: self._shards.info(tag)["unigram_entropy"] for tag in tags}
        options = self._options
        return gaps(compared, entropy, condition=options.condition, reference=options.reference)

    def _scorer(self, run: Trained, device: torch.device) -> Callable[[], dict[str, Any]]:
        return lambda: run.losses(self._shards, device, block=self._block, most=self._options.max_tokens)

    def _request(self, tags: Sequence[str]) -> dict[str, Any]:
        """What the result depends on."""
        options = {
            **self._options.model_dump(mode="json"),
            "languages": list(tags),
            "block_tokens": self._block,
        }
        runs = [[str(run.folder), run.setting, run.saved.chain] for run in self.runs]
        return {"config": options, "identity": {"data": self._shards.fingerprint, "runs": runs}}


def _runs(folder: Path) -> list[tuple[Path, str]]:
    """Folders and settings of a study's runs; a run by itself has no setting yet."""
    if not (folder / DOCUMENT).exists():
        return [(folder, "")]
    return [(run, setting) for setting, _, run in runs_of(folder)]
