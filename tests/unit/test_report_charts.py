"""Scales, labels and charts: every point inside its box, ticks at round values, labels apart, gaps kept."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymod.report.charts import bar, heatmap, lines, strip
from polymod.report.figures import count, duration, fixed, listed, round_count, several, signed
from polymod.report.scales import Scale, linear, log, spread
from polymod.report.thinning import buckets, thin

values = st.lists(st.floats(-1e12, 1e12, allow_subnormal=False), min_size=1, max_size=20)
positive = st.lists(st.floats(1e-6, 1e15), min_size=1, max_size=20)


def significant(tick: float) -> str:
    """The digits of a number, without sign, point and zeros around them."""
    return f"{abs(tick):.9e}".split("e")[0].replace(".", "").strip("0")


@given(values, st.integers(3, 9))
def test_a_linear_scale_holds_all_values_and_its_ticks_are_round(known: list[float], most: int) -> None:
    scale = linear(known, most=most)
    assert scale.low < scale.high
    assert all(scale.low <= value <= scale.high for value in known)
    assert all(0 <= scale.at(value) <= 1 for value in known)
    assert all(scale.low <= tick <= scale.high for tick in scale.ticks)
    assert 1 <= len(scale.ticks) <= most
    steps = {significant(after - before) for before, after in pairwise(scale.ticks)}
    assert len(steps) <= 1 or max(abs(tick) for tick in scale.ticks) > 1e6 * (scale.high - scale.low)


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_the_step_of_a_linear_scale_is_1_2_25_or_5(low: float, width: float) -> None:
    ticks = linear([low, low + width]).ticks
    step = (ticks[-1] - ticks[0]) / max(1, len(ticks) - 1)
    assert len(ticks) >= 2
    assert significant(float(f"{step:.6g}")) in ("1", "2", "25", "5")


@given(positive)
def test_a_logarithmic_scale_holds_all_values(known: list[float]) -> None:
    scale = log(known)
    assert 0 < scale.low < scale.high
    assert all(0 <= scale.at(value) <= 1 for value in known)
    assert 1 <= len(scale.ticks) <= 6
    assert all(significant(tick) in ("1", "2", "3", "5") for tick in scale.ticks)


@given(st.one_of(values.map(linear), positive.map(log)), st.floats(-1e15, 1e15), st.floats(-1e15, 1e15))
def test_a_scale_keeps_the_order_and_never_leaves_its_box(scale: Scale, a: float, b: float) -> None:
    low, high = sorted([a, b])
    assert 0 <= scale.at(low) <= scale.at(high) <= 1


def test_a_scale_of_nothing_and_of_one_value() -> None:
    assert linear([]).at(0.5) == pytest.approx(0.5)
    assert linear([3.0]).at(3.0) == pytest.approx(0.5)
    assert linear([0.0, 0.0]).at(0.0) == pytest.approx(0.5)
    assert 0 < log([5.0]).at(5.0) < 1
    assert log([]).ticks


@pytest.mark.parametrize(
    ("ticks", "labels"),
    [
        ((0.0, 2.5, 5.0), ("0.0", "2.5", "5.0")),
        ((-1.0, 0.0, 1.0), ("\N{MINUS SIGN}1", "0", "1")),
        ((0.25, 0.5, 0.75), ("0.25", "0.50", "0.75")),
        ((1000.0, 2000.0), ("1,000", "2,000")),
        ((2.0,), ("2",)),
    ],
)
def test_tick_labels_have_as_many_digits_as_they_need(
    ticks: tuple[float, ...], labels: tuple[str, ...]
) -> None:
    assert Scale(0.0, 1.0, ticks).tick_labels() == labels


@given(st.lists(st.floats(0, 1), max_size=12), st.floats(0.01, 0.3))
def test_labels_are_apart_in_order_and_inside(places: list[float], gap: float) -> None:
    moved = spread(places, gap)
    gap = min(gap, 1 / max(1, len(places) - 1))
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in moved)
    order = sorted(range(len(places)), key=lambda index: places[index])
    assert all(moved[b] - moved[a] >= gap - 1e-9 for a, b in pairwise(order))


def test_labels_that_do_not_touch_stay_where_they_are() -> None:
    assert spread([0.9, 0.1, 0.5], 0.1) == [0.9, 0.1, 0.5]


def chart(*curves: lines.Line) -> str:
    points = [point for curve in curves for point in curve.points]
    x = linear([x for x, _ in points])
    y = linear([y for _, y in points if y is not None])
    return lines.draw(lines.LineChart("name", "Title", "Text", x, y, (), y.tick_labels(), curves))


finite = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(finite, st.none() | finite), min_size=1, max_size=30))
def test_every_point_of_a_line_lies_in_the_plot(points: list[tuple[float, float | None]]) -> None:
    svg = chart(lines.Line("a", 0, tuple(sorted(points, key=lambda point: point[0])), ("tip",) * len(points)))
    paths = "".join(re.findall(r' d="([^"]*)"', svg))
    places = [int(number) for number in re.findall(r"-?\d+", paths.replace("h0", ""))]
    assert all(0 <= place <= 1000 for place in places)
    circles = [float(number) for number in re.findall(r'c[xy]="(-?[\d.]+)%"', svg)]
    assert all(0 <= place <= 100 for place in circles)
    assert len(circles) == 2 * sum(y is not None for _, y in points)


def test_an_absent_value_breaks_the_line() -> None:
    svg = chart(lines.Line("a", 0, ((0, 1.0), (1, 2.0), (2, None), (3, 1.0), (4, 2.0), (5, None))))
    (path,) = re.findall(r' d="([^"]*)"', svg)
    assert (path.count("M"), path.count("L")) == (2, 2)


def test_a_line_without_values_is_no_error() -> None:
    assert " d=" not in chart(lines.Line("a", 0, ((0, None), (1, None))))


def test_end_labels_stand_for_every_named_line() -> None:
    svg = chart(lines.Line("one", 0, ((0, 1.0), (1, 2.0))), lines.Line("two", 1, ((0, 1.0), (1, 2.0))))
    assert re.findall(r"</title>(one|two)</text>", svg) == ["one", "two"]


@given(st.lists(st.floats(0, 20), min_size=1, max_size=6))
def test_every_mark_of_a_strip_lies_in_it(losses: list[float]) -> None:
    marks = [strip.Mark(loss, index, f"tip {index}") for index, loss in enumerate(losses)]
    svg = strip.strip(marks, linear(losses), "row")
    places = [float(number) for number in re.findall(r'x[12]?="(-?[\d.]+)%"', svg)]
    assert places
    assert all(0 <= place <= 100 for place in places)
    assert svg.count("<title>tip") == len(losses)


def test_marks_of_different_arms_differ_in_colour_and_shape() -> None:
    drawn = [strip.strip([strip.Mark(1.0, number, "t")], linear([1.0]), "row") for number in range(6)]
    shapes = [re.search(r'class="mark (s\d)" d="([^"]*)"', svg) for svg in drawn]
    assert len({shape[1] for shape in shapes if shape}) == len({shape[2] for shape in shapes if shape}) == 6


@settings(max_examples=25)
@given(st.integers(1, heatmap.MOST_SQUARES), st.integers(1, 7))
def test_every_square_of_a_heat_map_lies_in_it(number: int, families: int) -> None:
    families = min(families, number)
    sizes = [number // families + (index < number % families) for index in range(families)]
    rows = [[(i * j) % 7 / 7 - 0.2 for j in range(number)] for i in range(number)]
    labels = [f"l{index}" for index in range(number)]
    groups = [(f"family {index}", size) for index, size in enumerate(sizes)]
    svg = heatmap.draw(
        heatmap.HeatMap("m", "Title", "Text", labels, groups, heatmap.blank_diagonal(rows), 0.8)
    )
    left, top, width, height = map(float, re.findall(r'viewBox="([^"]*)"', svg)[0].split())
    xs, sides = (list(map(float, re.findall(rf'<rect[^>]* {key}="([\d.]+)"', svg))) for key in ("x", "width"))
    ys = [float(y) for y in re.findall(r"translate\(0 ([\d.]+)\)", svg)]
    assert len(xs) == number * number - number
    assert all(x + side <= left + width for x, side in zip(xs, sides, strict=True))
    assert max(ys) + max(sides, default=0) <= top + height
    assert all(0 <= float(shade) <= 1 for shade in re.findall(r'opacity="([\d.]+)"', svg))


@settings(max_examples=5, deadline=None)
@given(st.integers(heatmap.MOST_SQUARES + 1, 70), st.integers(1, 7))
def test_the_paths_of_a_large_heat_map_cover_its_squares_once(number: int, families: int) -> None:
    sizes = [number // families + (index < number % families) for index in range(families)]
    rows = [[(i * j) % 7 / 7 - 0.2 for j in range(number)] for i in range(number)]
    labels, groups = [f"l{index}" for index in range(number)], [(f"f{each}", each) for each in sizes]
    blank = heatmap.blank_diagonal(rows)
    svg = heatmap.draw(heatmap.HeatMap("m", "Title", "Text", labels, groups, blank, 0.8))
    _, _, width, height = map(float, re.findall(r'viewBox="([^"]*)"', svg)[0].split())
    (size,) = {float(each) for each in re.findall(r'stroke-width="([\d.]+)"', svg)}
    drawn = [tuple(map(float, each)) for each in re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)", svg)]
    squares = [(x + size * step, y) for x, y, wide in drawn for step in range(round(wide / size))]
    assert len(squares) == len(set(squares)) == number * number - number
    assert all(0 <= x <= width and 0 <= y <= height for x, y in squares)
    assert "<rect" not in svg
    assert 2 <= svg.count("<path") <= 42  # 20 shades of two colours


def test_a_framed_diagonal_has_a_frame_for_each_row() -> None:
    chart = heatmap.HeatMap(
        "m", "Title", "Text", ["a", "b"], [("", 2)], [[0.1, 0], [0, 0.1]], 0.5, outlined=True
    )
    frame = re.search(r'class="frame" d="([^"]*)"', heatmap.draw(chart))
    assert frame
    assert frame[1].count("M") == 2


def bar_of(found: bar.Bar | None) -> dict[str, str]:
    """The rectangle's attributes."""
    return dict(
        re.findall(r'(\w+)="([^"]*)"', (re.findall(r"<rect[^>]*>", bar.bar(found, SCALE, "row")) or [""])[0])
    )


