"""How to read the page, and what it does not show."""

from __future__ import annotations

import math

from polymod.report.blocks import Points, Section
from polymod.report.document import Arm, Document
from polymod.report.figures import fixed

NAT = "Losses are in nats (natural logarithms): 1 nat less makes the masked token 2.7 times as probable."
ENTROPY = (
    "The unigram entropy of a language is the score of a model that knows how frequent each token is and "
    "nothing else. A model within 1 nat of it still is on this plateau, where a difference between models "
    "says nothing about interference."
)
CURVES = (
    "Curves are scored on fewer held-out tokens than the table of losses, so their ends differ a little from "
    "it; where both say something, believe the table."
)
WORLD = (
    "The languages are made by a generator. A world is an instrument: it shows that the machinery works and "
    "how large an effect is where the truth is known. It is no evidence about real languages."
)
TRANSFER = (
    "Intervals of tasks hold for other examples of the same kind, not for another training. A control sends "
    "the same text, with its own embeddings, through another module or none: where that does as well, "
    "the language's module does nothing for the task."
)
GRADIENTS = (
    "A cosine of gradients is small where batches are small, whatever the languages: compare it with its "
    "ceiling, the cosine of two batches of one language. Agreement of gradients says what languages want of "
    "the shared weights, not what it costs them; the gaps of loss say that."
)
MASKS = (
    "A mask says which parts of the frozen trunk a language can do without. Two masks of one language differ "
    "by chance; only what goes beyond that belongs to the language."
)
CONTROLS = (
    "A module can only be worth something against a reference: the same text through no module, through that "
    "of the source and through that of a wrong language. Intervals are over batches of held-out text, not "
    "over trainings."
)
GAPS = (
    "Gaps compare separate trainings. Their intervals are over seeds: with one seed there is none, and a "
    "setting that has not left the plateau of word frequencies shows no gap whatever the truth."
)
ONE_RUN = (
    "Each run is one training. Another seed gives slightly different figures, and one run cannot say how "
    "different: repeat with several seeds before you rely on a small difference."
)


def section(document: Document) -> Section:
    """Always there."""
    trained = any(arm.scores for arm in document.arms)
    said = [
        NAT if trained else "",
        ENTROPY if trained else "",
        _identity(document) if trained else "",
        CURVES if any(arm.curve for arm in document.arms) else "",
        TRANSFER if document.part.part("transfer") else "",
        GRADIENTS if document.part.sequence("gradients") or document.part.part("monitor") else "",
        MASKS if document.part.sequence("masks") else "",
        CONTROLS if document.part.sequence("controls") else "",
        GAPS if document.part.sequence("gaps") else "",
        WORLD if document.part.part("world") else "",
        ONE_RUN if trained else "",
    ]
    notes = tuple(str(note) for note in document.part.sequence("notes"))
    return Section(
        "reading",
        "How to read this page",
        "What the figures say, and what they do not.",
        "Quote a figure together with its command and versions, which are below.",
        (Points((*(sentence for sentence in said if sentence), *notes)),),
    )


def _untold(arm: Arm) -> bool:
    """Whether an arm is not told the language: by its options, or else by its name."""
    setup = arm.part.part("config").text("arm") or arm.name
    return setup.startswith("shared") or setup == "dense"


def _identity(document: Document) -> str:
    """The confound of an arm that is not told the language."""
    number = len(document.languages)
    if number < 2 or not any(_untold(arm) for arm in document.arms):
        return ""
    most = fixed(math.log(number))
    return (
        "A model without a pack per language is not told which language it reads, unless it has a language "
        f"embedding. Knowing it can be worth up to ln {number} = {most} nats, so not all of "
        "a difference between models has to be interference."
    )
