"""Language tags: any alias in, one canonical BCP-47 tag out.

A canonical tag is a language, a script where it is not the language's usual one, a dialect variant, and
private-use subtags: ``en``, ``sr-Latn``, ``zh-Hant``, ``ca-valencia``, ``pt-x-br``. Regions are dropped
(``en-US``, ``en_XX`` are ``en``) after they have decided the script (``zh_TW`` is ``zh-Hant``). BCP-47
parsing and CLDR tables come from ``langcodes``; an ISO 639-3 member of a macrolanguage that CLDR treats as
its standard form resolves to it (``swh`` is ``sw``). ``langcodes`` is imported at the first tag, so that
``--help`` need not wait for its tables.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from polymod.errors import UserError

if TYPE_CHECKING:
    from langcodes import Language

NOT_LANGUAGES = frozenset({"und", "mul", "mis", "zxx"})
# Standard members of macrolanguages that CLDR does not list and that FLORES, Glot500 and others use.
STANDARD_MEMBERS = {"uzn": "uz", "pbt": "ps", "fuv": "ff"}
NOT_SCRIPTS = frozenset({"Zinh", "Zyyy", "Zzzz"})  # inherited, common, unknown
ALSO_USUAL = frozenset({("ko", "Hang")})  # kor_Hang of FLORES is Korean as usual, which CLDR calls Kore
LONGEST_TAG = 48  # files and module keys add a prefix and must stay within 64 characters


class LanguageError(UserError):
    """A language code that is unknown, malformed, given twice, or not installed."""


def canonical(code: str, *, where: str = "") -> str:
    """The canonical tag of any alias: ISO 639-1 or -3, ``eng_Latn``, ``en_XX``, ``en-US``, deprecated codes.

    Raises:
        LanguageError: the code is malformed, no language (the message suggests near matches), or too long.
    """
    language = _parse(code)
    if language is None:
        raise LanguageError(f"unknown language {_shown(code)}", where=where, fix=_suggest(code))
    tag = _format(language)
    if len(tag) > LONGEST_TAG:
        what = f"language tag {_shown(tag)} is longer than {LONGEST_TAG} characters"
        raise LanguageError(what, where=where, fix="use a shorter private-use part")
    return tag


def _parse(code: str) -> Language | None:
    from langcodes import Language, standardize_tag
    from langcodes.data_dicts import MACROLANGUAGES
    from langcodes.tag_parser import LanguageTagError

    try:
        language = Language.get(standardize_tag(code))
    except LanguageTagError:
        return None
    if language.extlangs:  # ff-fuc: a member written behind its macrolanguage
        member = language.extlangs[0]
        if MACROLANGUAGES.get(member) != language.language:
            return None
        language = language.update_dict({"language": member, "extlangs": None})
    base = language.language or ""
    known = re.fullmatch(r"[a-z]{2,3}", base) and base not in NOT_LANGUAGES and language.is_valid()
    return language if known else None


def _format(language: Language) -> str:
    from langcodes import Language

    base = language.prefer_macrolanguage().language or ""
    base = STANDARD_MEMBERS.get(base, base)
    usual = Language.make(language=base).maximize().script
    # Territory decides the script (zh-TW is Hant) where none is written, unless CLDR does not know the pair.
    known = Language.make(language=base, territory=language.territory)
    written = None if language.script in NOT_SCRIPTS else language.script
    script = written or known.maximize().script
    unusual = script and script != usual and (base, script) not in ALSO_USUAL
    parts = [
        base,
        *([script] if script and unusual else []),
        *(language.variants or []),
        language.private or "",
    ]
    return "-".join(part for part in parts if part)


def canonical_all(codes: Iterable[str], *, where: str = "") -> tuple[str, ...]:
    """Canonical tags in the order given.

    Raises:
        LanguageError: a code is unknown, or two codes are the same language.
    """
    seen: dict[str, str] = {}
    for code in codes:
        tag = canonical(code, where=where)
        if tag in seen:
            what = f"{_shown(seen[tag])} and {_shown(code)} are both the language {tag!r}"
            fix = f"keep one of them; private-use tags such as {tag}-x-a and {tag}-x-b keep varieties apart"
            raise LanguageError(what, where=where, fix=fix)
        seen[tag] = code
    return tuple(seen)


def resolve(
    code: str,
    installed: Sequence[str],
    *,
    where: str = "",
    place: str = "installed",
    besides: Sequence[str] = (),
) -> str:
    """The installed tag that ``code`` means.

    Args:
        place: what "installed" is called (``"in the data"``).
        besides: words that the option takes beside a language, for the message.

    Raises:
        LanguageError: the code is unknown, or its language is not installed (the message lists them).
    """
    if besides:
        try:
            return resolve(code, installed, where=where, place=place)
        except LanguageError as error:
            fix = f"{', '.join(besides)}, or one language; {error.fix}"
            raise LanguageError(error.what, where=where, fix=fix) from None
    tag = canonical(code, where=where)
    if tag in installed:
        return tag
    base = tag.split("-")[0]
    near = [other for other in installed if other.split("-")[0] == base][:3]
    near = near or difflib.get_close_matches(tag, installed, n=3, cutoff=0.6)
    listed = ", ".join(sorted(installed)[:40]) + (
        f" and {len(installed) - 40} more" if len(installed) > 40 else ""
    )
    fix = (f"spelt like it: {', '.join(near)}; " if near else "") + f"languages {place}: {listed or 'none'}"
    raise LanguageError(f"language {describe(tag)} is not {place}", where=where, fix=fix)


def resolve_all(codes: Iterable[str], installed: Sequence[str], *, where: str = "") -> tuple[str, ...]:
    """The installed tags that codes mean, in the order given, none twice (errors as those of both above)."""
    return tuple(resolve(tag, installed, where=where) for tag in canonical_all(codes, where=where))


def name(tag: str) -> str | None:
    """English name of a tag's language where the table below has one."""
    return _names().get(tag.split("-")[0])