SCALE = Scale(-1.0, 1.0, (-1.0, 0.0, 1.0))


@given(st.floats(-1, 1))
def test_a_bar_reaches_from_zero_to_its_value(value: float) -> None:
    drawn = bar_of(bar.Bar(value, "tip", value < 0, True))
    start, width = (float(drawn[key].rstrip("%")) for key in ("x", "width"))
    assert start == pytest.approx(min(50, 50 + 50 * value), abs=0.01)
    assert width == pytest.approx(50 * abs(value), abs=0.02)


def test_a_bar_tells_good_from_bad_sure_from_unsure_and_shows_its_interval() -> None:
    assert bar_of(bar.Bar(-0.5, "t", True, True))["class"] == "bar"
    assert bar_of(bar.Bar(0.5, "t", False, False))["class"] == "bar negative unsure"
    assert bar_of(None) == {}
    with_interval = bar.bar(bar.Bar(0.5, "t", False, True, (0.25, 0.75)), SCALE, "row")
    assert with_interval.count('class="whisker"') == 3
    assert 'x1="62.5%" x2="87.5%"' in with_interval


def test_a_heat_map_shows_signs_and_leaves_absent_values_out() -> None:
    rows = [[None, -0.5], [0.5, None]]
    svg = heatmap.draw(heatmap.HeatMap("m", "Title", "Text", ["a", "b"], [("", 2)], rows, 0.5))
    assert svg.count("<rect") == 2
    assert svg.count('class="negative"') == 1
    assert "a, b: \N{MINUS SIGN}0.50" in svg


