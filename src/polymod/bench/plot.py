"""One picture of a suite: a row for each case with its median and spread, as SVG that any browser shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

_LEFT, _WIDTH, _ROW, _TOP = 240, 420, 26, 34  # pixels
_INK, _PALE, _DOT, _TARGET = "#222", "#ccc", "#2b6cb0", "#c05621"


def picture(title: str, cases: Mapping[str, Mapping[str, Any]]) -> str:
    """Cases on one logarithmic axis; a mark in another colour is the target of a case."""
    spreads = {name: case.get("ratio") or case["spread"] for name, case in cases.items()}
    values = [max(each[key], 1e-9) for each in spreads.values() for key in ("min", "max")]
    values += [case["target"] for case in cases.values() if "target" in case]
    low, high = math.log10(min(values)) - 0.05, math.log10(max(values)) + 0.05
    height = _TOP + _ROW * len(cases) + 34
    size = {"width": str(_LEFT + _WIDTH + 110), "height": str(height)}
    svg = ElementTree.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size, "role": "img"})
    ElementTree.SubElement(svg, "rect", {"width": "100%", "height": "100%", "fill": "#fff"})
    _text(svg, 8, 20, title, weight="bold")

    def across(value: float) -> float:
        return _LEFT + _WIDTH * (math.log10(max(value, 1e-9)) - low) / (high - low)

    for tick in _ticks(low, high):
        _line(svg, across(tick), across(tick), (_TOP, height - 28), _PALE)
        _text(svg, across(tick), height - 10, f"{tick:g}", anchor="middle")
    for row, (name, spread) in enumerate(spreads.items()):
        y = _TOP + _ROW * (row + 0.5)
        _text(svg, _LEFT - 10, y + 4, name, anchor="end")
        _line(svg, across(spread["min"]), across(spread["max"]), (y, y), _INK)
        dot = {"cx": f"{across(spread['median']):.1f}", "cy": f"{y:.1f}", "r": "4.5", "fill": _DOT}
        ElementTree.SubElement(svg, "circle", dot)
        if "target" in cases[name]:
            x = across(cases[name]["target"])
            _line(svg, x, x, (y - 9, y + 9), _TARGET)
        _text(svg, _LEFT + _WIDTH + 12, y + 4, f"{spread['median']:.4g}")
    return ElementTree.tostring(svg, encoding="unicode") + "\n"


def _ticks(low: float, high: float) -> list[float]:
    """Powers of ten; where there is at most one, round values between."""
    powers = [10.0**exponent for exponent in range(math.ceil(low), math.floor(high) + 1)]
    if len(powers) > 1:
        return powers
    steps = [round(0.1 * step, 1) for step in range(1, 100)]
    near = [value for value in steps if low <= math.log10(value) <= high]
    return near[:: max(1, len(near) // 6)] or powers


def _line(svg: ElementTree.Element, x1: float, x2: float, ys: tuple[float, float], colour: str) -> None:
    places = {"x1": x1, "x2": x2, "y1": ys[0], "y2": ys[1]}
    drawn = {key: f"{value:.1f}" for key, value in places.items()}
    ElementTree.SubElement(svg, "line", {**drawn, "stroke": colour, "stroke-width": "2"})


def _text(
    svg: ElementTree.Element, x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal"
) -> None:
    style = {"font-family": "sans-serif", "font-size": "12", "text-anchor": anchor, "font-weight": weight}
    ElementTree.SubElement(svg, "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", **style, "fill": _INK}).text = text
