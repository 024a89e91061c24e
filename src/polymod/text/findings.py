"""What is wrong with a corpus, in sentences: each with a level, a language and what to do about it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from polymod.text.records import DAMAGED, NOT_UTF8, TOO_LONG
from polymod.text.scripts import scripts_of

TOLERATED = 10  # bad lines, however short the corpus
WRONG_SCRIPT_WARN, WRONG_SCRIPT_FAIL = 0.2, 0.5  # shares of the letters
DUPLICATES_WARN = 0.2
TOO_LONG_WARN = 0.01
FEW_DOCUMENTS, FEW_CHARACTERS = 1_000, 100_000
FEW_HELD_OUT = 1_000  # tokens
BYTES_WARN, UNKNOWN_WARN = 0.05, 0.01  # shares of the tokens


@dataclass(frozen=True)
class Finding:
    """One sentence about one language; ``language`` is empty where it is about the whole folder."""

    level: Literal["ok", "warn", "fail"]
    language: str
    message: str
    fix: str = ""


def too_many_bad(bad: Mapping[str, int], lines: int, share: float) -> bool:
    """Whether a corpus has more bad lines, by reason, than are tolerated; an archive that ends early is."""
    return DAMAGED in bad or sum(bad.values()) > max(TOLERATED, share * lines)


def remedy(bad: Mapping[str, int], lines: int) -> str:
    """What to do about more bad lines than are tolerated."""
    if DAMAGED in bad:
        return "an archive is damaged, and what comes behind the damage is missing: copy it again"
    mend = "convert the file (iconv -f ENCODING -t UTF-8)" if NOT_UTF8 in bad else "mend the file"
    share = sum(bad.values()) / lines
    scale = 10.0 ** (1 - math.floor(math.log10(share)))  # two digits, rounded up
    return f"{mend}, or accept it with --max-bad {math.ceil(share * scale) / scale:g}"


def listed(reasons: Mapping[str, int]) -> str:
    """Reasons with their counts."""
    return ", ".join(f"{reason}: {count:,}" for reason, count in sorted(reasons.items())) or "empty"


def about_text(tag: str, row: Mapping[str, Any], max_bad: float) -> Iterator[Finding]:
    """Findings about a text corpus, from the row of counts that ``survey`` makes."""
    bad, lines, documents = row["bad"], row["lines"], row["documents"]
    if bad:
        first = row["first_bad"][0]
        place = f"{first['file']}:{first['line']}: {first['reason']}"
        message = (
            f"{sum(bad.values()):,} of {lines:,} lines cannot be read ({listed(bad)}); the first is {place}"
        )
        fails = too_many_bad(bad, lines, max_bad)
        yield Finding(
            "fail" if fails else "warn", tag, message, remedy(bad, lines) if fails else "mend the file"
        )
    if not documents:
        yield Finding("fail", tag, f"no document in {lines:,} lines", "give text or leave the language out")
        return
    if row["duplicates"] > DUPLICATES_WARN * documents:
        share = row["duplicates"] / documents
        yield Finding("warn", tag, f"{share:.0%} of the documents are repetitions", "they will be dropped")
    if (long := row["dropped"].get(TOO_LONG, 0)) > TOO_LONG_WARN * lines:
        fix = "divide them into paragraphs, one per line"
        yield Finding("warn", tag, f"{long:,} documents are too long and will be dropped", fix)
    yield from about_size(tag, documents - row["duplicates"], row["characters"])
    yield from about_scripts(tag, row["scripts"])


def about_data(tag: str, row: Mapping[str, Any]) -> Iterator[Finding]:
    """Findings about one language of a data folder, from its entry with ``overlap`` added."""
    if row["overlap"]:
        message = f"{row['overlap']:,} documents of the valid or meta split are in the train split"
        yield Finding("fail", tag, message, "prepare the data again")
    if not row["tokens"]["train"]:
        yield Finding("fail", tag, "no training tokens", "give more text")
    for split in ("valid", "meta"):
        if row["tokens"][split] < FEW_HELD_OUT:
            message = f"only {row['tokens'][split]:,} tokens in the {split} split: scores will be noisy"
            yield Finding("warn", tag, message, "give more text, or raise --split.small and the shares")
    if row["byte_fallback_rate"] > BYTES_WARN:
        message = f"{row['byte_fallback_rate']:.0%} of the tokens are bytes: the tokenizer lacks characters"
        yield Finding("warn", tag, message, "train a tokenizer with this language, or a larger one")
    if row["unknown_rate"] > UNKNOWN_WARN:
        message = f"{row['unknown_rate']:.1%} of the tokens are unknown"
        yield Finding("warn", tag, message, "use a tokenizer with byte fallback")
    yield from about_size(tag, sum(row["documents"].values()), row["characters"])
    yield from about_scripts(tag, row["scripts"])


def about_size(tag: str, documents: int, characters: int) -> Iterator[Finding]:
    """Whether there is enough text to learn from."""
    if documents < FEW_DOCUMENTS or characters < FEW_CHARACTERS:
        message = f"very little text: {documents:,} documents, {characters:,} characters"
        yield Finding("warn", tag, message, "add text; a module learns little from this")


def about_scripts(tag: str, letters: Mapping[str, int]) -> Iterator[Finding]:
    """Whether the text is written as the language is."""
    expected, total = scripts_of(tag), sum(letters.values())
    if not expected or not total:
        return
    wrong = 1 - sum(letters.get(script, 0) for script in expected) / total
    if wrong > WRONG_SCRIPT_WARN:
        most = max(letters, key=lambda script: letters[script])
        message = f"{wrong:.0%} of the letters are not {' or '.join(expected)}; most are {most}"
        fix = f"is it {tag}? if it is written so, name the file {tag.split('-')[0]}-{most}"
        yield Finding("fail" if wrong > WRONG_SCRIPT_FAIL else "warn", tag, message, fix)
