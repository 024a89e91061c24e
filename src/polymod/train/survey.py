"""What is known about a language before it is added: fertility, advice, relatives, tokenizer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from polymod.errors import UserError
from polymod.files import read_json, sha256
from polymod.model.config import ModelConfig
from polymod.text.enlarge import can_extend, extended_tokenizer, new_tokenizer
from polymod.text.fertility import MODES, Advice, Fertility, Mode, advise, measure, of_entry
from polymod.text.findings import about_scripts
from polymod.text.inventory import Corpus
from polymod.text.relatives import Relatives, relatives, with_letters
from polymod.text.sample import first_documents
from polymod.text.scripts import Characters
from polymod.text.shards import DATA, Shards, read_data
from polymod.text.tokenizer import TOKENIZER, load_tokenizer
from polymod.train.run import RECORD

JUDGED = 2_000_000  # characters of a text that fertility and relatives are measured on
LEARNT = 10_000_000  # that a tokenizer is trained on
_DEEPEST = 64  # runs that were extended one from the other


@dataclass(frozen=True)
class Survey:
    """One language.

    Attributes:
        fertility: of the run's tokenizer.
        others: the same for the run's own languages; empty if their data are gone.
        relatives: None if nobody asked for them.
        tokenizer: of the language's own, if it gets one.
        chosen: fertility of the tokenizer that it gets.
        warnings: what is strange about the text.
    """

    tag: str
    fertility: Fertility
    others: Mapping[str, Fertility]
    advice: Advice
    relatives: Relatives | None
    tokenizer: Tokenizer | None
    chosen: Fertility
    warnings: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As it is kept and shown; without the tokenizer."""
        return {
            "fertility": asdict(self.fertility),
            "others": {tag: asdict(other) for tag, other in self.others.items()},
            "chosen_fertility": asdict(self.chosen),
            "advice": asdict(self.advice),
            "warnings": list(self.warnings),
            "relatives": asdict(self.relatives) if self.relatives else None,
        }


class Surveyor:
    """Looks at new languages with the eyes of a run.

    Args:
        data: a data folder with the run's tokenizer, instead of the one that the run remembers.
        own: the new languages' tokenizer, if it is not to be trained on their text.
    """

    def __init__(
        self, run: Path, config: ModelConfig, data: Path | None = None, own: Tokenizer | None = None
    ) -> None:
        self.run, self.config, self.own = run, config, own
        self.tokenizer = load_tokenizer(run / TOKENIZER)
        self.entries, self._folders = _own_languages(run, config, data)
        self.fertilities = {tag: of_entry(entry) for tag, entry in self.entries.items()}

    @property
    def possible(self) -> tuple[Mode, ...]:
        """Ways to a vocabulary that this run has: without a pack, old rows leave nothing to be trained."""
        modes = [mode for mode in MODES if mode != "keep" or self.config.arm == "modular"]
        return tuple(mode for mode in modes if mode != "extend" or can_extend(self.tokenizer))

    def look(
        self, corpus: Corpus, *, vocab: Mode, rows: int | None, smallest: int, with_relatives: bool
    ) -> Survey:
        """Judge one language, and make its tokenizer if it is to have one.

        Args:
            rows: of the tokenizer, or how many pieces to add.
            smallest: tokens that training needs.

        Raises:
            UserError: too little text, no tokenizer of that size, or nothing to compare with.
        """
        documents = first_documents(corpus, LEARNT if vocab != "keep" else JUDGED)
        judged = documents[: _count(documents, JUDGED)]
        fertility, counts_V = measure(self.tokenizer, judged)
        found = None
        if with_relatives:
            letters_V = with_letters(self.tokenizer)
            found = relatives(counts_V, self._counts(), letters_V)
        tokenizer, chosen = None, fertility
        if vocab != "keep":
            tokenizer = self._tokenizer(documents, vocab, rows)
            if tokenizer.get_vocab_size() == self.config.vocab_size and vocab == "extend":
                fix = "give --vocab keep"
                raise UserError(f"the tokenizer lacks no piece of the language {corpus.tag!r}", fix=fix)
            chosen, counts_V = measure(tokenizer, judged)
        if len(judged) == len(documents) and counts_V.sum() + len(judged) < smallest:
            tokens = int(counts_V.sum()) + len(judged)
            what = f"language {corpus.tag!r} has about {tokens:,} training tokens, a block needs {smallest:,}"
            raise UserError(what, fix="give more text, or lower --train.block-tokens")
        advice = advise(fertility, self.fertilities, self.possible)
        characters = Characters()
        characters.add(judged)
        strange = about_scripts(corpus.tag, characters.scripts())
        warnings = tuple(f"{each.message}; {each.fix}" for each in strange)
        return Survey(corpus.tag, fertility, self.fertilities, advice, found, tokenizer, chosen, warnings)

    def _tokenizer(self, documents: Sequence[str], vocab: Mode, rows: int | None) -> Tokenizer:
        if vocab == "new":
            return self.own or new_tokenizer(documents, rows)
        return extended_tokenizer(self.tokenizer, documents, rows, rows=self.config.vocab_size)

    def _counts(self) -> dict[str, NDArray[np.int64]]:
        """Token counts of the run's languages in their training text."""
        if not self._folders:
            tried = ", ".join(map(str, _data_folders(self.run))) or "nowhere"
            what = "the data that the run was trained on are gone, so its languages cannot be compared; "
            what += f"looked for in {tried}"
            fix = "give --data with a folder that prepare made with the run's tokenizer, or name --init-from"
            raise UserError(what, where=str(self.run), fix=fix)
        return {
            tag: Shards.open(folder, (tag,), verify=False).unigram_counts(tag)
            for tag, folder in self._folders.items()
        }


def _count(documents: Sequence[str], characters: int) -> int:
    """How many documents have so many characters together."""
    lengths = np.cumsum([len(text) for text in documents])
    return int(np.searchsorted(lengths, characters)) + 1


def _own_languages(
    run: Path, config: ModelConfig, data: Path | None
) -> tuple[dict[str, Mapping[str, Any]], dict[str, Path]]:
    """Entries and data folders of the run's languages, as far as their text is still there.

    Languages with a vocabulary of their own are left out: their tokens are not comparable.
    """
    if data is not None:
        read_data(data)
    sha = sha256(run / TOKENIZER)
    comparable = [tag for tag in config.languages if tag not in config.own_vocabularies]
    entries: dict[str, Mapping[str, Any]] = {}
    folders: dict[str, Path] = {}
    for folder in [data] if data is not None else _data_folders(run):
        if not (folder / DATA).is_file():
            continue
        document = read_data(folder)
        if document["tokenizer_sha256"] != sha:
            if data is not None:
                fix = "give the data that the run was trained on"
                raise UserError("the data has another tokenizer than the run", where=str(data), fix=fix)
            continue
        for tag in comparable:
            if tag in document["languages"] and tag not in folders:
                entries[tag], folders[tag] = document["languages"][tag], folder
    return entries, folders


def _data_folders(run: Path) -> Iterator[Path]:
    """Data folders that a run, and the runs that it was made from, know of."""
    for _ in range(_DEEPEST):
        yield from sorted((run / "data").glob("lang-*"))
        config = read_json(run / RECORD)["config"] if (run / RECORD).is_file() else {}
        if config.get("data"):
            yield Path(config["data"])
        if not config.get("run"):
            return
        run = Path(config["run"])