def describe(tag: str) -> str:
    """``'ja' (Japanese)``, for messages."""
    english = name(tag)
    return f"{_shown(tag)} ({english})" if english else _shown(tag)


def _suggest(code: str) -> str:
    """Near matches by country, by English name, by spelling."""
    from langcodes.data_dicts import LIKELY_SUBTAGS

    stem = re.split(r"[^a-z]", code.strip().lower())[0]
    if stem in NOT_LANGUAGES:
        return f"{stem!r} is a special code and names no language; give the language itself"
    names = _names()
    found = [stem] if stem in names else []
    if country := LIKELY_SUBTAGS.get(
        f"und-{stem.upper()}"
    ):  # jp, dk, cz: the country instead of the language
        found.append(country.split("-")[0])
    by_name = {english.lower(): tag for tag, english in names.items()}
    found += [
        by_name[match] for match in difflib.get_close_matches(code.strip().lower(), by_name, n=2, cutoff=0.7)
    ]
    if not found and 2 <= len(stem) <= 3:
        found += difflib.get_close_matches(stem, names, n=3, cutoff=0.5)
    if found:
        return "did you mean " + " or ".join(describe(tag) for tag in dict.fromkeys(found)) + "?"
    return "give a BCP-47 tag or ISO 639 code, such as en, eng, eng_Latn, sr-Latn; private use: qaa to qtz"


def _shown(code: str) -> str:
    """The code as users typed it, control characters escaped, cut to a line."""
    return repr(code if len(code) <= 60 else code[:57] + "...")


def _names() -> dict[str, str]:
    return dict(entry.split("=") for entry in ISO_639_1.replace("\n", " ").strip().split("; "))


