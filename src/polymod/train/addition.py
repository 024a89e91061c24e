"""The run that adds languages: what is checked first, what is looked at, what is written, what came out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polymod.errors import UserError
from polymod.files import MANIFEST, atomic, language_name, read_json, sha256, write_json
from polymod.languages import LanguageError, canonical_all, resolve
from polymod.model.config import OwnVocabulary
from polymod.progress import Bars
from polymod.text.examine import check_tokenizer
from polymod.text.inventory import Corpus, take_inventory
from polymod.text.options import Options, cores
from polymod.text.pipeline import prepare
from polymod.text.shards import Shards
from polymod.text.tokenizer import TOKENIZER
from polymod.text.tokenizers import Tokenizers, own_path
from polymod.train.checkpoint import Saved
from polymod.train.extend import NewLanguage
from polymod.train.extend_options import AUTO, ExtendOptions
from polymod.train.run import found
from polymod.train.survey import Survey, Surveyor

SURVEY = "survey.json"
_SMALL = 2**22  # bytes of text for which more processes take longer to start than they save


@dataclass(frozen=True)
class Addition:
    """Languages to add, checked against the run as far as that goes without reading text.

    Attributes:
        parent, record: checkpoint and record of the run that is extended.
        init_from: languages that packs start from; ``("auto",)`` is left as it is.
    """

    options: ExtendOptions
    parent: Saved
    record: Mapping[str, Any]
    corpora: tuple[Corpus, ...]
    init_from: tuple[str, ...]

    @classmethod
    def of(cls, options: ExtendOptions) -> Addition:
        """The addition that the options describe; nothing is written.

        Raises:
            UserError: no such run or text, a language that is there already or unknown, or nothing to train.
        """
        if options.out.resolve() == options.run.resolve():
            raise UserError("the run itself is never changed", where="--out", fix="give another folder")
        parent, record = found(options.run)
        _check_run(options, parent)
        tags = canonical_all(options.language, where="--language")
        for tag in tags:
            if tag in parent.config.languages:
                fix = "give another language; a variety of it can be named with a private-use tag"
                what = f"the run has the language {tag!r} already"
                raise LanguageError(what, where=str(options.run), fix=f"{fix} such as {tag}-x-a")
        corpora = take_inventory(options.text, tags)
        return cls(options, parent, record, corpora, _sources(options, parent))

    @property
    def tags(self) -> tuple[str, ...]:
        """The new languages."""
        return tuple(corpus.tag for corpus in self.corpora)

    def identity(self) -> dict[str, Any]:
        """What makes the run beside its config."""
        return {
            "parent": sha256(self.parent.folder / MANIFEST),
            "tokenizer": sha256(self.options.run / TOKENIZER),
            "languages": [*self.parent.config.languages, *self.tags],
            "text": {corpus.tag: corpus.facts() for corpus in self.corpora},
        }

    def survey(self) -> dict[str, Survey]:
        """What there is to know about the languages; reads their text.

        Raises:
            UserError: too little text, or nothing to compare it with.
        """
        options = self.options
        own = check_tokenizer(options.tokenizer, None)[0] if options.tokenizer else None
        surveyor = Surveyor(options.run, self.parent.config, options.data, own)
        return {
            corpus.tag: surveyor.look(
                corpus,
                vocab=options.vocab,
                rows=options.vocab_size,
                smallest=options.train.block_tokens,
                with_relatives=self.init_from == (AUTO,),
            )
            for corpus in self.corpora
        }

    def settle(self, surveys: Mapping[str, Survey]) -> dict[str, Any]:
        """Write tokenizers and findings into the run, the latter last; those that are there are left."""
        out = self.options.out
        if not (out / SURVEY).exists():
            copies = {path.relative_to(self.options.run): path.read_bytes() for path in self._tokenizers()}
            own = {tag: survey.tokenizer for tag, survey in surveys.items() if survey.tokenizer is not None}
            new = {own_path(Path(), tag): each.to_str().encode() for tag, each in own.items()}
            for place, data in (copies | new).items():
                with atomic(out / place) as file:
                    file.write(data)
            languages = {tag: survey.document() for tag, survey in surveys.items()}
            write_json(out / SURVEY, {"schema": 1, "languages": languages})
        found: dict[str, Any] = read_json(out / SURVEY)["languages"]
        return found

    def prepare(self, bars: Bars) -> None:
        """Make shards of the languages' text, below ``data/`` of the run."""
        for tag in self.tags:
            options = Options(
                text=self.options.text,
                out=self.folder(tag),
                languages=(tag,),
                tokenizer=Tokenizers(self.options.out).path(tag),
                processes=1 if self._size(tag) < _SMALL else cores(),
            )
            prepare(options, bars)

    def languages(self, survey: Mapping[str, Any]) -> list[NewLanguage]:
        """The languages, whose text is prepared."""
        return [self._language(tag, survey[tag]) for tag in self.tags]

    def folder(self, tag: str) -> Path:
        """Where a language's shards are."""
        return self.options.out / "data" / language_name(tag)

    def sources_of(self, found: Mapping[str, Any]) -> tuple[str, ...]:
        """Languages that a pack starts from, given what was found out about its language."""
        return tuple(found["relatives"]["chosen"]) if self.init_from == (AUTO,) else self.init_from

    def _size(self, tag: str) -> int:
        return next(corpus.text_size for corpus in self.corpora if corpus.tag == tag)

    def _tokenizers(self) -> list[Path]:
        tokenizers, languages = Tokenizers(self.options.run), self.parent.config.languages
        return [self.options.run / TOKENIZER, *(tokenizers.path(tag) for tag in languages)]

    def _language(self, tag: str, found: Mapping[str, Any]) -> NewLanguage:
        vocab, rows = self.options.vocab, self.parent.config.vocab_size
        shards = Shards.open(self.folder(tag), (tag,))
        vocabulary = None
        if vocab != "keep":
            v, shared = shards.vocabulary, rows if vocab == "extend" else 0
            ids = {"bos_id": v.bos_id, "pad_id": v.pad_id, "eos_id": v.eos_id, "mask_id": v.mask_id}
            vocabulary = OwnVocabulary(size=v.size, shared_rows=shared, **ids)
        return NewLanguage(tag, shards, self.sources_of(found), vocabulary)


