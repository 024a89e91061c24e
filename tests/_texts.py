"""Small texts with known properties, and slow, obvious twins of what text preparation does."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from polymod.text.inventory import Source
from polymod.text.tokenizer import RESERVED, build_tokenizer

LATIN, CYRILLIC = "aeioukmnprst", "\u0430\u0435\u0438\u043e\u0443\u043a\u043c\u043d\u043f\u0440\u0441\u0442"


def sentences(count: int, seed: int = 0, letters: str = LATIN, words: int = 120) -> list[str]:
    """Distinct sentences of made-up words; ``count`` of them."""
    chance = random.Random(f"{seed} {letters}")
    lexicon = ["".join(chance.choices(letters, k=chance.randint(2, 6))) for _ in range(words)]
    return [" ".join([*chance.choices(lexicon, k=chance.randint(3, 9)), str(n)]) for n in range(count)]


def write_texts(folder: Path, texts: dict[str, Sequence[str]]) -> Path:
    """A text folder with a plain file per language."""
    folder.mkdir(parents=True, exist_ok=True)
    for tag, lines in texts.items():
        (folder / f"{tag}.txt").write_bytes("".join(f"{line}\n" for line in lines).encode())
    return folder


def source_of(path: Path, data: bytes) -> Source:
    """A file with these bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return Source(path, path.name, len(data))


def tiny_tokenizer(words: Sequence[str] = ("\u2581the", "\u2581cat", "ing")):
    """Printable ASCII, the space mark and a few words; everything else becomes bytes."""
    characters = ["\u2581", *map(chr, range(0x21, 0x7F))]
    tokenizer = build_tokenizer([*((word, -2.0) for word in words), *((char, -5.0) for char in characters)])
    assert tokenizer.get_vocab_size() == RESERVED + len(words) + len(characters)
    return tokenizer