# English names of the ISO 639-1 languages (and a few that mean the same file to most people).
ISO_639_1 = """
aa=Afar; ab=Abkhazian; ae=Avestan; af=Afrikaans; ak=Akan; am=Amharic; an=Aragonese; ar=Arabic; as=Assamese;
av=Avaric; ay=Aymara; az=Azerbaijani; ba=Bashkir; be=Belarusian; bg=Bulgarian; bi=Bislama; bm=Bambara;
bn=Bangla; bo=Tibetan; br=Breton; bs=Bosnian; ca=Catalan; ce=Chechen; ch=Chamorro; co=Corsican; cr=Cree;
cs=Czech; cu=Church Slavic; cv=Chuvash; cy=Welsh; da=Danish; de=German; dv=Divehi; dz=Dzongkha; ee=Ewe;
el=Greek; en=English; eo=Esperanto; es=Spanish; et=Estonian; eu=Basque; fa=Persian; ff=Fula; fi=Finnish;
fil=Filipino; fj=Fijian; fo=Faroese; fr=French; fy=West Frisian; ga=Irish; gd=Scottish Gaelic; gl=Galician;
gn=Guarani; gu=Gujarati; gv=Manx; ha=Hausa; he=Hebrew; hi=Hindi; ho=Hiri Motu; hr=Croatian; ht=Haitian Creole;
hu=Hungarian; hy=Armenian; hz=Herero; ia=Interlingua; id=Indonesian; ie=Interlingue; ig=Igbo; ii=Nuosu;
ik=Inupiaq; io=Ido; is=Icelandic; it=Italian; iu=Inuktitut; ja=Japanese; jv=Javanese; ka=Georgian; kg=Kongo;
ki=Kikuyu; kj=Kuanyama; kk=Kazakh; kl=Kalaallisut; km=Khmer; kn=Kannada; ko=Korean; kr=Kanuri; ks=Kashmiri;
ku=Kurdish; kv=Komi; kw=Cornish; ky=Kyrgyz; la=Latin; lb=Luxembourgish; lg=Ganda; li=Limburgish; ln=Lingala;
lo=Lao; lt=Lithuanian; lu=Luba-Katanga; lv=Latvian; mg=Malagasy; mh=Marshallese; mi=Maori; mk=Macedonian;
ml=Malayalam; mn=Mongolian; mr=Marathi; ms=Malay; mt=Maltese; my=Burmese; na=Nauru; nb=Norwegian Bokmål;
nd=North Ndebele; ne=Nepali; ng=Ndonga; nl=Dutch; nn=Norwegian Nynorsk; no=Norwegian; nr=South Ndebele;
nv=Navajo; ny=Nyanja; oc=Occitan; oj=Ojibwa; om=Oromo; or=Odia; os=Ossetic; pa=Punjabi; pi=Pali; pl=Polish;
ps=Pashto; pt=Portuguese; qu=Quechua; rm=Romansh; rn=Rundi; ro=Romanian; ru=Russian; rw=Kinyarwanda;
sa=Sanskrit; sc=Sardinian; sd=Sindhi; se=Northern Sami; sg=Sango; si=Sinhala; sk=Slovak; sl=Slovenian;
sm=Samoan; sn=Shona; so=Somali; sq=Albanian; sr=Serbian; ss=Swati; st=Southern Sotho; su=Sundanese;
sv=Swedish; sw=Swahili; ta=Tamil; te=Telugu; tg=Tajik; th=Thai; ti=Tigrinya; tk=Turkmen; tn=Tswana; to=Tongan;
tr=Turkish; ts=Tsonga; tt=Tatar; ty=Tahitian; ug=Uyghur; uk=Ukrainian; ur=Urdu; uz=Uzbek; ve=Venda;
vi=Vietnamese; vo=Volapük; wa=Walloon; wo=Wolof; xh=Xhosa; yi=Yiddish; yo=Yoruba; yue=Cantonese; za=Zhuang;
zh=Chinese;
zu=Zulu
"""