def _check_run(options: ExtendOptions, parent: Saved) -> None:
    arm, where = parent.config.arm, str(options.run)
    if "task" in parent.facts:
        fix = "extend the run that it was fine-tuned from"
        raise UserError("a model that is fine-tuned for a task cannot be extended", where=where, fix=fix)
    if not (options.run / TOKENIZER).is_file():
        raise UserError("the run has no tokenizer", where=where, fix="import a directory that has one")
    if options.vocab == "keep" and arm != "modular":
        what = f"nothing could be trained: in the {arm} arm no language has a pack"
        raise UserError(what, where=where, fix="give --vocab new or --vocab extend")
    if options.tokenizer and (options.vocab != "new" or options.vocab_size is not None):
        what = "--tokenizer goes with --vocab new, and says its size"
        raise UserError(what, fix="give --vocab new without --vocab-size, or leave --tokenizer out")
    if options.vocab == "keep" and options.vocab_size is not None:
        raise UserError("--vocab-size says nothing with --vocab keep", fix="leave one of them out")
    if options.train.block_tokens > parent.config.architecture.max_length:
        longest = parent.config.architecture.max_length
        what = f"blocks of {options.train.block_tokens} tokens in a model of at most {longest}"
        raise UserError(what, fix="lower --train.block-tokens")


def _sources(options: ExtendOptions, parent: Saved) -> tuple[str, ...]:
    if options.init_from and parent.config.arm != "modular":
        what = f"--init-from says where a pack starts, and the {parent.config.arm} arm has none"
        raise UserError(what, fix="leave it out")
    if AUTO in options.init_from:
        if options.init_from != (AUTO,):
            raise UserError("--init-from is either auto or languages", fix="give one of the two")
        return (AUTO,)
    there = parent.config.languages
    named = (resolve(code, there, where="--init-from") for code in options.init_from)
    return tuple(dict.fromkeys(named))