@given(st.lists(st.integers(), min_size=1, max_size=500), st.integers(2, 200))
def test_thinning_keeps_the_ends_and_the_order(points: list[int], most: int) -> None:
    numbered = list(enumerate(points))
    kept = thin(numbered, most)
    assert len(kept) == min(most, len(points))
    assert (kept[0], kept[-1]) == (numbered[0], numbered[-1])
    assert kept == sorted(set(kept))


@given(st.lists(st.integers(), max_size=500), st.integers(1, 200))
def test_buckets_hold_every_point_once_and_are_even(points: list[int], most: int) -> None:
    found = buckets(points, most)
    assert [point for bucket in found for point in bucket] == points
    assert len(found) == min(most, len(points))
    assert max(map(len, found), default=0) - min(map(len, found), default=0) <= 1


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (fixed(2.104), "2.10"),
        (fixed(-0.456), "\N{MINUS SIGN}0.46"),
        (fixed(-0.001), "0.00"),
        (fixed(None), "\N{EN DASH}"),
        (fixed(float("nan")), "\N{EN DASH}"),
        (signed(0.456), "+0.46"),
        (signed(-0.456), "\N{MINUS SIGN}0.46"),
        (signed(0.0), "0.00"),
        (signed(None), "\N{EN DASH}"),
        (count(1234), "1,234"),
        (count(12.5), "12.5"),
        (count(210_000), "210 k"),
        (count(3_400_000), "3.40 M"),
        (count(999_960), "1.00 M"),
        (count(12_345_678_901), "12.3 G"),
        (count(None), "\N{EN DASH}"),
        (round_count(1_000_000), "1 M"),
        (round_count(2_500_000), "2.5 M"),
        (round_count(200_000), "200 k"),
        (round_count(500), "500"),
        (duration(48), "48 s"),
        (duration(251), "4 min 11 s"),
        (duration(12_000), "3 h 20 min"),
        (duration(None), "\N{EN DASH}"),
        (several(1, "language"), "1 language"),
        (several(1200, "family", "families"), "1,200 families"),
        (several(0, "pair"), "no pairs"),
        (listed(["a"]), "a"),
        (listed(["a", "b", "c"]), "a, b and c"),
        (listed(list("abcdefg")), "a, b, c and 4 more"),
        (listed([]), ""),
    ],
)
def test_figures_are_written_the_same_way_everywhere(written: str, wanted: str) -> None:
    assert written.replace("\N{NO-BREAK SPACE}", " ") == wanted
