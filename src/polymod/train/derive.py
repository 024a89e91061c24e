"""A run made of another one: the same trunk and step, other languages. The other run is only read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polymod.errors import UserError
from polymod.files import MANIFEST, new_folder, read_json, require_space, sha256, write_json
from polymod.languages import canonical, resolve
from polymod.model.heads import MaskedLM
from polymod.model.install import drop_language, rename_language
from polymod.text.tokenizer import TOKENIZER
from polymod.text.tokenizers import Tokenizers, own_path
from polymod.train.checkpoint import Saved, load_model, save, size_of
from polymod.train.config import TrainOptions
from polymod.train.lineage import origins, write_origins
from polymod.train.loop import TrainState
from polymod.train.optim import build_optimizer
from polymod.train.packfile import opened_pack
from polymod.train.run import RECORD, found, versions


@dataclass
class Roster:
    """The languages of a run, in memory, to be changed.

    Attributes:
        tokenizers: of languages that have their own.
        origins: where languages come from, as far as it is known.
    """

    model: MaskedLM
    tokenizers: dict[str, bytes]
    origins: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, run: Path, saved: Saved) -> Roster:
        """All that a checkpoint of a run has."""
        own = Tokenizers(run)
        tags = [tag for tag in saved.config.languages if own.has_own(tag)]
        return cls(load_model(saved), {tag: own.path(tag).read_bytes() for tag in tags}, origins(run))

    def drop(self, code: str) -> None:
        """Take a language out."""
        tag = resolve(code, self.model.config.languages)
        drop_language(self.model, tag)
        self.tokenizers.pop(tag, None)
        self.origins.pop(tag, None)

    def rename(self, code: str, other: str) -> None:
        """Give a language another tag."""
        old, new = resolve(code, self.model.config.languages), canonical(other)
        rename_language(self.model, old, new)
        if old in self.tokenizers:
            self.tokenizers[new] = self.tokenizers.pop(old)
        if old in self.origins:
            self.origins[new] = self.origins.pop(old)

    def install(self, path: Path, code: str, *, tokenizer_sha256: str) -> None:
        """Put the language of a file in, under the tag of ``code`` or, without one, as the file says."""
        with opened_pack(path) as pack:
            tag = canonical(code or pack.header.tag)
            pack.install(self.model, tag=tag, tokenizer_sha256=tokenizer_sha256)
            if pack.tokenizer is not None:
                self.tokenizers[tag] = pack.tokenizer
            self.origins[tag] = {**pack.header.origin, "from": "imported", "file": str(path)}


class Derived:
    """A run to be made of another one by a change of its languages.

    Attributes:
        saved, record: checkpoint and record of the run that it is made of.
    """

    def __init__(self, run: Path, out: Path, change: Mapping[str, Any]) -> None:
        self.saved, self.record = found(run)
        self.run, self.out = run, out
        self._made = {"parent": sha256(self.saved.folder / MANIFEST), "change": dict(change)}

    def is_there(self) -> bool:
        """Whether ``out`` holds just this already.

        Raises:
            UserError: it holds something else.
        """
        if not self.out.exists():
            return False
        record = read_json(self.out / RECORD) if (self.out / RECORD).is_file() else {}
        identity = record.get("identity", {})
        if any(identity.get(key) != value for key, value in self._made.items()):
            what = "the folder exists, and holds something else"
            raise UserError(what, where=str(self.out), fix="give another --out or remove it")
        return True

    def write(self, roster: Roster) -> None:
        """Write the run as a whole."""
        model = roster.model
        require_space(self.out, int(1.1 * size_of(model) / 3))
        languages = {"languages": list(model.config.languages)}
        source = {"source": str(self.run)}  # there is no optimiser state to go on from
        identity = {**self.record["identity"], **languages, **self._made, **source}
        config = {**self.record["config"], "run": str(self.run.absolute())}
        with new_folder(self.out) as folder:
            if (self.run / TOKENIZER).is_file():
                (folder / TOKENIZER).write_bytes((self.run / TOKENIZER).read_bytes())
            for tag, data in roster.tokenizers.items():
                path = own_path(folder, tag)
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(data)
            optimizer = build_optimizer(model, TrainOptions())
            state = TrainState(model, optimizer, self.saved.step, self.saved.chain)
            save(state, folder, facts={"identity": identity, "versions": versions()}, keep=1)
            write_origins(folder, roster.origins)
            record = {"config": config, "identity": identity, "versions": versions()}
            write_json(folder / RECORD, {"schema": 1, **record})
