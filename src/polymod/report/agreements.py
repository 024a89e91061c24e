"""How far gradients of languages agree, at checkpoints and while runs train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from polymod.report.document import Document
from polymod.report.part import Matrix, Part

COSINE, CORRECTED, CONFLICT = "cosine", "corrected", "conflict"
NOISY = 0.25  # conflicts of a language with itself


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


@dataclass(frozen=True)
class Agreement:
    """A checkpoint of a run.

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
    def noisy(self) -> bool:
        """Whether two batches of one language hardly agree, so that those of two say little."""
        means = self.trunk
        return means.ceiling is None or means.ceiling <= 0 or (means.own_conflict or 0.0) > NOISY

    @property
    def against(self) -> Matrix:
        """Cosines that are below 0 by two standard errors, or at all where those are not known."""

        def clearly(x: float | None, i: int, j: int) -> float | None:
            error = (self.error[i][j] if self.error else None) or 0.0
            return x if x is not None and x + 2 * error < 0 else None

        return [[clearly(x, i, j) for j, x in enumerate(row)] for i, row in enumerate(self.cosine)]


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
    trunk = part.part("trunk")
    layers = {f"layer {number}": each for number, each in enumerate(part.rows("layers"), 1)}
    groups = {_name(key): each for key, each in part.part("groups").parts().items()}
    cosines = {name: each.matrix(COSINE, len(tags)) for name, each in {**groups, **layers}.items()}
    return Agreement(
        run=part.text("run"),
        step=part.number("step") or 0.0,
        tags=tags,
        trunk=_means(trunk),
        groups={name: _means(each) for name, each in groups.items()},
        layers={name: _means(each) for name, each in layers.items()},
        cosine=trunk.matrix(COSINE, len(tags)),
        corrected=trunk.matrix(CORRECTED, len(tags)),
        conflict=trunk.matrix(CONFLICT, len(tags)),
        error=trunk.matrix("cosine_se", len(tags)),
        maps={name: rows for name, rows in cosines.items() if rows},
        along={key: part.part("along_relatedness").number(key) for key in (COSINE, CORRECTED)},
    )


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
