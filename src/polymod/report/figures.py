"""How figures are written: fixed decimals, a real minus, large counts with k, M and G, a dash for none."""

from __future__ import annotations

import math
from collections.abc import Sequence

ABSENT = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
_SPACE = "\N{NO-BREAK SPACE}"
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def fixed(value: float | None, digits: int = 2) -> str:
    """``2.10``, ``-0.46`` with a real minus; a dash where there is no finite value."""
    if value is None or not math.isfinite(value):
        return ABSENT
    written = f"{abs(value):,.{digits}f}"
    return f"{MINUS}{written}" if value < 0 and float(written.replace(",", "")) else written


def signed(value: float | None, digits: int = 2) -> str:
    """``+0.46`` or ``-0.46``, with a real minus."""
    written = fixed(value, digits)
    return written if written in (ABSENT, fixed(0.0, digits)) or written[0] == MINUS else f"+{written}"


def count(value: float | None) -> str:
    """``1,234``, ``210 k``, ``3.4 M``: three digits that count, in full below ten thousand."""
    if value is None or not math.isfinite(value):
        return ABSENT
    if abs(value) < 10_000:
        return fixed(value, 0 if float(value).is_integer() else 1)
    size, unit = next((size, unit) for size, unit in _UNITS if abs(value) >= size * 0.9995)
    scaled = value / size
    digits = 0 if abs(scaled) >= 99.95 else 1 if abs(scaled) >= 9.995 else 2
    return f"{fixed(scaled, digits)}{_SPACE}{unit}"


def round_count(value: float) -> str:
    """``50 k``, ``2.5 M``: a round count, for ticks."""
    number, space, unit = count(value).partition(_SPACE)
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number}{space}{unit}"


def duration(seconds: float | None) -> str:
    """``48 s``, ``4 min 11 s``, ``3 h 20 min``."""
    if seconds is None or not math.isfinite(seconds):
        return ABSENT
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{_SPACE}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}{_SPACE}min {rest}{_SPACE}s"
    return f"{minutes // 60:,}{_SPACE}h {minutes % 60}{_SPACE}min"


def several(number: int, noun: str, plural: str = "") -> str:
    """``1 language``, ``12 languages``, ``no languages``."""
    return (
        f"{number:,} {noun}"
        if number == 1
        else f"{number or 'no':{',' if number else ''}} {plural or noun + 's'}"
    )


def listed(words: Sequence[str], most: int = 4) -> str:
    """``a, b and c``; after ``most`` words ``and 7 more``."""
    if len(words) > most:
        return f"{', '.join(words[: most - 1])} and {len(words) - most + 1} more"
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def sentence(clauses: Sequence[str]) -> str:
    """``In a it is so; in b it is not.``: clauses as one sentence."""
    joined = "; ".join(clauses)
    return f"{joined[:1].upper()}{joined[1:]}."


def mean(values: Sequence[float]) -> float | None:
    """Arithmetic mean; None of nothing."""
    return sum(values) / len(values) if values else None


def share(value: float | None) -> str:
    """``31 %``; a dash where it is not known."""
    return ABSENT if value is None or not math.isfinite(value) else f"{fixed(100 * value, 0)}{_SPACE}%"
