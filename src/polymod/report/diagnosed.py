"""What diagnoses found, in a sentence and a key figure each, for the head of the page."""

from __future__ import annotations

from collections.abc import Iterator

from polymod.report.ablations import OTHERS, ablations
from polymod.report.agreements import agreements, newest
from polymod.report.blocks import Tile
from polymod.report.contributions import NONE, contributions
from polymod.report.document import Document
from polymod.report.figures import fixed, sentence, share, signed
from polymod.report.sections import controls, gaps, gradients, masks
from polymod.report.settings import comparisons


def diagnosed(document: Document) -> Iterator[str]:
    """A sentence each of gaps, gradients, masks and modules; of several runs the first."""
    for compared in comparisons(document)[:1]:
        yield sentence([gaps.said(compared, name) for name in compared.names[:2]])
    for checkpoint in newest(agreements(document))[:1]:
        yield sentence([f"in {checkpoint.run} {gradients.said(checkpoint)}"])
    for masked in ablations(document)[:1]:
        yield sentence([f"in {masked.run} {masks.said(masked)}"])
    for tried in contributions(document)[:1]:
        yield sentence([f"in {tried.run} {controls.said(tried)}"])


def diagnosed_tiles(document: Document) -> Iterator[Tile]:
    """The key figures of the same."""
    for compared in comparisons(document)[:1]:
        for name in compared.names[:2]:
            if name in compared.means and not compared.early(name):
                note = f"nats, {name} beside {compared.reference}"
                yield Tile("Gap of loss", signed(compared.means[name].difference), note)
    for checkpoint in newest(agreements(document))[:1]:
        means = checkpoint.trunk
        note = f"ceiling {fixed(means.ceiling)}; {share(means.conflict)} conflicts, {checkpoint.run}"
        yield Tile("Cosine of gradients", fixed(means.cosine), note)
    for masked in ablations(document)[:1]:
        at = masked.shares[-1]
        note = f"nats above the own, {share(at)} closed, {masked.run}"
        yield Tile("Masks of others", signed(masked.above(OTHERS, at), 3), note)
    for tried in contributions(document)[:1]:
        yield Tile("Own module", fixed(tried.means[NONE]), f"nats better than none, {tried.run}")
