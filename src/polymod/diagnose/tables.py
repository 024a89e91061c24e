"""Diagnoses as lines that fit a terminal; of many languages only the ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from polymod.diagnose.agreement import noisy

FEW = 12  # languages whose matrix is shown
_ABREAST = 3  # settings beside each other
COSINES = ("cosine", "corrected", "mean_of_groups")
ENDS = 5  # pairs or languages at either end, of more


def gradient_lines(checkpoint: Mapping[str, Any]) -> Iterator[str]:
    """Agreement of one checkpoint: by group and layer, then by pair of languages."""
    yield f"{checkpoint['run']} at step {checkpoint['step']:,}: cosine of gradients of two batches"
    yield f"{'':<14} {'languages':>10} {'ceiling':>8} {'corrected':>10} {'conflicts':>10} {'parameters':>11}"
    layers = {f"layer {number}": each for number, each in enumerate(checkpoint["layers"], 1)}
    parts = {"trunk": checkpoint["trunk"], **checkpoint["groups"], **layers}
    for name, part in parts.items():
        numbers = f"{_number(part['mean_cosine']):>10} {_number(part['mean_ceiling']):>8}"
        share = _percent(part["conflict_rate"])
        corrected = _number(None if _noisy(part) else part["mean_corrected"])
        yield f"{name.replace('_', '-'):<14} {numbers} {corrected:>10} {share:>10} {part['parameters']:>11,}"
    if any(map(_noisy, parts.values())):
        yield "corrected -: two batches of one language hardly agree; raise --gradients.batch-tokens"
    tags = checkpoint["languages"]
    if len(tags) <= FEW:
        yield "all the trunk; on the diagonal the ceiling, two batches of one language:"
        yield from matrix_lines(tags, tags, checkpoint["trunk"]["cosine"])
    else:
        cosine = "cosine" if _noisy(checkpoint["trunk"]) else "corrected"
        yield from _end_pairs(tags, checkpoint["trunk"][cosine], cosine)
    yield from along_lines(checkpoint.get("along_relatedness"), COSINES)


def average_lines(run: Mapping[str, Any]) -> Iterator[str]:
    """Agreement over the checkpoints of a run, or of several."""
    tags, steps = run["languages"], run["steps"]
    when = ("step " if len(steps) == 1 else "steps ") + ", ".join(f"{step:,}" for step in steps)
    yield f"{', '.join(run['runs'])} at {when}: mean cosine of gradients"
    if len(tags) <= FEW:
        yield from matrix_lines(tags, tags, run["trunk"]["cosine"])
    yield from along_lines(run.get("along_relatedness"), COSINES)


def mask_lines(run: Mapping[str, Any]) -> Iterator[str]:
    """Losses under masks and overlap of one run, by sparsity."""
    units = ", ".join(f"{entry['gates']:,} {unit}" for unit, entry in run["units"].items())
    yield f"{run['run']} at step {run['step']:,}: gates on {units}; loss in nats"
    for share, both in run["overlap"].items():
        yield f"sparsity {share}"
        yield f"{'':<10} {'unmasked':>9} {'own mask':>9} {'own again':>10} {'others':>8} {'random':>8}"
        rows = {
            tag: {"unmasked": e["unmasked"], **e["sparsity"][share]} for tag, e in run["languages"].items()
        }
        names = ("unmasked", "own", "own_again", "others", "random")
        for tag in _ends(rows, lambda tag, rows=rows: (rows[tag]["others"] or 0) - rows[tag]["own"]):
            yield _row(tag, [rows[tag][name] for name in names])
        yield _row("mean", [_mean([row[name] for row in rows.values()]) for name in names])
        found, chance = both["all"], both["all"]["jaccard_by_chance"]
        jaccard, sign = (_off_and_on(found[name]) for name in ("jaccard", "sign_disagreement"))
        yield (
            f"kept by both of two languages: {_number(jaccard[0])} (Jaccard); by two masks of one language: "
            f"{_number(jaccard[1])}; by chance {_number(chance)}"
        )
        yield f"opposite signs: two languages {_percent(sign[0])}, two masks of one {_percent(sign[1])}"
        yield from along_lines(both.get("along_relatedness"), ("jaccard",))


def control_lines(run: Mapping[str, Any]) -> Iterator[str]:
    """Losses through own and other packs of one run."""
    source = f"; source {run['source']}" if run["source"] else ""
    yield f"{run['run']} at step {run['step']:,}{source}: loss in nats, and how far controls are above it"
    yield f"{'':<10} {'own pack':>9} {'source':>16} {'shuffled':>16} {'no module':>16}"
    languages = run["languages"]
    for tag in _ends(languages, lambda tag: languages[tag]["none"]["above_own"]):
        entry = languages[tag]
        controls = " ".join(f"{_above(entry[role]):>16}" for role in ("source", "shuffled", "none"))
        yield f"{tag:<10} {_number(entry['target']):>9} {controls}"
    mean = run["mean"]
    controls = " ".join(f"{_signed(mean[role]):>16}" for role in ("source", "shuffled", "none"))
    yield f"{'mean':<10} {_number(mean['target']):>9} {controls}"
    if "packs" in run and len(languages) <= FEW:
        yield "loss of each language (rows) through each pack (columns):"
        yield from matrix_lines(list(languages), run["packs"], [e["through"] for e in languages.values()])


def gap_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Loss of each language alone, and how far it is above that among others."""
    reference, languages = document["reference"], document["languages"]
    yield f"{document['condition']}: loss of {reference} in nats; how far others are above it (95 % interval)"
    names = list(document["mean"])
    for first in range(0, len(names), _ABREAST):
        some = names[first : first + _ABREAST]
        yield f"{'':<10} {reference[:9]:>9} " + " ".join(f"{name[:25]:>25}" for name in some)
        for tag in _ends(languages, lambda tag, name=some[0]: _apart(languages[tag], name)):
            entry = languages[tag]
            alone = _number(entry["settings"][reference]["mean"])
            yield f"{tag:<10} {alone:>9} " + " ".join(f"{_gap(entry['gaps'].get(name)):>25}" for name in some)
        yield f"{'mean':<10} {'':>9} " + " ".join(f"{_gap(document['mean'][name]):>25}" for name in some)
    for name in names:
        verdicts = [entry["gaps"][name]["verdict"] for entry in languages.values() if name in entry["gaps"]]
        counted = ", ".join(f"{each} {verdicts.count(each)}" for each in dict.fromkeys(verdicts))
        yield f"{name}: {counted}; all languages together: {document['mean'][name]['verdict']}"
    if document["notes"]:
        yield f"not past the unigram plateau: {', '.join(document['notes'])}; train longer: no verdict there"
    for name, reason in document["left_out"].items():
        yield f"left out, as it does not fit: {name}: {reason}"


