"""Learning curves: mean loss over the tokens seen, each arm; per language on demand."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from polymod.report.blocks import Block, Cell, Chart, Column, Details, Rows, Section, Table
from polymod.report.charts.lines import Level, Line, LineChart, draw
from polymod.report.comparison import PLATEAU
from polymod.report.document import Arm, Document, Point
from polymod.report.figures import count, fixed, listed, mean, round_count
from polymod.report.scales import Scale, linear, log
from polymod.report.sections.by_language import least_gained, multiples, with_curves
from polymod.report.thinning import thin

_LOG_FROM = 30  # times as many tokens at the end as at the beginning
_MOST_DOTS, _MOST_ROWS = 60, 40  # points of the chart and of its table
_STILL_FALLING = 0.02  # nats over the last quarter


def section(document: Document) -> Section | None:
    """Left out where no arm has a curve of two points."""
    arms = [arm for arm in document.arms if max(len(arm.train_curve), len(arm.valid_curve)) > 1]
    if not arms:
        return None
    scale = _tokens(arms)
    blocks: list[Block] = [Chart(_chart(document, arms, scale), _caption(scale)), _numbers(arms)]
    if languages := with_curves(document, arms):
        shown = least_gained(document, languages)
        which = "each language" if shown == languages else f"the {len(shown)} languages that gained least"
        blocks.append(Details(f"Curves of {which}", (multiples(document, shown, arms, scale),)))
    return Section("learning", "Learning curves", _means(document, arms), _advice(arms), tuple(blocks))


def level(document: Document) -> float | None:
    """Mean unigram entropy over the languages in nats."""
    values = [document.entropy(language.tag) for language in document.languages]
    return mean([value for value in values if value is not None])


def _means(document: Document, arms: Sequence[Arm]) -> str:
    entropy = level(document)
    if entropy is None:
        ends = [f"{arm.name} at {fixed(_last(arm.curve))} nats" for arm in arms]
        return f"After the last step {listed(ends)}."
    left = []
    for arm in arms:
        below = (p.tokens for p in arm.curve if p.loss is not None and p.loss <= entropy - PLATEAU)
        first = next(below, None)
        left.append(f"{arm.name} {'not yet' if first is None else f'after {count(first)} tokens'}")
    return f"The plateau of word frequencies is left (1 nat below the unigram entropy) by {listed(left)}."


def _advice(arms: Sequence[Arm]) -> str:
    falls = {arm.name: fall for arm in arms if (fall := _fall(arm.curve)) is not None}
    falling = [f"{name} by {fixed(fall)}" for name, fall in falls.items() if fall > _STILL_FALLING]
    if falling:
        return (
            f"Train longer: over the last quarter of the tokens the loss still fell, {listed(falling)} nats."
        )
    if falls:
        return "Change data, size or learning rate rather than train longer: the curves are flat."
    return "Score the valid split more often (--train.score-every) to see whether the curves are flat."


def _fall(points: Sequence[Point]) -> float | None:
    """Nats that the loss fell over the last quarter of the tokens, by the points nearest to its ends."""
    known = [(point.tokens, point.loss) for point in points if point.loss is not None]
    if len(known) < 3:
        return None
    tokens, last = known[-1]
    before = min(known[:-1], key=lambda pair: abs(pair[0] - 0.75 * tokens))
    return before[1] - last


def _last(points: Sequence[Point]) -> float | None:
    return next((point.loss for point in reversed(points) if point.loss is not None), None)


def _tokens(arms: Sequence[Arm]) -> Scale:
    tokens = [point.tokens for arm in arms for curve in (arm.train_curve, arm.valid_curve) for point in curve]
    positive = [value for value in tokens if value > 0]
    if positive and max(positive) >= _LOG_FROM * min(positive):
        return log(positive)
    return linear(tokens)


def _caption(scale: Scale) -> str:
    axis = "tokens seen (logarithmic)" if scale.logarithmic else "tokens seen"
    return (
        f"Mean loss in nats over {axis}. Strong lines with dots: valid split, mean over languages; "
        "pale lines: training batches, mean over tokens; dashed: mean unigram entropy."
    )


def _chart(document: Document, arms: Sequence[Arm], x: Scale) -> Markup:
    entropy = level(document)
    losses = [p.loss for arm in arms for p in (*arm.train_curve, *arm.valid_curve) if p.loss is not None]
    y = linear([*losses, *([] if entropy is None else [entropy])])
    ends = listed([f"{arm.name} ends at {fixed(_last(arm.curve))} nats" for arm in arms])
    return draw(
        LineChart(
            name="learning-mean",
            title="Mean loss over the tokens seen",
            description=f"{ends}. The mean unigram entropy is {fixed(entropy)} nats.",
            unit="nats",
            x=x,
            y=y,
            x_labels=[round_count(tick) for tick in x.ticks],
            y_labels=y.tick_labels(),
            lines=tuple(line for arm in arms for line in _lines(arm)),
            levels=() if entropy is None else (Level("unigram", entropy),),
        )
    )


def _lines(arm: Arm) -> list[Line]:
    """The pale line of the training batches and the strong one of the valid split, which carries the name."""
    train = tuple((point.tokens, point.loss) for point in arm.train_curve)
    valid = tuple((point.tokens, point.loss) for point in thin(arm.valid_curve, _MOST_DOTS))
    tips = tuple(f"{arm.name}, {count(tokens)} tokens: {fixed(loss)} nats" for tokens, loss in valid)
    if len(valid) < 2:
        return [Line(arm.name, arm.number, train), Line("", arm.number, valid, tips)]
    return [Line("", arm.number, train, quiet=True), Line(arm.name, arm.number, valid, tips)]


def _numbers(arms: Sequence[Arm]) -> Details:
    """The points of the strong lines as a table: a row per step, a column per arm."""
    curves = [{point.step: point for point in arm.curve} for arm in arms]
    tokens = {step: point.tokens for curve in curves for step, point in curve.items()}
    steps = thin(sorted(tokens), _MOST_ROWS)
    rows = tuple(
        (
            Cell.of(step),
            Cell(count(tokens[step]), tokens[step], "number"),
            *(Cell.of(curve[step].loss if step in curve else None, 3) for curve in curves),
        )
        for step in steps
    )
    heads = (Column(arm.name, "number", series=arm.number) for arm in arms)
    columns = (Column("Steps", "number"), Column("Tokens", "number"), *heads)
    return Details("The numbers", (Table("Mean loss, nats", columns, (Rows("", rows),)),))
