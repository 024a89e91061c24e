"""From text files to a data folder: stages of independent units, each unit written whole or not at all.

read (clean, filter, count) -> find duplicates -> train the tokenizer -> tokenise -> counts, hashes, manifest.
A killed preparation goes on with the units that are missing and ends in the same bytes as one that was not.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from itertools import pairwise
from typing import Any

from polymod import files
from polymod.errors import UserError
from polymod.progress import Bars
from polymod.text.dedup import Duplicates, find_duplicates, first_documents, ranges
from polymod.text.encode import PartTask, encode_part
from polymod.text.findings import listed, remedy, too_many_bad
from polymod.text.finish import (
    Language,
    bad_records,
    finish_language,
    quarantine_path,
    totals,
    write_quarantine,
)
from polymod.text.inventory import Corpus
from polymod.text.job import Job, begun, tokenizer_file
from polymod.text.options import Options
from polymod.text.parts import parts_of
from polymod.text.reading import Chain, chains, finished, read_chain
from polymod.text.shards import DATA, SCHEMA
from polymod.text.split import SplitRule
from polymod.text.tokenizer import Vocabulary, load_tokenizer
from polymod.text.training import Text, Training, shares, train_tokenizer
from polymod.text.watch import unit_of, watched
from polymod.text.workers import Workers, stoppable


def prepare(options: Options, bars: Bars) -> dict[str, Any]:
    """Make, go on with, or find finished the data folder ``options.out``; returns its ``data.json``.

    Raises:
        UserError: wrong input, another configuration in the same folder, no space left.
        Failure: a worker process died.
        Stopped: by a signal; what is finished is kept.
    """
    job = Job.of(options)
    with stoppable(), files.locked(options.out):
        document = begun(job)
        if document is None:
            document = _prepared(job, bars)
            files.write_json(job.out / DATA, document)
        if job.work.exists():
            shutil.rmtree(job.work)
        if not (job.out / files.MANIFEST).exists():
            files.write_manifest(job.out)
        return document


def _prepared(job: Job, bars: Bars) -> dict[str, Any]:
    with Workers(job.options.processes) as workers:
        _read(job, workers, bars)
        _find_duplicates(job, workers, bars)
        rules = _rules(job)
        _tokenizer(job, rules, bars)
        _tokenise(job, rules, workers, bars)
        entries = _finish(job, rules, workers, bars)
    vocabulary = Vocabulary.of(load_tokenizer(job.tokenizer), job.identity["config"]["vocab_size"])
    return {
        "schema": SCHEMA,
        **job.identity,
        "made_with": {name: version(name) for name in ("polymod", "tokenizers")},
        "tokenizer_sha256": files.sha256(job.tokenizer),
        "vocabulary": asdict(vocabulary),
        "languages": {tag: entries[tag] for tag in job.tags},
    }


def _read(job: Job, workers: Workers, bars: Bars) -> None:
    options = job.options
    planned = []
    for corpus in job.corpora:
        folder, limits = job.folder("read", corpus.tag), (options.max_characters, options.max_lines)
        like = Chain(corpus.tag, folder, *limits, max_bad=options.max_bad)
        planned += chains(corpus, like)
    watched(workers, read_chain, [chain for chain in planned if not finished(chain)], bars, "read")
    for corpus in job.corpora:
        _judge(job, corpus)


def _judge(job: Job, corpus: Corpus) -> None:
    """Refuse a language that has too many bad lines, or nothing but dropped ones."""
    parts, names = job.folder("read", corpus.tag), tuple(source.name for source in corpus.sources)
    counts, _ = totals(parts)
    bad, where = sum(counts.bad.values()), str(job.options.text)
    if too_many_bad(counts.bad, counts.lines, job.options.max_bad):
        quarantine = quarantine_path(job.out, corpus.tag)
        write_quarantine(parts, names, quarantine)
        first = next(bad_records(parts, names))
        place = f"{first['file']}:{first['line']}: {first['reason']}"
        what = (
            f"{bad:,} of {counts.lines:,} lines of {corpus.tag!r} cannot be read ({listed(counts.bad)}); "
            f"the first is {place}"
        )
        raise UserError(what, where=where, fix=f"see {quarantine}; {remedy(counts.bad, counts.lines)}")
    if not counts.documents:
        what = f"no document of {corpus.tag!r} is left of {counts.lines:,} lines ({listed(counts.dropped)})"
        raise UserError(what, where=where, fix="give text, or leave the language out with --languages")


def _find_duplicates(job: Job, workers: Workers, bars: Bars) -> None:
    planned = [
        task
        for tag in job.tags
        for task in ranges(
            tag,
            job.folder("read", tag),
            job.folder("duplicates", tag),
            totals(job.folder("read", tag))[0].documents,
        )
    ]
    missing = [task for task in planned if not task.path.exists()]
    watched(workers, find_duplicates, missing, bars, "duplicates")


def _rules(job: Job) -> dict[str, SplitRule]:
    """How the documents of each language are split."""
    split, rules = job.options.split, {}
    for tag in job.tags:
        documents = totals(job.folder("read", tag))[0].documents - len(
            Duplicates(job.folder("duplicates", tag))
        )
        rules[tag] = SplitRule(split.valid, split.meta, small=documents < split.small)
    return rules


def _tokenizer(job: Job, rules: dict[str, SplitRule], bars: Bars) -> None:
    """Put the tokenizer into the data folder: the one given, or a new one."""
    options, config = job.options, job.identity["config"]
    if job.tokenizer.exists():
        return
    if options.tokenizer is not None:
        data = tokenizer_file(options.tokenizer).read_bytes()
        if hashlib.sha256(data).hexdigest() != config["tokenizer"]:
            raise UserError("the tokenizer changed while it was read", where=str(options.tokenizer))
        with files.atomic(job.tokenizer) as file:
            file.write(data)
        return
    texts = tuple(
        Text(
            tag,
            job.folder("read", tag),
            job.folder("duplicates", tag),
            rules[tag],
            totals(job.folder("read", tag))[0].characters,
        )
        for tag in job.tags
    )
    task = Training(texts, config["vocab_size"], options.sample, job.tokenizer)
    threads = {"TOKENIZERS_PARALLELISM": "true", "RAYON_NUM_THREADS": str(options.processes)}
    total, done = sum(shares(texts, options.sample).values()), 0
    unit, per = unit_of(total)
    bars.add("tokenizer", total / per, note="sampling text", unit=unit)
    with Workers(1, threads) as workers:
        for number, event in enumerate(workers.run(train_tokenizer, [task]), start=1):
            done += event.done
            sampling = number < len(texts)
            bars.at("tokenizer", done / per, note="sampling text" if sampling else "training")
    bars.remove("tokenizer")


def _tokenise(job: Job, rules: dict[str, SplitRule], workers: Workers, bars: Bars) -> None:
    tasks = [task for tag in job.tags for task in _part_tasks(job, tag, rules[tag]) if not task.done.exists()]
    watched(workers, encode_part, tasks, bars, "tokenise")


def _part_tasks(job: Job, tag: str, rule: SplitRule) -> Iterator[PartTask]:
    parts = parts_of(job.folder("read", tag))
    for number, (first, stop) in enumerate(pairwise(first_documents(parts))):
        yield PartTask(
            tag=tag,
            part=parts[number].path,
            number=number,
            first=first,
            stop=stop,
            duplicates=job.folder("duplicates", tag),
            rule=rule,
            tokenizer=job.tokenizer,
            vocab_size=job.identity["config"]["vocab_size"],
            shards=job.out / "shards" / files.language_name(tag),
            done=job.folder("tokenised", tag) / f"{number:06d}.safetensors",
            size=parts[number].summary().counts.bytes,
        )


def _finish(job: Job, rules: dict[str, SplitRule], workers: Workers, bars: Bars) -> dict[str, dict[str, Any]]:
    tasks = [
        Language(
            tag=corpus.tag,
            names=tuple(source.name for source in corpus.sources),
            size=corpus.size,
            parts=job.folder("read", corpus.tag),
            duplicates=job.folder("duplicates", corpus.tag),
            done=job.folder("tokenised", corpus.tag),
            out=job.out,
            vocab_size=job.identity["config"]["vocab_size"],
            rule=rules[corpus.tag],
        )
        for corpus in job.corpora
    ]
    return watched(workers, finish_language, tasks, bars, "count")
