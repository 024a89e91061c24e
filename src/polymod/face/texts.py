"""What users hand over, checked: texts, one language for all of them or one for each, any alias."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from polymod.errors import UserError
from polymod.languages import LanguageError, resolve

AUTO = "auto"
Identify = Callable[[Sequence[str]], Sequence[str]]


def texts_of(texts: Any) -> tuple[list[str], bool]:
    """The texts as a list, and whether a single one was given.

    Raises:
        UserError: something is no text.
    """
    if isinstance(texts, str):
        check(texts, "the text")
        return [texts], True
    if isinstance(texts, bytes) or not isinstance(texts, Iterable):
        raise UserError(f"texts is a {type(texts).__name__}", fix="give a string or a list of strings")
    listed = list(texts)
    for index, text in enumerate(listed):
        if not isinstance(text, str):
            raise UserError(f"text {index} is {_shown(text)}, not a string", fix="give strings only")
        check(text, f"text {index}")
    return listed, False


def check(text: str, what: str) -> None:
    """Refuse half a surrogate pair, which is no character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        fix = "decode the text as what it is, or with errors='replace'"
        raise UserError(f"{what} holds half a surrogate pair", fix=fix) from None


def tags_of(
    texts: Sequence[str],
    language: str | None,
    languages: Sequence[str] | None,
    installed: Sequence[str],
    identify: Identify | None,
) -> list[str]:
    """The installed language of every text.

    Args:
        language: one for all texts; ``auto`` asks ``identify``.
        languages: one for each text.

    Raises:
        LanguageError: a code is unknown or its language not installed.
        UserError: no language, or languages that do not fit the texts.
    """
    if language is not None and languages is not None:
        raise UserError("language and languages are both given", fix="give one of them")
    if language == AUTO or (isinstance(languages, str) and languages == AUTO):
        codes, where = _identified(texts, identify), "identify"
    elif language is not None:
        return [_resolved(language, installed, "language")] * len(texts)
    elif languages is None:
        listed = ", ".join(sorted(installed)[:40]) + (" ..." if len(installed) > 40 else "")
        fix = f"give language= (for all) or languages= (one for each text); installed: {listed}"
        raise LanguageError("no language is given, and none is assumed", fix=fix)
    else:
        codes, where = _one_each(languages, len(texts)), "languages"
    known: dict[str, str] = {}
    for index, code in enumerate(codes):
        if not isinstance(code, str) or code not in known:
            known[code] = _resolved(code, installed, f"{where}[{index}]")
    return [known[code] for code in codes]


def _one_each(languages: Sequence[str], count: int) -> list[str]:
    if isinstance(languages, str):
        fix = f"give language={languages!r} for all texts, or a list with one language for each"
        raise UserError(f"languages is the string {languages!r}", fix=fix)
    codes = list(languages)
    if len(codes) != count:
        raise UserError(f"{count:,} texts and {len(codes):,} languages", fix="give a language for each text")
    return codes


def _identified(texts: Sequence[str], identify: Identify | None) -> list[str]:
    if identify is None:
        what = "no language identifier was given; polymod has none of its own"
        fix = (
            "polymod.load(where, identify=function), which takes a list of texts and returns a code for each"
        )
        raise UserError(what, where=f"language={AUTO!r}", fix=fix)
    codes = list(identify(texts)) if texts else []
    if len(codes) != len(texts):
        raise UserError(f"{len(texts):,} texts and {len(codes):,} codes", where="identify")
    return codes


def _resolved(code: Any, installed: Sequence[str], where: str) -> str:
    if not isinstance(code, str):
        raise UserError(f"{_shown(code)} is no language code", where=where, fix="give texts such as 'en'")
    return resolve(code, installed, where=where)


def _shown(value: object) -> str:
    return f"{str(value)[:40]!r} ({type(value).__name__})"
