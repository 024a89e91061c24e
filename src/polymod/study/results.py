"""What came of a study: every run's losses, and mean and standard deviation over seeds, as a document and
as a table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from polymod.errors import UserError
from polymod.files import read_json
from polymod.study.plan import Cell
from polymod.train.log import read_metrics, training_seconds

DOCUMENT = "study.json"
FEW = 16  # languages that the table shows
_COLUMNS = 5  # settings beside each other


def finished(run: Path, steps: int) -> bool:
    """Whether a run has made all its steps, was scored and saved."""
    return (run / "checkpoints" / f"step-{steps:08d}").is_dir() and _valid(run, steps) is not None


def result(cell: Cell, run: Path, steps: int, tokens: Mapping[str, float]) -> dict[str, Any]:
    """What a finished run says.

    Args:
        tokens: training tokens that each language has seen.

    Returns:
        ``setting``, ``seed``, ``steps``, ``tokens`` of all languages, ``seconds``, ``mean_loss`` in nats,
        ``mean_unigram_entropy``, and ``languages``: ``loss``, ``unigram_entropy``, ``tokens`` of each.
    """
    valid = _valid(run, steps)
    assert valid is not None
    languages = {
        tag: {
            "loss": valid["languages"][tag]["loss"],
            "unigram_entropy": valid["languages"][tag]["unigram_entropy"],
            "tokens": round(tokens[tag]),
        }
        for tag in cell.tags
    }
    return {
        "setting": cell.setting.name,
        "seed": cell.seed,
        "steps": steps,
        "tokens": round(sum(tokens.values())),
        "seconds": training_seconds(run),
        "mean_loss": valid["mean_loss"],
        "mean_unigram_entropy": valid["mean_unigram_entropy"],
        "languages": languages,
    }


def by_setting(runs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Finished runs by setting: of each language the loss by seed, its mean and standard deviation.

    Where several runs of a seed have a language (pairs), its loss is their mean. ``mean`` is over languages.
    """
    settings: dict[str, Any] = {}
    for name in dict.fromkeys(run["setting"] for run in runs.values()):
        own = [run for run in runs.values() if run["setting"] == name]
        tags = dict.fromkeys(tag for run in own for tag in run["languages"])
        languages = {tag: _by_seed(_losses(own, tag)) for tag in tags}
        for tag in tags:
            entries = [run["languages"][tag] for run in own if tag in run["languages"]]
            languages[tag]["unigram_entropy"] = entries[0]["unigram_entropy"]
            languages[tag]["tokens"] = round(fmean(entry["tokens"] for entry in entries))
        means: dict[int, list[float]] = {}
        for tag in tags:
            for seed, loss in _losses(own, tag).items():
                means.setdefault(seed, []).append(loss)
        entropy = fmean(each["unigram_entropy"] for each in languages.values())
        settings[name] = {
            "runs": len(own),
            "seconds": sum(run["seconds"] for run in own),
            "languages": languages,
            "mean": {
                **_by_seed({seed: fmean(some) for seed, some in means.items()}),
                "unigram_entropy": entropy,
            },
        }
    return settings


def runs_of(study: Path) -> list[tuple[str, int, Path]]:
    """Setting, seed and folder of the finished runs of a study.

    Raises:
        UserError: the study has no result, or some of its runs failed.
    """
    document = read_json(study / DOCUMENT)
    if not isinstance(document, dict) or document.get("kind") != "study" or document.get("schema") != 1:
        raise UserError(f"{DOCUMENT} is no result of a study", where=str(study))
    if failed := document["failed"]:
        what = f"runs of the study failed: {', '.join(failed)}"
        raise UserError(what, where=str(study), fix="start the study again; it goes on where it was")
    return [(run["setting"], run["seed"], study / "runs" / name) for name, run in document["runs"].items()]


def lines(document: Mapping[str, Any]) -> Iterator[str]:
    """The settings of a study, then the loss of each language in each of them."""
    settings = document["settings"]
    yield f"{'setting':<24} {'runs':>5} {'loss':>15} {'unigram':>8} {'below':>7} {'minutes':>8}"
    for name, entry in settings.items():
        mean = entry["mean"]
        below = mean["unigram_entropy"] - mean["mean"]
        numbers = (
            f"{spread(mean):>15} {mean['unigram_entropy']:8.3f} {below:7.3f} {entry['seconds'] / 60:8.1f}"
        )
        yield f"{name[:24]:<24} {entry['runs']:5} {numbers}"
    tags = list(dict.fromkeys(tag for entry in settings.values() for tag in entry["languages"]))
    for first in range(0, len(settings) if len(tags) > 1 else 0, _COLUMNS):
        names = list(settings)[first : first + _COLUMNS]
        yield from ("", f"{'language':<12} " + " ".join(f"{name[:15]:>15}" for name in names))
        for tag in tags[:FEW]:
            entries = [settings[name]["languages"].get(tag) for name in names]
            yield f"{tag[:12]:<12} " + " ".join(f"{spread(entry) if entry else '-':>15}" for entry in entries)
    if len(tags) > FEW:
        yield f"and {len(tags) - FEW} languages more in {DOCUMENT}"
    yield "loss in nats on the valid split, mean ± standard deviation over seeds; below: the unigram entropy"
    for name, why in document["failed"].items():
        yield f"failed: {name}: {why}"


def spread(entry: Mapping[str, Any]) -> str:
    """``mean ± sd``; one value has no deviation."""
    return f"{entry['mean']:.3f}" + ("" if entry["sd"] is None else f" ± {entry['sd']:.3f}")


def _losses(runs: Sequence[Mapping[str, Any]], tag: str) -> dict[int, float]:
    """Loss of a language by seed."""
    seeds = sorted({run["seed"] for run in runs if tag in run["languages"]})
    return {
        seed: fmean(
            run["languages"][tag]["loss"] for run in runs if run["seed"] == seed and tag in run["languages"]
        )
        for seed in seeds
    }


def _by_seed(values: Mapping[int, float]) -> dict[str, Any]:
    losses = [values[seed] for seed in sorted(values)]
    return {"losses": losses, "mean": fmean(losses), "sd": stdev(losses) if len(losses) > 1 else None}


def _valid(run: Path, steps: int) -> dict[str, Any] | None:
    """The scoring of the valid split after the last step."""
    found = [line for line in read_metrics(run) if line["kind"] == "valid" and line["step"] == steps]
    return found[-1] if found else None
