"""What masks of different languages have in common, by layer.

L languages, A gates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polymod.diagnose.agreement import listed

Kept = NDArray[np.bool_]
Confidence = NDArray[np.float64]


def jaccard(a_A: Kept, b_A: Kept) -> float:
    """Share of the gates kept by either that are kept by both; NaN if neither keeps any."""
    either = int((a_A | b_A).sum())
    return int((a_A & b_A).sum()) / either if either else float("nan")


def sign_disagreement(a_A: Confidence, b_A: Confidence) -> float:
    """Share of gates that are more likely open for one and more likely closed for the other."""
    return float((np.sign(a_A) * np.sign(b_A) < 0).mean()) if len(a_A) else float("nan")


def by_chance(kept: Sequence[Kept]) -> float:
    """Jaccard index of two random masks that keep as many, nearly: p / (2 - p) for the share p."""
    share = float(np.mean([each.mean() for each in kept]))
    return share / (2 - share)


def overlap(
    kept: Mapping[str, Sequence[Kept]], confidence: Mapping[str, Sequence[Confidence]], layer_A: Sequence[int]
) -> dict[str, Any]:
    """Matrices over languages, of all gates and of each layer's.

    Args:
        kept: masks of each language, learnt with different seeds. On the diagonal two masks of one language
            are compared (``None`` with one seed): the ceiling, as for gradients.
        confidence: the same, from -1 to 1.
        layer_A: layer of each gate.
    """
    layers = np.array(layer_A)
    everywhere = np.ones(len(layers), dtype=bool)

    def within(chosen_A: Kept) -> dict[str, Any]:
        return {
            "gates": int(chosen_A.sum()),
            "jaccard": listed(_pairs(kept, chosen_A, jaccard)),
            "jaccard_by_chance": by_chance([mask[chosen_A] for masks in kept.values() for mask in masks]),
            "sign_disagreement": listed(_pairs(confidence, chosen_A, sign_disagreement)),
        }

    return {
        "languages": list(kept),
        "all": within(everywhere),
        "layers": [within(layers == layer) for layer in sorted(set(layer_A))],
    }


def _pairs(by_language: Mapping[str, Sequence[Any]], chosen_A: Kept, measure: Any) -> NDArray[np.float64]:
    """Mean of a measure over the masks of every two languages, (L, L)."""
    tags = list(by_language)
    found = np.full((len(tags), len(tags)), np.nan)
    for i, a in enumerate(tags):
        for j, b in enumerate(tags):
            values = [
                measure(x[chosen_A], y[chosen_A])
                for m, x in enumerate(by_language[a])
                for n, y in enumerate(by_language[b])
                if a != b or m < n
            ]
            found[i, j] = np.mean(values) if values else np.nan
    return found
