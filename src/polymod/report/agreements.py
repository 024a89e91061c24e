"""How far gradients of languages agree, at checkpoints and while runs train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from polymod.diagnose.agreement import noisy
from polymod.report.document import Document
from polymod.report.part import Matrix, Part, finite

COSINE, CORRECTED, CONFLICT = "cosine", "corrected", "conflict"


@dataclass(frozen=True)
class Means:
    """Means over pairs of languages, and over languages with themselves; absent where not finite.

    Attributes:
        cosine, corrected: of two languages; ``corrected`` is free of the noise of small batches.
        ceiling: cosine of two batches of one language.
        conflict, own_conflict: share of negative cosines, of two languages and of one.
        parameters: that they are about.
    """

    cosine: float | None
    ceiling: float | None
    corrected: float | None
    conflict: float | None
    own_conflict: float | None
    parameters: float | None

    @property
    def noisy(self) -> bool:
        """Whether two batches of one language hardly agree, so that those of two say little."""
        return noisy(self.ceiling, self.own_conflict)


@dataclass(frozen=True)
class Agreement:
    """A checkpoint of a run; corrected cosines are left out where batches are too noisy for them.

    Attributes:
        groups, layers: parts of the trunk by name.
        error: standard errors of the cosines; empty where they are not known.
        maps: matrix of cosines of each part that has one, by its name.
        along: rank correlation with relatedness, by kind of cosine.
    """

    run: str
    step: float
    tags: tuple[str, ...]
    trunk: Means
    groups: Mapping[str, Means]
    layers: Mapping[str, Means]
    cosine: Matrix
    corrected: Matrix
    conflict: Matrix
    error: Matrix
    maps: Mapping[str, Matrix]
    along: Mapping[str, float | None]

    @property
    def against(self) -> Matrix:
        """Cosines that are below 0 by two standard errors, or at all where those are not known."""

        def clearly(x: float | None, i: int, j: int) -> float | None:
            error = (self.error[i][j] if self.error else None) or 0.0
            return x if x is not None and x + 2 * error < 0 else None

        return [[clearly(x, i, j) for j, x in enumerate(row)] for i, row in enumerate(self.cosine)]


@dataclass(frozen=True)
class Average:
    """Mean cosines over checkpoints of a run, or over runs that differ in their seed.

    Attributes:
        along: rank correlation with relatedness.
    """

    runs: tuple[str, ...]
    steps: tuple[float, ...]
    tags: tuple[str, ...]
    cosine: Matrix
    along: float | None


@dataclass(frozen=True)
class Line:
    """What a run's monitor noted at a step: the trunk and its groups."""

    step: float
    trunk: Means
    groups: Mapping[str, Means]


def agreements(document: Document) -> list[Agreement]:
    """Every checkpoint that was diagnosed, the steps of a run in their order."""
    found = [_agreement(part) for part in document.part.rows("gradients")]
    runs = list(dict.fromkeys(each.run for each in found))
    return sorted(found, key=lambda each: (runs.index(each.run), each.step))


def newest(found: list[Agreement]) -> list[Agreement]:
    """The last checkpoint of each run."""
    return list({each.run: each for each in found}.values())


def averages(document: Document) -> list[Average]:
    """Every mean over several checkpoints, of two languages at least."""
    found = []
    for row in document.part.rows("averages"):
        runs, tags = (tuple(map(str, row.sequence(key))) for key in ("runs", "languages"))
        steps = (finite(step, row, "steps") for step in row.sequence("steps"))
        cosine = row.part("trunk").matrix(COSINE, len(tags))
        along = row.part("along_relatedness").number(COSINE)
        found.append(Average(runs, tuple(step or 0.0 for step in steps), tags, cosine, along))
    return [each for each in found if len(each.tags) > 1 and each.cosine]


def monitored(document: Document) -> dict[str, tuple[Line, ...]]:
    """The lines of every run that was watched, by its name."""
    part = document.part.part("monitor")
    return {
        name: tuple(
            Line(row.number("step") or 0.0, _means(row.part("trunk")), _parts(row.part("groups")))
            for row in part.rows(name)
        )
        for name in part.tree
    }


def _agreement(part: Part) -> Agreement:
    tags = tuple(map(str, part.sequence("languages")))
    trunk, size = part.part("trunk"), len(tags)
    cosine, conflict = trunk.matrix(COSINE, size), trunk.matrix(CONFLICT, size)
    layers = {f"layer {number}": each for number, each in enumerate(part.rows("layers"), 1)}
    groups = {_name(key): each for key, each in part.part("groups").parts().items()}
    cosines = {name: each.matrix(COSINE, size) for name, each in {**groups, **layers}.items()}
    return Agreement(
        run=part.text("run"),
        step=part.number("step") or 0.0,
        tags=tags,
        trunk=_clear_means(trunk),
        groups={name: _clear_means(each) for name, each in groups.items()},
        layers={name: _clear_means(each) for name, each in layers.items()},
        cosine=cosine,
        corrected=_clear(trunk.matrix(CORRECTED, size), cosine, conflict),
        conflict=conflict,
        error=trunk.matrix("cosine_se", size),
        maps={name: rows for name, rows in cosines.items() if rows},
        along={key: part.part("along_relatedness").number(key) for key in (COSINE, CORRECTED)},
    )


def _clear(corrected: Matrix, cosine: Matrix, conflict: Matrix) -> Matrix:
    """Without languages whose own batches hardly agree; empty if there is nothing else."""
    hidden = {i for i, row in enumerate(cosine) if noisy(row[i], conflict[i][i] if conflict else None)}
    if len(hidden) == len(corrected):
        return []
    return [
        [None if i in hidden or j in hidden else x for j, x in enumerate(row)]
        for i, row in enumerate(corrected)
    ]


def _clear_means(part: Part) -> Means:
    means = _means(part)
    return replace(means, corrected=None) if means.noisy else means


def _parts(part: Part) -> dict[str, Means]:
    return {_name(key): _means(each) for key, each in part.parts().items()}


def _means(part: Part) -> Means:
    return Means(
        cosine=part.number("mean_cosine"),
        ceiling=part.number("mean_ceiling"),
        corrected=part.number("mean_corrected"),
        conflict=part.number("conflict_rate"),
        own_conflict=part.number("ceiling_conflict_rate"),
        parameters=part.number("parameters"),
    )


def _name(group: str) -> str:
    return group.replace("_", "-")
