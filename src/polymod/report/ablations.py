"""Which parts of the trunk languages need: losses under masks, and what masks have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from polymod.report.document import Document
from polymod.report.figures import mean
from polymod.report.part import Matrix, Part, finite

UNMASKED, OWN, AGAIN, OTHERS, RANDOM = KINDS = ("unmasked", "own", "own_again", "others", "random")

Losses = Mapping[str, float | None]  # by kind, in nats


@dataclass(frozen=True)
class Layer:
    """Overlap in a layer: means over pairs of languages, over two masks of one, and by chance."""

    pairs: float | None
    own: float | None
    chance: float | None
    gates: float | None


@dataclass(frozen=True)
class Overlap:
    """What masks have in common at one sparsity.

    Attributes:
        rows: Jaccard index of every two languages; on the diagonal of two masks of one language.
    """

    tags: tuple[str, ...]
    rows: Matrix
    whole: Layer
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Ablation:
    """Masks of a run.

    Attributes:
        shares: of closed gates, rising.
        losses: of each language, by share, then by kind.
        by_mask: of each language, by share, the loss under the masks of others.
        overlaps: by share.
    """

    run: str
    step: float
    shares: tuple[float, ...]
    losses: Mapping[str, Mapping[float, Losses]]
    by_mask: Mapping[str, Mapping[float, Losses]]
    overlaps: Mapping[float, Overlap]

    def mean(self, kind: str, share: float) -> float | None:
        """Mean over languages, in nats."""
        found = [losses[share][kind] for losses in self.losses.values() if share in losses]
        return mean([value for value in found if value is not None])

    def above(self, kind: str, share: float) -> float | None:
        """How far a kind of mask is above the languages' own, in nats on average."""
        kind_, own = self.mean(kind, share), self.mean(OWN, share)
        return None if kind_ is None or own is None else kind_ - own


def ablations(document: Document) -> list[Ablation]:
    """Every run whose masks were learnt."""
    found = [_ablation(part) for part in document.part.rows("masks")]
    return [each for each in found if each.shares and each.losses]


def _ablation(part: Part) -> Ablation:
    overlap, languages = part.part("overlap"), part.part("languages").parts()
    shares = {key: _share(overlap, key) for key in overlap.tree}
    losses: dict[str, dict[float, Losses]] = {}
    by_mask: dict[str, dict[float, Losses]] = {}
    for tag, entry in languages.items():
        for key, share in shares.items():
            at = entry.part("sparsity", key)
            kinds = {kind: at.number(kind) for kind in KINDS[1:]}
            losses.setdefault(tag, {})[share] = {UNMASKED: entry.number(UNMASKED), **kinds}
            others = at.part("by_mask")
            by_mask.setdefault(tag, {})[share] = {str(key): others.number(key) for key in others.tree}
    overlaps = {share: _overlap(overlap.part(key)) for key, share in shares.items()}
    run, step = part.text("run"), part.number("step") or 0.0
    return Ablation(run, step, tuple(sorted(shares.values())), losses, by_mask, overlaps)


def _share(part: Part, key: str) -> float:
    try:
        found = finite(float(key), part, key)
    except ValueError:
        found = None
    if found is None:
        raise part.wrong(key, key, "a share of closed gates")
    return found


def _overlap(part: Part) -> Overlap:
    tags = tuple(map(str, part.sequence("languages")))
    whole = part.part("all")
    layers = tuple(_layer(row, len(tags)) for row in part.rows("layers"))
    return Overlap(tags, whole.matrix("jaccard", len(tags)), _layer(whole, len(tags)), layers)


def _layer(part: Part, size: int) -> Layer:
    rows = part.matrix("jaccard", size)
    pairs = [x for i, row in enumerate(rows) for j, x in enumerate(row) if i != j and x is not None]
    own = [x for i, row in enumerate(rows) if (x := row[i]) is not None]
    return Layer(mean(pairs), mean(own), part.number("jaccard_by_chance"), part.number("gates"))
