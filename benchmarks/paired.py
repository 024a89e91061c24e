"""Settings of a study beside one of them, paired by seed.

``python benchmarks/paired.py SETTING,SETTING,... STUDY [STUDY ...]``

The first SETTING is what the others are compared with; STUDY is the folder of a finished study, several have
different seeds. Prints the mean loss of each setting in nats with the steps and seconds of a run, and its
difference to the first, a mean over the languages that both have: by seed, then the mean over seeds with its
95 % t interval.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import fmean
from typing import Any

from polymod.diagnose.gaps import gap
from polymod.files import read_json

Losses = dict[int, dict[str, float]]  # by seed, then by language


def main() -> None:
    """Read the studies, print two lines for each setting."""
    names, *folders = sys.argv[1:]
    runs = [run for each in folders for run in read_json(Path(each) / "study.json")["runs"].values()]
    settings = {name: [run for run in runs if run["setting"] == name] for name in names.split(",")}
    first = next(iter(settings))
    reference = losses(settings[first])
    for name, some in settings.items():
        own = losses(some)
        mean = fmean(loss for each in own.values() for loss in each.values())
        seconds = fmean(run["seconds"] for run in some)
        print(
            f"{name}: {mean:.3f} nats; {len(own)} seeds, {some[0]['steps']:,} steps, {seconds:,.0f} s a run"
        )
        if name != first:
            print(f"  - {first}: {apart(own, reference)}")


def losses(runs: list[dict[str, Any]]) -> Losses:
    """What finished runs of one setting say; a setting may be several runs of a seed."""
    found: Losses = {}
    for run in runs:
        found.setdefault(run["seed"], {}).update({tag: e["loss"] for tag, e in run["languages"].items()})
    return found


def apart(own: Losses, reference: Losses) -> str:
    """The difference over the languages that both have."""
    differences = [
        fmean(own[seed][tag] - reference[seed][tag] for tag in own[seed] if tag in reference[seed])
        for seed in sorted(own.keys() & reference.keys())
    ]
    found = gap(differences)
    by_seed = ", ".join(f"{each:+.3f}" for each in differences)
    if found["low"] is None:
        return by_seed
    return f"{by_seed}; mean {found['difference']:+.3f} [{found['low']:+.3f}, {found['high']:+.3f}]"


if __name__ == "__main__":
    main()
