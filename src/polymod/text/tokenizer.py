"""The tokenizer of a data set: a Unigram model with byte fallback in the layout of XLM-R.

Rows: ``<s>`` 0, ``<pad>`` 1, ``</s>`` 2, ``<unk>`` 3, 256 bytes, pieces by falling score, ``<mask>`` last.
Text is normalised inside (see ``normalise``), divided into words at spaces, and any character without a row
becomes its bytes, so that decoding gives the normalised text back.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from polymod.errors import UserError
from polymod.text.normalise import SPACE_MARK, SPACE_MARK_STAND_IN, WHITESPACE

TOKENIZER = "tokenizer.json"
BOS, PAD, EOS, UNK, MASK = SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
RESERVED = len(SPECIAL_TOKENS) + len(BYTES)  # rows that are no pieces
# Text that spells a special token or a byte must not become one: any other way to write it scores more.
UNUSED_SCORE = -1000.0


@dataclass(frozen=True)
class Vocabulary:
    """Rows and special ids.

    Attributes:
        size: rows, at least one more than the largest id.
        bytes: ids of the byte pieces; empty if the tokenizer has none.
    """

    size: int
    bos_id: int
    pad_id: int
    eos_id: int
    unk_id: int
    mask_id: int
    bytes: tuple[int, ...] = ()

    @property
    def special(self) -> tuple[int, ...]:
        """Ids of the special tokens, which are never predicted."""
        return (self.bos_id, self.pad_id, self.eos_id, self.unk_id, self.mask_id)

    @classmethod
    def of(cls, tokenizer: Tokenizer, size: int | None = None) -> Vocabulary:
        """The vocabulary of a tokenizer, in ``size`` rows.

        Raises:
            UserError: a special token is missing, ids have gaps, or there are more ids than rows.
        """
        ids = tokenizer.get_vocab(with_added_tokens=True)
        absent = [token for token in SPECIAL_TOKENS if token not in ids]
        if absent:
            what = f"the tokenizer has no {', '.join(absent)}"
            raise UserError(what, fix=f"it needs the special tokens {' '.join(SPECIAL_TOKENS)}")
        largest = max(ids.values())
        rows = largest + 1 if size is None else size
        if largest >= rows:
            what = f"the tokenizer has ids up to {largest:,}, which do not fit into {rows:,} rows"
            fix = f"give a smaller tokenizer; prepare also takes --vocab-size {largest + 1}"
            raise UserError(what, fix=fix)
        if len(set(ids.values())) != largest + 1:
            missing = largest + 1 - len(set(ids.values()))
            raise UserError(f"the ids of the tokenizer have gaps: {missing:,} below {largest:,} are not used")
        byte_ids = tuple(ids[byte] for byte in BYTES if byte in ids)
        bos, pad, eos, unk, mask = (ids[token] for token in SPECIAL_TOKENS)
        return cls(rows, bos, pad, eos, unk, mask, byte_ids)


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a file or of the folder that holds one; it never truncates or pads.

    For files that polymod wrote or has checked (``check_tokenizer``): hostile ones can end the process.

    Raises:
        UserError: absent or not a tokenizer.
    """
    file = path / TOKENIZER if path.is_dir() else path
    try:
        tokenizer = Tokenizer.from_str(file.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError("no such tokenizer file", where=str(file)) from None
    except Exception as error:  # the library raises no other class
        raise UserError(f"not a tokenizer: {str(error)[:200]}", where=str(file)) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def build_tokenizer(pieces: Sequence[tuple[str, float]]) -> Tokenizer:
    """A tokenizer from pieces with their log-probabilities; its size is ``len(pieces) + RESERVED``."""
    head = [(token, UNUSED_SCORE) for token in (BOS, PAD, EOS, UNK, *BYTES)]
    rows = [*head, *pieces, (MASK, UNUSED_SCORE)]
    tokenizer = Tokenizer(models.Unigram(rows, unk_id=3, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.NFC(),
            normalizers.Replace(Regex(WHITESPACE), " "),
            normalizers.Strip(),
            normalizers.Replace(SPACE_MARK, SPACE_MARK_STAND_IN),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE_MARK, prepend_scheme="always")
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(SPACE_MARK, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1, right=0),
        ]
    )
    tokenizer.add_special_tokens([BOS, PAD, EOS, UNK, AddedToken(MASK, lstrip=True, special=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A {EOS}",
        pair=f"{BOS} $A {EOS} {EOS} $B {EOS}",
        special_tokens=[(BOS, 0), (EOS, 2)],
    )
    return tokenizer


def encodes_words_alone(tokenizer: Tokenizer) -> bool:
    """Whether the tokens of a normalised text are those of its words, one after the other.

    True of tokenizers that ``build_tokenizer`` made; of others nothing is assumed.
    """
    ours, theirs = (json.loads(each.to_str()) for each in (build_tokenizer([(SPACE_MARK, -1.0)]), tokenizer))
    parts = ("normalizer", "pre_tokenizer")
    same = all(ours[part] == theirs[part] for part in parts)
    return same and theirs["model"]["type"] == "Unigram"
