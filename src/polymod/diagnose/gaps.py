"""Mono / bilingual / multilingual gaps: is a language better off by itself?

Wang, Lipton and Tsvetkov 2020 (arXiv 2010.03017): the same language trained alone and among others, at a
matched budget. ``same-updates``: equally many steps with batches of one size. ``same-examples``: equally many
of the language's own tokens. Differences are in nats of held-out loss, paired by seed; above 0 the language
is worse off among others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from polymod.data.mixture import equally_many
from polymod.diagnose.student import interval
from polymod.errors import UserError

PLATEAU = 0.5  # nats below the unigram entropy; what learns less knows little more than the language
NOTE, ON_PLATEAU = "not past the unigram plateau", "on the plateau"  # of a setting; of its gaps


@dataclass(frozen=True)
class Compared:
    """A run as it is compared.

    Attributes:
        tokens: training tokens that each of its languages has seen.
        losses: held-out loss in nats of those languages that are asked about.
    """

    setting: str
    seed: int
    steps: int
    batch_tokens: int
    tokens: Mapping[str, float]
    losses: Mapping[str, float]


def gaps(
    runs: Sequence[Compared], entropy: Mapping[str, float], *, condition: str, reference: str = ""
) -> dict[str, Any]:
    """The document of ``diagnose gaps``.

    Args:
        entropy: unigram entropy of each language in nats.
        condition: ``same-updates`` or ``same-examples``.
        reference: setting of the monolingual runs; without it the first one with which another setting can be
            compared under the condition.

    Raises:
        UserError: there is no such setting, nothing fits the condition, or seeds do not pair.
    """
    by_setting: dict[str, list[Compared]] = {}
    for run in runs:
        if run.losses:
            by_setting.setdefault(run.setting, []).append(run)
    reference = reference or _reference(by_setting, condition)
    if reference not in by_setting:
        raise UserError(f"there is no setting {reference!r}", fix=f"settings: {', '.join(by_setting)}")
    alone = by_setting.pop(reference)
    reasons = {name: _unlike(some, alone, condition) for name, some in by_setting.items()}
    fitting = {name: some for name, some in by_setting.items() if not reasons[name]}
    if not fitting:
        said = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        what = f"nothing can be compared with {reference!r}: {said or 'there is no other setting'}"
        raise UserError(what, fix=_fix(by_setting, condition))
    tags = sorted({tag for run in alone for tag in run.losses})
    losses = {name: _losses(some) for name, some in ({reference: alone} | fitting).items()}
    apart = {name: _differences(name, losses[name], reference, losses[reference]) for name in fitting}
    settings = {reference: alone} | fitting
    notes = {name: NOTE for name, each in losses.items() if _on_plateau(each, entropy)}
    early = {name for name in fitting if name in notes or reference in notes}
    found = {
        name: {tag: gap(list(some.values()), on_plateau=name in early) for tag, some in each.items()}
        for name, each in apart.items()
    }
    return {
        "schema": 1,
        "kind": "gaps",
        "condition": condition,
        "reference": reference,
        "languages": {
            tag: {
                "settings": _settings(tag, settings, losses),
                "unigram_entropy": entropy[tag],
                "gaps": {name: each[tag] for name, each in found.items() if tag in each},
            }
            for tag in tags
        },
        "mean": {name: gap(_over_languages(each), on_plateau=name in early) for name, each in apart.items()},
        "notes": notes,
        "left_out": {name: reason for name, reason in reasons.items() if reason},
    }


def gap(differences: Sequence[float], *, on_plateau: bool = False) -> dict[str, Any]:
    """Mean difference over seeds, its 95 % t interval, and what may be said of it.

    Args:
        on_plateau: whether either setting has hardly learnt anything, so that nothing may be said.
    """
    mean, (low, high) = fmean(differences), interval(differences)
    if on_plateau:
        verdict = ON_PLATEAU
    elif low is None or high is None:
        verdict = "one seed"
    else:
        verdict = "interference" if low > 0 else "transfer" if high < 0 else "neither"
    return {"difference": mean, "low": low, "high": high, "verdict": verdict}


def _reference(by_setting: Mapping[str, Sequence[Compared]], condition: str) -> str:
    """The first monolingual setting that another one with several languages can be compared with."""
    alone = [name for name, some in by_setting.items() if all(len(run.tokens) == 1 for run in some)]
    if not alone:
        fix = "train a run for every language: in the plan of a study, languages: each"
        raise UserError("no setting is monolingual", fix=fix)
    for name in alone:
        others = (some for other, some in by_setting.items() if other not in alone)
        if any(not _unlike(some, by_setting[name], condition) for some in others):
            return name
    return alone[0]


def _unlike(runs: Sequence[Compared], alone: Sequence[Compared], condition: str) -> str:
    """Why runs do not fit the condition beside monolingual ones; empty if they do."""
    asked = {tag for run in alone for tag in run.losses}
    if not any(asked & run.losses.keys() for run in runs):
        return f"has not {', '.join(sorted(asked))}"
    if condition == "same-updates":
        budget = {(run.steps, run.batch_tokens) for run in alone}
        other = next((run for run in runs if {(run.steps, run.batch_tokens)} != budget), None)
        return "" if other is None else f"{other.steps:,} steps of {other.batch_tokens:,} tokens"
    seen = {(tag, run.seed): run.tokens[tag] for run in alone for tag in run.tokens}
    for run in runs:
        for tag, tokens in run.tokens.items():
            wanted = seen.get((tag, run.seed))
            if wanted is not None and not equally_many(tokens, wanted, step=run.batch_tokens):
                return f"{tokens:,.0f} tokens of {tag!r} instead of {wanted:,.0f}"
    return ""


def _fix(by_setting: Mapping[str, Sequence[Compared]], condition: str) -> str:
    """What runs a study has to make for the condition."""
    if condition == "same-updates":
        return "train every setting for as many steps with batches of one size: in a plan without examples-of"
    several = [name for name, some in by_setting.items() if any(len(run.tokens) > 1 for run in some)]
    run = f"mono-examples: {{languages: each, examples-of: {several[0] if several else 'NAME'}}}"
    return f"train runs that see as much of a language: in the plan of the study, {run} (docs/study.md)"


def _losses(runs: Iterable[Compared]) -> dict[str, dict[int, float]]:
    """Loss by language and seed; the mean where several runs of a seed have the language (pairs)."""
    found: dict[str, dict[int, list[float]]] = {}
    for run in runs:
        for tag, loss in run.losses.items():
            found.setdefault(tag, {}).setdefault(run.seed, []).append(loss)
    return {tag: {seed: fmean(each[seed]) for seed in sorted(each)} for tag, each in found.items()}


def _differences(
    name: str,
    losses: Mapping[str, Mapping[int, float]],
    reference: str,
    alone: Mapping[str, Mapping[int, float]],
) -> dict[str, dict[int, float]]:
    """Loss of a setting minus that of the reference, by language and seed."""
    for tag in losses.keys() & alone.keys():
        if losses[tag].keys() != alone[tag].keys():
            seeds = [", ".join(map(str, each[tag])) for each in (losses, alone)]
            what = f"{tag!r} has seeds {seeds[0]} in {name!r} and {seeds[1]} in {reference!r}"
            raise UserError(what, fix="train both with the same seeds")
    return {
        tag: {seed: losses[tag][seed] - loss for seed, loss in by_seed.items()}
        for tag, by_seed in alone.items()
        if tag in losses
    }


def _over_languages(differences: Mapping[str, Mapping[int, float]]) -> list[float]:
    """Mean over languages for each seed that all of them have."""
    seeds = set.intersection(*({*each} for each in differences.values()))
    return [fmean(each[seed] for each in differences.values()) for seed in sorted(seeds)]


def _settings(
    tag: str, runs: Mapping[str, Sequence[Compared]], losses: Mapping[str, Mapping[str, Mapping[int, float]]]
) -> dict[str, Any]:
    """What the settings that have a language say of it."""
    return {
        name: _setting(losses[name][tag], some, tag) for name, some in runs.items() if tag in losses[name]
    }


def _setting(by_seed: Mapping[int, float], runs: Iterable[Compared], tag: str) -> dict[str, Any]:
    losses = list(by_seed.values())
    return {
        "losses": losses,
        "mean": fmean(losses),
        "sd": stdev(losses) if len(losses) > 1 else None,
        "tokens": round(fmean(run.tokens[tag] for run in runs if tag in run.tokens)),
    }


def _on_plateau(losses: Mapping[str, Mapping[int, float]], entropy: Mapping[str, float]) -> bool:
    """Whether the mean loss over languages is less than half a nat below the unigram entropy."""
    below = fmean(entropy[tag] - fmean(each.values()) for tag, each in losses.items())
    return below < PLATEAU
