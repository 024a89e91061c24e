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
    for each in comparisons(document)[:1]:
        yield sentence([gaps.said(each, name) for name in each.names[:2]])
    for each in newest(agreements(document))[:1]:
        yield sentence([f"in {each.run} {gradients.said(each)}"])
    for each in ablations(document)[:1]:
        yield sentence([f"in {each.run} {masks.said(each)}"])
    for each in contributions(document)[:1]:
        yield sentence([f"in {each.run} {controls.said(each)}"])


def diagnosed_tiles(document: Document) -> Iterator[Tile]:
    """The key figures of the same."""
    for each in comparisons(document)[:1]:
        for name in each.names[:2]:
            if name in each.means:
                note = f"nats, {name} beside {each.reference}"
                yield Tile("Gap of loss", signed(each.means[name].difference), note)
    for each in newest(agreements(document))[:1]:
        note = f"ceiling {fixed(each.trunk.ceiling)}; {share(each.trunk.conflict)} conflicts, {each.run}"
        yield Tile("Cosine of gradients", fixed(each.trunk.cosine), note)
    for each in ablations(document)[:1]:
        at = each.shares[-1]
        note = f"nats above the own, {share(at)} closed, {each.run}"
        yield Tile("Masks of others", signed(each.above(OTHERS, at), 3), note)
    for each in contributions(document)[:1]:
        yield Tile("Own module", fixed(each.means[NONE]), f"nats better than none, {each.run}")
