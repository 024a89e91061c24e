"""Marks of arms: a colour and a shape each, so that neither is needed alone."""

from __future__ import annotations

from markupsafe import Markup

from polymod.report.markup import element, percent

COLOURS = 6  # that page.css defines
_SHAPES = (
    "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",  # circle
    "M-4-4h8v8h-8z",  # square
    "M0-5.6 5.6 0 0 5.6-5.6 0z",  # diamond
    "M0-5.2 5 3.8-5 3.8z",  # triangle
    "M0 5.2-5-3.8 5-3.8z",  # triangle downwards
    "M-1.6-5h3.2v3.4H5v3.2H1.6V5h-3.2V1.6H-5v-3.2h3.4z",  # cross
)


def colour(number: int) -> str:
    """Class of an arm's colour."""
    return f"s{number % COLOURS}"


def mark(number: int) -> Markup:
    """The shape of an arm around the origin."""
    return element("path", class_=f"mark {colour(number)}", d=_SHAPES[number % len(_SHAPES)])


def mark_at(number: int, x: float, tip: str) -> Markup:
    """The shape of an arm at a place (0 to 1) of a strip, with a tooltip."""
    inside = (element("title", tip), mark(number))
    return element("svg", *inside, x=percent(x), y="50%", class_="at")


def reference_at(x: float, tip: str) -> Markup:
    """The upright bar of a reference value at a place of a strip, with a tooltip."""
    bar = element("path", class_="reference", d="M0-7V7")
    return element("svg", element("title", tip), bar, x=percent(x), y="50%", class_="at")


def swatch(number: int | None) -> Markup:
    """A mark by itself, for keys and headings; None is the reference bar."""
    inside = element("path", class_="reference", d="M0-6V6") if number is None else mark(number)
    box = "-7 -7 14 14"
    return element("svg", inside, class_="swatch", width=14, height=14, viewBox=box, aria_hidden="true")
