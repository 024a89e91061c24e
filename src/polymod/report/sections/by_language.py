"""Learning curves of each language: small charts, all on the same scales; part of the learning section."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from polymod.report.blocks import Multiples
from polymod.report.charts.lines import Level, Line, LineChart, draw
from polymod.report.charts.marks import colour
from polymod.report.document import NO_SCORE, Arm, Document, Language
from polymod.report.figures import fixed, listed
from polymod.report.markup import element, group
from polymod.report.scales import Scale, linear
from polymod.report.thinning import thin

MOST_CHARTS = 120
_MOST_POINTS = 48


def with_curves(document: Document, arms: Sequence[Arm]) -> list[Language]:
    """The languages that occur in a curve."""
    tags = {tag for arm in arms for point in arm.curve for tag in point.languages}
    return [language for language in document.languages if language.tag in tags]


def least_gained(document: Document, languages: list[Language]) -> list[Language]:
    """At most ``MOST_CHARTS`` of the languages, those least below their unigram entropy, in their order."""
    gains: dict[str, float] = {}
    for language in languages:
        of_arms = (arm.scores.get(language.tag, NO_SCORE).gain for arm in document.arms)
        gains[language.tag] = min((gain for gain in of_arms if gain is not None), default=math.inf)
    least = sorted(gains, key=lambda tag: gains[tag])[:MOST_CHARTS]
    return [language for language in languages if language.tag in least]


def multiples(document: Document, languages: Sequence[Language], arms: Sequence[Arm], x: Scale) -> Multiples:
    """The charts; their headings carry the last loss of each arm in its colour."""
    curves = {
        language.tag: tuple(Line("", arm.number, _points(arm, language.tag)) for arm in arms)
        for language in languages
    }
    losses = [y for lines in curves.values() for line in lines for _, y in line.points if y is not None]
    entropies = [entropy for each in languages if (entropy := document.entropy(each.tag)) is not None]
    y = linear([*losses, *entropies], most=5)
    return Multiples(
        tuple(
            _chart(language, number, document.entropy(language.tag), arms, curves[language.tag], x, y)
            for number, language in enumerate(languages)
        )
    )


def _chart(
    language: Language,
    number: int,
    entropy: float | None,
    arms: Sequence[Arm],
    lines: tuple[Line, ...],
    x: Scale,
    y: Scale,
) -> tuple[str, Markup, Markup]:
    last = [next((loss for _, loss in reversed(line.points) if loss is not None), None) for line in lines]
    ends = [f"{arm.name} ends at {fixed(loss)} nats" for arm, loss in zip(arms, last, strict=True)]
    chart = LineChart(
        name=f"learning-{number}",
        title=f"Loss of {language.label} over the tokens seen",
        description=f"{listed(ends)}.",
        x=x,
        y=y,
        x_labels=(),
        y_labels=y.tick_labels(),
        lines=lines,
        levels=() if entropy is None else (Level("", entropy),),
        small=True,
    )
    figures = (
        element("span", fixed(loss), class_=f"ink {colour(arm.number)}")
        for arm, loss in zip(arms, last, strict=True)
    )
    return language.label, group(*figures), draw(chart)


def _points(arm: Arm, tag: str) -> tuple[tuple[float, float | None], ...]:
    return tuple((point.tokens, point.languages.get(tag)) for point in thin(arm.curve, _MOST_POINTS))
