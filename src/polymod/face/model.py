"""A model as people use it from Python: it fills masks, embeds sentences, predicts, takes on languages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from polymod.errors import UserError
from polymod.face.filling import Candidate, fill
from polymod.face.predicting import Prediction, examples_of, predict
from polymod.face.texts import Identify, tags_of, texts_of
from polymod.model.heads import MaskedLM
from polymod.model.tasks import TaskModel
from polymod.progress import bars, stderr
from polymod.tasks.embedding import BUDGETS, Vectors, embed, encode, normalised
from polymod.tasks.opened import Opened, opened
from polymod.train.run import device_and_dtype

LONG = 2000  # texts from which on a bar is shown on a terminal


def load(
    where: str | Path,
    *,
    device: str = "auto",
    revision: str = "",
    identify: Identify | None = None,
    batch_tokens: int = 0,
) -> Model:
    """Load a model for use.

    Args:
        where: a run (its newest whole checkpoint), a fine-tuned folder, an exported or any other X-MOD
            directory of ``transformers``, or a Hub id such as ``facebook/xmod-base``.
        device: ``cpu``, ``cuda``, or ``auto``: CUDA where there is one.
        revision: commit of a Hub repository.
        identify: texts -> a language code for each, used where the language is ``"auto"``.
        batch_tokens: tokens computed at once; 0: what suits the device.

    Raises:
        UserError: nothing of the kind is there, or it is damaged.
    """
    return Model(opened(where, revision=revision), identify, batch_tokens).to(
        device_and_dtype(device, "fp32")[0]
    )


class Model:
    """A loaded model. Every call takes one language for all texts, or one for each, under any alias.

    One call may mix languages: texts are sorted by language and length inside, results come in the order
    given and do not depend on what else is in the call.

    Attributes:
        batch_tokens: tokens computed at once; 0: what suits the device.
    """

    def __init__(self, source: Opened, identify: Identify | None = None, batch_tokens: int = 0) -> None:
        self._source, self._identify, self.batch_tokens = source, identify, batch_tokens

    @property
    def languages(self) -> tuple[str, ...]:
        """Tags of the installed languages."""
        return self._source.config.languages

    @property
    def arm(self) -> str:
        """``modular``, ``shared`` or ``dense``."""
        return self._source.config.arm

    @property
    def task(self) -> str | None:
        """What the model was fine-tuned for, if it was."""
        model = self._source.model
        return model.spec.task if isinstance(model, TaskModel) else None

    @property
    def num_layers(self) -> int:
        """Layers of the encoder."""
        return self._source.config.architecture.num_layers

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self._source.encoder.embeddings.tokens.weight.device

    def to(self, device: str | torch.device) -> Model:
        """Move the model to a device; returns the model.

        Raises:
            UserError: there is no such device.
        """
        self._source.model.to(device_and_dtype(str(device), "fp32")[0])
        return self

    def __repr__(self) -> str:
        task = f", {self.task}" if self.task else ""
        count = f"{len(self.languages)} languages"
        return f"polymod.Model({str(self._source.folder)!r}, {self.arm}, {count}{task}, {self.device})"

    def embed(
        self,
        texts: str | Iterable[str],
        *,
        language: str | None = None,
        languages: Sequence[str] | None = None,
        layer: int = -1,
        normalise: bool = True,
        truncate: bool = False,
        progress: bool | None = None,
    ) -> Vectors:
        """Vectors of texts: the mean of the hidden states of a text's tokens, without ``<s>`` and ``</s>``.

        Args:
            language: one for all texts; ``"auto"``: as ``identify`` of ``load`` says.
            languages: one for each text.
            layer: 0 is the output of the embeddings, -1 that of the last layer.
            normalise: whether to give each vector the length 1.
            truncate: whether to cut texts that are longer than the model's positions; else they are refused.
            progress: whether to show a bar; if left out, for long lists on a terminal.

        Returns:
            (n, D) in the order given, or (D,) of a single string.

        Raises:
            LanguageError: no language, or one that is unknown or not installed.
            UserError: an empty text, one that is too long, or something that is no text.
        """
        listed, single = texts_of(texts)
        source, tags = self._source, self._tags(listed, language, languages)
        sequences = encode(listed, tags, source.tokenizers, source.config, truncate=truncate)
        with _bar(len(listed), progress) as told:
            found = embed(
                source.encoder, sequences, tags, layers=[layer], budget=self.batch_tokens, told=told
            )[0]
        vectors = normalised(found) if normalise else found
        return vectors[0] if single else vectors

    def fill_mask(
        self,
        texts: str | Iterable[str],
        *,
        language: str | None = None,
        languages: Sequence[str] | None = None,
        top_k: int = 5,
        progress: bool | None = None,
    ) -> list[Any]:
        """The likeliest tokens for every ``<mask>``.

        Args:
            top_k: candidates of each mask.

        Returns:
            For each text a list with, for each of its masks in order, a list of ``Candidate(token, score)``,
            likeliest first. Of a single string only its own list.

        Raises:
            LanguageError: no language, or one that is unknown or not installed.
            UserError: the model has no masked-LM head, a text has no mask or is too long, or is no text.
        """
        model = self._source.model
        if not isinstance(model, MaskedLM) or not self._source.has_head:
            what = "the model has no masked-LM head" + (
                f"; it was fine-tuned for {self.task}" if self.task else ""
            )
            raise UserError(what, where=str(self._source.folder), fix="load a run that pretrain wrote")
        if top_k < 1:
            raise UserError(f"top_k is {top_k}", fix="ask for one candidate at least")
        listed, single = texts_of(texts)
        tags, tokenizers = self._tags(listed, language, languages), self._source.tokenizers
        with _bar(len(listed), progress) as told:
            found: list[list[list[Candidate]]] = fill(
                model, listed, tags, tokenizers, top_k=top_k, budget=self.batch_tokens, told=told
            )
        return found[0] if single else found

    def predict(
        self,
        examples: Any,
        *,
        language: str | None = None,
        languages: Sequence[str] | None = None,
        progress: bool | None = None,
    ) -> Any:
        """What a fine-tuned model says, with its probability.

        Args:
            examples: tuples of two texts, (premise, hypothesis) or (question, context), or lists of words; a
                list of these, or a single one.

        Returns:
            For each example ``Label(label, score)``, a list with one for each word, or
            ``Answer(text, score)``. Of a single example only its own.

        Raises:
            LanguageError: no language, or one that is unknown or not installed.
            UserError: the model is not fine-tuned, or something is no example of its task.
        """
        source = self._source
        if not isinstance(source.model, TaskModel):
            fix = "load a folder that polymod finetune wrote, or an export of one"
            raise UserError("the model is not fine-tuned for a task", where=str(source.folder), fix=fix)
        listed, single = examples_of(examples, source.model.spec)
        tags = self._tags([_text(example) for example in listed], language, languages)
        budget = self.batch_tokens or BUDGETS.get(self.device.type, BUDGETS["cpu"])
        with _bar(len(listed), progress) as told:
            found: list[Prediction] = predict(
                source.model,
                listed,
                tags,
                source.tokenizers,
                longest=source.longest,
                budget=budget,
                told=told,
            )
        return found[0] if single else found

    def add_language(
        self,
        tag: str,
        *,
        text: str | Path,
        out: str | Path,
        init_from: str | Sequence[str] = (),
        **options: Any,
    ) -> Model:
        """Add a language to the run that this model was loaded from, everything else frozen, as a new run.

        This is ``polymod extend``; the same call goes on where an earlier one stopped. This model stays as it
        is.

        Args:
            tag: the new language.
            text: file with its text.
            out: run folder to write.
            init_from: languages whose mean the module starts from, or ``"auto"``.
            options: any option of the command, sections as mappings: ``train={"steps": 500}``.

        Returns:
            The new run's model, on the device of this one.

        Raises:
            LanguageError: the language is installed already, or one of ``init_from`` is not.
            UserError: this model was not loaded from a run, or the text or an option is wrong.
        """
        from polymod.commands import extend
        from polymod.config import flatten
        from polymod.config import load as configure

        if self._source.kind != "run":
            fix = "languages are added to a run that pretrain, extend or import wrote; fine-tune afterwards"
            raise UserError("this model was not loaded from a run", where=str(self._source.folder), fix=fix)
        given = {"run": self._source.folder, "language": tag, "text": text, "out": out, **flatten(options)}
        if init_from:
            given["init_from"] = init_from
        words = [
            (key, ",".join(value) if isinstance(value, list | tuple) else str(value))
            for key, value in given.items()
        ]
        extend.main(configure(extend.Config, None, words).value)
        return load(out, device=str(self.device), identify=self._identify, batch_tokens=self.batch_tokens)

    def _tags(self, texts: Sequence[str], language: str | None, languages: Sequence[str] | None) -> list[str]:
        return tags_of(texts, language, languages, self.languages, self._identify)


def _text(example: Any) -> str:
    """What of an example tells its language."""
    if hasattr(example, "words"):
        return " ".join(example.words)
    return str(example.premise if hasattr(example, "premise") else example.context)


@contextmanager
def _bar(total: int, progress: bool | None) -> Iterator[Callable[[int], None] | None]:
    """A bar of texts, or nothing."""
    console = stderr()
    if not (total >= LONG and console.is_terminal if progress is None else progress):
        yield None
        return
    with bars("texts", console) as group:
        group.add("texts", total=total)
        yield lambda done: group.at("texts", done)
        group.remove("texts")
