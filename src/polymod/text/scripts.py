"""In which scripts a text is written (ISO 15924), counted by letters."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable

import langcodes
import numpy as np
from langcodes.data_dicts import LIKELY_SUBTAGS
from numpy.typing import NDArray

OTHER = "Zzzz"
# Scripts that are written with several; a language's own script may be one of these.
COMPOUND = {
    "Jpan": ("Hani", "Hira", "Kana"),
    "Kore": ("Hang", "Hani"),
    "Hans": ("Hani",),
    "Hant": ("Hani",),
    "Hanb": ("Hani", "Bopo"),
    "Hrkt": ("Hira", "Kana"),
}
# Where CLDR's likely script is not what today's texts are in.
USUAL = {"grc": "Grek"}
# How the Unicode names of a script's letters begin.
NAMES = """
Adlm=ADLAM; Aghb=CAUCASIAN ALBANIAN; Arab=ARABIC; Armn=ARMENIAN; Bali=BALINESE; Bamu=BAMUM; Bass=BASSA VAH;
Batk=BATAK; Beng=BENGALI; Bopo=BOPOMOFO; Bugi=BUGINESE; Buhd=BUHID; Cakm=CHAKMA; Cans=CANADIAN SYLLABICS;
Cham=CHAM; Cher=CHEROKEE; Copt=COPTIC; Cyrl=CYRILLIC; Deva=DEVANAGARI; Diak=DIVES AKURU; Dogr=DOGRA;
Dsrt=DESERET; Ethi=ETHIOPIC; Geor=GEORGIAN; Glag=GLAGOLITIC; Gong=GUNJALA GONDI; Gonm=MASARAM GONDI;
Goth=GOTHIC; Gran=GRANTHA; Grek=GREEK; Gujr=GUJARATI; Guru=GURMUKHI; Hang=HANGUL; Hani=CJK UNIFIED;
Hani=CJK COMPATIBILITY; Hani=IDEOGRAPHIC; Hano=HANUNOO; Hebr=HEBREW; Hira=HIRAGANA; Hira=HENTAIGANA;
Hmng=PAHAWH HMONG; Hmnp=NYIAKENG PUACHUE HMONG; Hung=OLD HUNGARIAN; Java=JAVANESE; Kali=KAYAH LI;
Kana=KATAKANA; Khmr=KHMER; Khoj=KHOJKI; Knda=KANNADA; Kthi=KAITHI; Lana=TAI THAM; Laoo=LAO; Latn=LATIN;
Latn=FEMININE; Latn=MASCULINE; Lepc=LEPCHA; Limb=LIMBU; Lisu=LISU; Maka=MAKASAR; Mand=MANDAIC;
Medf=MEDEFAIDRIN;
Mend=MENDE KIKAKUI; Mlym=MALAYALAM; Modi=MODI; Mong=MONGOLIAN; Mroo=MRO; Mtei=MEETEI MAYEK; Mymr=MYANMAR;
Nand=NANDINAGARI; Newa=NEWA; Nkoo=NKO; Nshu=NUSHU; Ogam=OGHAM; Olck=OL CHIKI; Orya=ORIYA; Osge=OSAGE;
Osma=OSMANYA; Ougr=OLD UYGHUR; Pauc=PAU CIN HAU; Phag=PHAGS-PA; Plrd=MIAO; Rjng=REJANG; Rohg=HANIFI ROHINGYA;
Runr=RUNIC; Samr=SAMARITAN; Saur=SAURASHTRA; Shaw=SHAVIAN; Shrd=SHARADA; Sind=KHUDAWADI; Sinh=SINHALA;
Sora=SORA SOMPENG; Sund=SUNDANESE; Sylo=SYLOTI NAGRI; Syrc=SYRIAC; Tagb=TAGBANWA; Takr=TAKRI; Tale=TAI LE;
Talu=NEW TAI LUE; Taml=TAMIL; Tavt=TAI VIET; Telu=TELUGU; Tfng=TIFINAGH; Tglg=TAGALOG; Thaa=THAANA; Thai=THAI;
Tibt=TIBETAN; Tirh=TIRHUTA; Tnsa=TANGSA; Toto=TOTO; Vaii=VAI; Vith=VITHKUQI; Wara=WARANG CITI; Wcho=WANCHO;
Xsux=CUNEIFORM; Yezi=YEZIDI; Yiii=YI
"""


class Characters:
    """How often each character occurs."""

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(0, dtype=np.int64)  # by code point

    def add(self, texts: Iterable[str]) -> None:
        """Count the characters of texts."""
        points = np.frombuffer("".join(texts).encode("utf-32-le"), dtype="<u4").astype(np.int64)
        counts = np.bincount(points, minlength=len(self._counts))
        counts[: len(self._counts)] += self._counts
        self._counts = counts

    def items(self) -> list[tuple[str, int]]:
        """Characters and their counts, by code point."""
        points = np.flatnonzero(self._counts)
        return [(chr(point), int(self._counts[point])) for point in points]

    def scripts(self) -> Counter[str]:
        """Letters by script; characters that belong to no script in particular are left out."""
        prefixes = _prefixes()
        found: Counter[str] = Counter()
        for character, count in self.items():
            if script := _script_of(character, prefixes):
                found[script] += count
        return found


def scripts_of(tag: str) -> tuple[str, ...]:
    """Scripts in which a language is usually written; none if nobody knows (private use, rare languages)."""
    language = langcodes.Language.get(tag)
    base = language.language or ""
    script = language.script or USUAL.get(base)
    if not script and base in LIKELY_SUBTAGS:
        script = language.maximize().script
    return COMPOUND.get(script, (script,)) if script else ()


def _script_of(character: str, prefixes: dict[str, str]) -> str | None:
    """Script of a letter; None for what is no letter or belongs to every script."""
    if not unicodedata.category(character).startswith("L"):
        return None
    words = unicodedata.name(character, "").replace("HALFWIDTH ", "").replace("FULLWIDTH ", "").split(" ")
    for length in (1, 2, 3):
        if script := prefixes.get(" ".join(words[:length])):
            return script
    common = words[0] in {"", "MODIFIER", "MATHEMATICAL", "DOUBLE-STRUCK", "SCRIPT", "BLACK-LETTER"}
    return None if common else OTHER


def _prefixes() -> dict[str, str]:
    pairs = (entry.split("=") for entry in NAMES.replace("\n", " ").strip().split("; "))
    return {name: script for script, name in pairs}
