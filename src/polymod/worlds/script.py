"""Spelling: phonemes to letters of one script, one to one, so that a spelling can be read back.

No script has capitals here, as Georgian or Devanagari have none. All letters are NFC-stable.
"""

# ruff: noqa: RUF001 - letters that look like Latin ones are meant

from __future__ import annotations

from polymod.worlds.phonology import CONSONANTS, PHONEMES, VOWELS

#                a e i o u O Y p b t d k g f v w s z S Z C h m n N l r j
_ALPHABETS = {
    "Latn": "a e i o u ö ü p b t d k g f v w s z š ž č h m n ñ l r j",
    "Cyrl": "а э и о у ө ү п б т д к г ф в ў с з ш ж ч х м н ң л р й",
    "Grek": "α ε ι ο υ ω η π β τ δ κ γ φ ϝ ϟ σ ζ ϸ ψ ξ χ μ ν θ λ ρ ϳ",
    "Geor": "ა ე ი ო უ ჵ ყ პ ბ ტ დ კ გ ფ ვ ჳ ს ზ შ ჟ ჩ ჰ მ ნ ღ ლ რ ჲ",
    "Armn": "ա ե ի ո ւ օ ը պ բ տ դ կ գ ֆ վ ռ ս զ շ ժ չ հ մ ն ղ լ ր յ",
    "Arab": "ا ە ى و ۇ ۆ ۈ پ ب ت د ک گ ف ۋ ڤ س ز ش ژ چ ھ م ن ڭ ل ر ي",
    "Deva": "अ ए इ ओ उ औ ऊ प ब त द क ग फ व भ स ज श झ च ह म न ङ ल र य",
}
_DEVANAGARI_SIGNS = ("", "\u0947", "\u093f", "\u094b", "\u0941", "\u094c", "\u0942")  # of the vowels
_VIRAMA = "\u094d"
ALPHABETS = {
    script: dict(zip(PHONEMES, letters.split(), strict=True)) for script, letters in _ALPHABETS.items()
}
SCRIPTS = tuple(ALPHABETS)
# Scripts of the first families, whatever the seed; further ones begin again.
OF_FAMILIES = ("Latn", "Cyrl", "Latn", "Deva", "Cyrl", "Grek", "Latn", "Arab", "Geor", "Armn")


def area(family: int) -> str:
    """The script of a family's proto-language; families with one script are neighbours that borrow words."""
    return OF_FAMILIES[family % len(OF_FAMILIES)]


def spell(word: str, script: str) -> str:
    """A word of phonemes in letters of ``script``, NFC."""
    alphabet = ALPHABETS[script]
    if script == "Deva":
        return _spell_syllables(word, alphabet)
    return "".join([alphabet[phoneme] for phoneme in word])


def _spell_syllables(word: str, alphabet: dict[str, str]) -> str:
    """Consonants carry an unwritten ``a``; other vowels are signs; a virama says that none follows."""
    signs = dict(zip(VOWELS, _DEVANAGARI_SIGNS, strict=True))
    spelt, open_consonant = [], False
    for phoneme in word:
        if phoneme in CONSONANTS:
            spelt += [_VIRAMA] * open_consonant + [alphabet[phoneme]]
            open_consonant = True
        else:
            spelt.append(signs[phoneme] if open_consonant else alphabet[phoneme])
            open_consonant = False
    return "".join([*spelt, _VIRAMA] if open_consonant else spelt)
