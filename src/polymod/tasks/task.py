"""The tasks: what each is made of. Three of four differ only in how they are read and scored."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from polymod.errors import UserError
from polymod.tasks import ner, nli, pos, qa, spans, squad, words
from polymod.tasks.encoded import Encoded
from polymod.tasks.nli import Pair
from polymod.tasks.squad import Question
from polymod.tasks.tagged import Tagged
from polymod.tasks.totals import Statistics

__all__ = ["TASKS", "Encoded", "Example", "Kind", "Statistics", "Task", "task_named"]

Kind = Literal["sequence", "token", "span"]
Example = Pair | Tagged | Question
Logits = NDArray[np.floating[Any]]
RETRIEVAL = ("retrieval", "tatoeba")  # no task of this table: nothing is fine-tuned for it


@dataclass(frozen=True)
class Task:
    """A task as functions; E examples, K statistics.

    Attributes:
        kind: of the head: one class per sequence, one per word, or a span of rows.
        main_metric: the one that XTREME reports.
        endings: of its files, before ``.gz`` or ``.zst``.
        aliases: other names, those of XTREME's data sets.
        metric_version: changes whenever a metric would give other numbers.
        read: the examples of a file; errors name the file and the line.
        labels: classes that a head for these examples needs; () for spans.
        trainable: the examples that can be trained on.
        report: what reading found, in counts; ``examples`` among them.
        encode: example, tokenizer, labels, longest sequence -> its sequences (none if it has no token).
        decode: example, its sequences, their logits (``TaskModel.logits``, cut by sequence) -> prediction.
        statistics: examples, predictions, language -> (E, K), whose sum over examples decides the metrics.
        metrics: summed statistics (..., K) -> metrics by name, each (...), from 0 to 1.
    """

    name: str
    kind: Kind
    main_metric: str
    endings: tuple[str, ...]
    aliases: tuple[str, ...]
    metric_version: int
    read: Callable[[Path], list[Any]]
    labels: Callable[[Sequence[Any]], tuple[str, ...]]
    trainable: Callable[[Sequence[Any]], list[Any]]
    report: Callable[[Sequence[Any]], dict[str, int]]
    encode: Callable[[Any, Tokenizer, tuple[str, ...], int], list[Encoded]]
    decode: Callable[[Any, Sequence[Encoded], Sequence[Logits]], Any]
    statistics: Callable[[Sequence[Any], Sequence[Any], str], Statistics]
    metrics: Callable[[Statistics], dict[str, Statistics]]


TASKS: dict[str, Task] = {
    "nli": Task(
        name="nli",
        kind="sequence",
        main_metric="accuracy",
        endings=("jsonl", "tsv"),
        aliases=("xnli",),
        metric_version=1,
        read=nli.read_pairs,
        labels=nli.nli_labels,
        trainable=list,
        report=lambda examples: {"examples": len(examples)},
        encode=nli.encode_pair,
        decode=nli.decode_pair,
        statistics=nli.nli_statistics,
        metrics=nli.nli_metrics,
    ),
    "ner": Task(
        name="ner",
        kind="token",
        main_metric="f1",
        endings=("conll", "tsv"),
        aliases=("panx", "wikiann"),
        metric_version=1,
        read=ner.read_entities,
        labels=ner.ner_labels,
        trainable=list,
        report=ner.ner_report,
        encode=words.encode_words,
        decode=words.decode_words,
        statistics=ner.ner_statistics,
        metrics=ner.ner_metrics,
    ),
    "pos": Task(
        name="pos",
        kind="token",
        main_metric="accuracy",
        endings=("conllu", "tsv"),
        aliases=("udpos",),
        metric_version=1,
        read=pos.read_parts_of_speech,
        labels=pos.pos_labels,
        trainable=list,
        report=pos.pos_report,
        encode=words.encode_words,
        decode=words.decode_words,
        statistics=pos.pos_statistics,
        metrics=pos.pos_metrics,
    ),
    "qa": Task(
        name="qa",
        kind="span",
        main_metric="f1",
        endings=("json",),
        aliases=("xquad", "mlqa", "tydiqa", "squad"),
        metric_version=1,
        read=squad.read_questions,
        labels=lambda _: (),
        trainable=squad.placed,
        report=squad.qa_report,
        encode=spans.encode_question,
        decode=spans.decode_answer,
        statistics=qa.qa_statistics,
        metrics=qa.qa_metrics,
    ),
}


def task_named(name: str) -> Task:
    """The task of a name or alias, in any case, with or without ``-`` and ``_``.

    Raises:
        UserError: there is none; the message has the nearest.
    """
    asked = _plain(name)
    by_name = {_plain(each): task for task in TASKS.values() for each in (task.name, *task.aliases)}
    if asked in by_name:
        return by_name[asked]
    if asked in RETRIEVAL:
        fix = "polymod retrieve measures it with a pre-trained run"
        raise UserError(f"{name!r} is sentence retrieval, for which nothing is fine-tuned", fix=fix)
    near = difflib.get_close_matches(asked, [*by_name, *RETRIEVAL], n=1, cutoff=0.5)
    known = ", ".join(f"{task.name} ({', '.join(task.aliases)})" for task in TASKS.values())
    fix = (
        f"did you mean {near[0]!r}? " if near else ""
    ) + f"tasks are {known}; tatoeba is polymod retrieve's"
    raise UserError(f"unknown task {name!r}", fix=fix)


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "").replace("_", "")
