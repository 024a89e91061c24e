"""Markup from data: texts and attributes are escaped, and no character hides or turns the reading order."""

from __future__ import annotations

from markupsafe import Markup, escape

from polymod.errors import printable

LONGEST_TEXT = 2000  # characters of one text; a page is no place for more
_AS_THEY_ARE = "\n\N{NO-BREAK SPACE}"  # of those that Python calls not printable


def visible(text: str, most: int = LONGEST_TEXT) -> str:
    """Text with its hidden characters made visible, cut to ``most`` of them."""
    if len(text) > most:
        text = f"{text[:most]}… ({len(text) - most:,} more characters)"
    return printable(text, keep=_AS_THEY_ARE)


def short(text: str, most: int) -> str:
    """Text cut to ``most`` characters for a label; what is cut belongs into a tooltip."""
    shown = visible(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def element(name: str, /, *children: str | Markup, **attributes: str | float | None) -> Markup:
    """An HTML or SVG element.

    Args:
        name: of the element; never from data.
        children: escaped unless they are ``Markup``.
        attributes: ``class_`` is ``class``, ``stroke_width`` is ``stroke-width``; None is left out. Values
            are escaped, names are never from data.
    """
    given = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    inside = "".join(f' {key}="{safe(_written(value))}"' for key, value in given if value is not None)
    body = "".join(map(safe, children))
    return Markup(f"<{name}{inside}>{body}</{name}>")  # the parts have been escaped


def group(*children: Markup) -> Markup:
    """Elements one after the other."""
    return Markup("").join(children)


def safe(text: str) -> Markup:
    """Text made visible and escaped; ``Markup`` as it is."""
    return text if isinstance(text, Markup) else escape(visible(text))


def percent(fraction: float) -> str:
    """``12.5%``, as SVG takes coordinates relative to the plot."""
    return f"{100 * fraction:.2f}".rstrip("0").rstrip(".") + "%"


def _written(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
