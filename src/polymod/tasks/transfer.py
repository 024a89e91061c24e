"""Transfer: models that learnt a task in one language read others through their modules, or through controls.

A control sends the text through other modules while its embeddings stay: ``target`` (the language's own),
``source`` (the one that the task was learnt with), ``none``, or that of any installed language.

R runs (seeds) of one fine-tuning, E examples of a language, K statistics of an example, B resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from polymod.languages import LanguageError, describe, resolve
from polymod.model.config import SHARED
from polymod.tasks.bootstrap import Metric
from polymod.tasks.examples import code
from polymod.tasks.finetuned import Finetuned
from polymod.tasks.predict import predict
from polymod.tasks.signature import line, signature
from polymod.tasks.task import Example, Statistics, Task

CONTROLS = ("target", "source", "none")
ALL = "all"  # of them, side by side


@dataclass(frozen=True)
class Measured:
    """What a group of runs did under one control.

    Attributes:
        statistics: of every language, (R, E, K), whose sums over E determine the metrics.
        modules: which pack the text of a language passed through, or ``none``.
        signatures: of every language, what each run's score was measured on and how.
    """

    task: Task
    statistics: Mapping[str, Statistics]
    modules: Mapping[str, str]
    signatures: Mapping[str, Sequence[str]]

    def metrics(self, tag: str) -> dict[str, Statistics]:
        """Every metric of every run, (R,)."""
        return self.task.metrics(self.statistics[tag].sum(1))

    def scores(self, tag: str) -> Statistics:
        """The main metric of every run, (R,)."""
        return self.metrics(tag)[self.task.main_metric]

    def side_by_side(self, tag: str, runs: int) -> tuple[Statistics, Metric]:
        """Statistics of the runs beside each other, (E, runs K), and what their sums mean: the mean of the
        main metric over the runs. Each is taken equally often, so that groups of any sizes can be compared.
        """
        times = runs // len(self.statistics[tag])
        statistics_EK = np.concatenate(list(self.statistics[tag]) * times, axis=1)

        def metric(totals: Statistics) -> Statistics:
            by_run = totals.reshape(*totals.shape[:-1], runs, -1)
            mean: Statistics = self.task.metrics(by_run)[self.task.main_metric].mean(-1)
            return mean

        return statistics_EK, metric

    def of_run(self, number: int) -> Measured:
        """What one of the runs did."""
        only = {tag: each[number : number + 1] for tag, each in self.statistics.items()}
        return replace(self, statistics=only)


def controls_of(module: str, runs: Sequence[Finetuned]) -> tuple[str, ...]:
    """The controls that ``--module`` asks for.

    Raises:
        LanguageError: the module is not installed in every run.
    """
    if module == ALL:
        return CONTROLS
    if module in CONTROLS:
        return (module,)
    words = (*CONTROLS, ALL)
    return tuple(
        {resolve(module, run.saved.config.languages, where="--module", besides=words) for run in runs}
    )


def choose(
    tags: Collection[str], controls: Sequence[str], runs: Sequence[Finetuned], *, asked_for: bool
) -> tuple[list[str], dict[str, str]]:
    """Languages to read, among those that have a file, and why others are left out.

    Args:
        asked_for: the user named them; all are read then, those without a module through another one.

    Raises:
        LanguageError: a language that was asked for would need a module of its own, or no language has one.
    """
    lacking = {tag: run for run in reversed(runs) for tag in tags if tag not in run.saved.config.languages}
    if asked_for and "target" not in controls:
        return list(tags), {}
    read = [tag for tag in tags if tag not in lacking]
    if lacking and (asked_for or not read):
        tag, run = next(iter(lacking.items()))
        try:
            resolve(tag, run.saved.config.languages)
        except LanguageError as error:
            through = "--module with one of these reads it through that module"
            fix = f"{error.fix}; {through}, polymod extend gives it one of its own"
            what = f"language {describe(tag)} has no module"
            if len(lacking) > 1 and not asked_for:
                what = f"none of the languages with a file has a module: {', '.join(sorted(lacking)[:20])}"
            raise LanguageError(what, where=str(run.folder), fix=fix) from None
    return read, {tag: f"no module in {run.folder}" for tag, run in lacking.items()}


def substitutes(control: str, tag: str, run: Finetuned) -> dict[str, str | None]:
    """What ``Batch.via`` takes for text in ``tag``; of several sources the first one's module counts."""
    if control == "none":
        return {tag: None}
    module = {"target": tag, "source": run.sources[0]}.get(control, control)
    return {} if module == tag else {tag: module}


def module_of(control: str, tag: str, run: Finetuned) -> str:
    """What the rows really pass through: a language's pack, the one shared pack, or ``none``."""
    module, arm = substitutes(control, tag, run).get(tag, tag), run.saved.config.arm
    if module is None or arm == "dense":
        return "none"
    return SHARED if arm == "shared" else module


def measure(
    runs: Sequence[Finetuned],
    task: Task,
    examples: Mapping[str, Sequence[Example]],
    controls: Sequence[str],
    split: str,
    device: torch.device,
    told: Callable[[str, int], None],
) -> dict[str, Measured]:
    """Read the examples of all languages with all runs under every control.

    Args:
        split: what the examples are, for the signatures.
        told: called with a language and how many of its examples were read just now.
    """
    found: dict[str, dict[str, list[Statistics]]] = {control: {} for control in controls}
    signatures: dict[str, dict[str, list[str]]] = {control: {} for control in controls}
    for run in runs:
        model = run.model().to(device)
        for tag, each in examples.items():
            coded = code(task, each, tag, run.tokenizers.of(tag), run.spec.labels, run.longest)
            signed = _signed(task, each, split, run, tag)
            for control in controls:
                predictions = predict(model, task, coded, via=substitutes(control, tag, run))
                found[control].setdefault(tag, []).append(task.statistics(each, predictions, tag))
                protocol = {**signed["protocol"], "module": module_of(control, tag, run)}
                signatures[control].setdefault(tag, []).append(line({**signed, "protocol": protocol}))
                told(tag, len(each))
    return {
        control: Measured(
            task,
            {tag: np.stack(statistics) for tag, statistics in by_tag.items()},
            {tag: module_of(control, tag, runs[0]) for tag in by_tag},
            signatures[control],
        )
        for control, by_tag in found.items()
    }


def _signed(task: Task, examples: Sequence[Example], split: str, run: Finetuned, tag: str) -> dict[str, Any]:
    protocol = {"source": run.sources, "longest": run.longest, **run.result["protocol"]}
    seed = protocol.pop("seed")
    tokenizer = run.tokenizers.sha256(tag)
    return signature(task, examples, split=split, seed=seed, tokenizer=tokenizer, protocol=protocol)