def matrix_lines(
    rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float | None]]
) -> Iterator[str]:
    """A small matrix with its labels."""
    yield f"{'':<10} {' '.join(f'{column[:7]:>7}' for column in columns)}"
    for tag, row in zip(rows, values, strict=True):
        yield f"{tag[:10]:<10} {' '.join(f'{_number(value):>7}' for value in row)}"


def along_lines(relation: Mapping[str, Any] | None, names: Sequence[str]) -> Iterator[str]:
    """Rank correlations with relatedness, with their p and what families have in common."""
    if relation is None:
        return
    for name in [name for name in names if name in relation]:
        line = f"rank correlation of the {name.replace('_', ' ')} with relatedness: {_number(relation[name])}"
        p, within, between = (
            relation.get(key, {}).get(name) for key in ("by_chance", "within_families", "between_families")
        )  # older documents have none of them
        line += f" (p {p:.3f})" if p is not None else ""
        if within is not None or between is not None:
            line += f"; within families {_number(within)}, between {_number(between)}"
        yield line
    if groups := relation.get("groups"):
        numbers = (f"{group.replace('_', '-')} {_number(value)}" for group, value in groups.items())
        yield f"the same of the cosine by group: {', '.join(numbers)}"


def _noisy(part: Mapping[str, Any]) -> bool:
    return noisy(part["mean_ceiling"], part["ceiling_conflict_rate"])


def _end_pairs(tags: Sequence[str], matrix: Sequence[Sequence[float | None]], what: str) -> Iterator[str]:
    pairs = [
        (value, f"{a} {b}")
        for i, a in enumerate(tags)
        for b, value in zip(tags[:i], matrix[i], strict=False)
        if value is not None
    ]
    pairs.sort()
    for name, some in (("agree least", pairs[:ENDS]), ("agree most", pairs[: -ENDS - 1 : -1])):
        yield f"{name} ({what}): {', '.join(f'{pair} {_number(value)}' for value, pair in some)}"


def _ends(by_tag: Mapping[str, Any], rank: Any) -> list[str]:
    """All languages if they are few, else those at either end of a ranking."""
    tags = list(by_tag)
    if len(tags) <= FEW:
        return tags
    ranked = sorted(tags, key=rank)
    return [*ranked[:ENDS], *ranked[-ENDS:]]


def _off_and_on(matrix: Sequence[Sequence[float | None]]) -> tuple[float | None, float | None]:
    """Mean of the entries off the diagonal, and on it."""
    off = [value for i, row in enumerate(matrix) for j, value in enumerate(row) if i != j]
    return _mean(off), _mean([row[i] for i, row in enumerate(matrix)])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _row(name: str, values: Sequence[float | None]) -> str:
    widths = (9, 9, 10, 8, 8)
    return f"{name:<10} " + " ".join(
        f"{_number(value):>{width}}" for value, width in zip(values, widths, strict=True)
    )


def _apart(entry: Mapping[str, Any], name: str) -> float:
    return entry["gaps"][name]["difference"] if name in entry["gaps"] else 0.0


def _gap(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "-"
    difference = _signed(entry["difference"])
    return difference if entry["low"] is None else f"{difference} [{entry['low']:+.3f}, {entry['high']:+.3f}]"


def _above(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "-"
    return _signed(entry["above_own"]) + ("" if entry["se"] is None else f" ± {entry['se']:.3f}")


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
