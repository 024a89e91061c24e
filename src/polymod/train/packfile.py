"""A language as one file: its pack, its vector, its rows, and the tokenizer where it has its own.

Safetensors with what the file is for in its header. It fits every run with the same trunk: a fingerprint
over the trunk's tensors says so, because a pack does nothing useful in a trunk that it was not trained in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import safetensors
import torch
from pydantic import Field
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from polymod.config import Config
from polymod.errors import UserError
from polymod.files import atomic
from polymod.languages import canonical
from polymod.model.config import Arm, OwnVocabulary
from polymod.model.heads import MaskedLM
from polymod.model.install import add_language
from polymod.model.partition import TRUNK, partition, without_tag
from polymod.text.examine import check_tokenizer
from polymod.text.tokenizer import TOKENIZER

SCHEMA = 1
LARGEST_HEADER = 64 * 2**20  # bytes; a tokenizer of 250,000 pieces takes 20 million
_HEADER, _TOKENIZER = "polymod", "tokenizer"
_FIX = "give a file that polymod languages export wrote"


class Header(Config):
    """What a language file says about itself.

    Attributes:
        trunk: fingerprint of the trunk that the language was trained in.
        tokenizer_sha256: of the tokenizer that its text was cut with.
        origin: where it comes from, as far as its run knew.
    """

    tag: str
    arm: Arm
    trunk: str
    tokenizer_sha256: str
    vocabulary: OwnVocabulary | None = None
    origin: dict[str, Any] = Field(default_factory=dict)


def trunk_fingerprint(model: nn.Module) -> str:
    """SHA-256 over names, types, shapes and bytes of all that languages share."""
    digest = hashlib.sha256()
    tensors = dict(model.named_parameters())
    for name in sorted(partition(tensors)[TRUNK]):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def owned(model: nn.Module, tag: str) -> dict[str, Tensor]:
    """What belongs to a language, under names that do not say which one it is."""
    tensors = dict(model.named_parameters())
    names = partition(tensors).get(tag, [])
    return {without_tag(name, tag): tensors[name] for name in names}


def write_pack(
    path: Path, model: MaskedLM, tag: str, *, tokenizer: bytes, origin: Mapping[str, Any]
) -> Header:
    """Write a language of a model as a file.

    Args:
        tokenizer: the file that the language's text is cut with; kept inside if it is the language's own.

    Raises:
        UserError: nothing belongs to the language.
    """
    config = model.config
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in owned(model, tag).items()}
    if not tensors:
        what = f"nothing belongs to {tag!r}: in the {config.arm} arm its parameters are everybody's"
        raise UserError(what, fix="export the whole run")
    vocabulary = config.own_vocabularies.get(tag)
    header = Header(
        tag=tag,
        arm=config.arm,
        trunk=trunk_fingerprint(model),
        tokenizer_sha256=hashlib.sha256(tokenizer).hexdigest(),
        vocabulary=vocabulary,
        origin=dict(origin),
    )
    metadata = {_HEADER: json.dumps({"schema": SCHEMA, **header.model_dump(mode="json")})}
    if vocabulary is not None:
        metadata[_TOKENIZER] = tokenizer.decode()
    with atomic(path) as file:
        file.write(save(tensors, metadata))
    return header


class PackFile:
    """A language file that is opened and checked, but not yet for a model."""

    def __init__(self, path: Path, file: Any, header: Header, tokenizer: bytes | None) -> None:
        self.path, self.header, self.tokenizer = path, header, tokenizer
        self._file = file

    def install(self, model: MaskedLM, *, tag: str, tokenizer_sha256: str) -> None:
        """Add the language to a model.

        Args:
            tokenizer_sha256: of the run's tokenizer, which a language without one of its own needs.

        Raises:
            UserError: another trunk or tokenizer, other sizes, values that are no numbers.
        """
        header, where = self.header, str(self.path)
        if header.arm != model.config.arm or header.trunk != trunk_fingerprint(model):
            fix = "import it into the run that it was exported from, or one extended from that"
            what = "the language was trained in another trunk, in which its pack would do nothing useful"
            raise UserError(what, where=where, fix=fix)
        if self.tokenizer is None and header.tokenizer_sha256 != tokenizer_sha256:
            what = "the language was trained with another tokenizer than the run has"
            raise UserError(what, where=where, fix="import it into a run with the same tokenizer.json")
        add_language(model, tag, seed=0, vocabulary=header.vocabulary)
        places = owned(model, tag)
        self._check(places)
        with torch.no_grad():
            for name, place in places.items():
                tensor = self._file.get_tensor(name)
                if not torch.isfinite(tensor).all():
                    raise UserError(f"{name} holds values that are no numbers", where=where)
                place.copy_(tensor)

    def _check(self, places: Mapping[str, Tensor]) -> None:
        names = set(self._file.keys())
        if names != set(places):
            differing = sorted(names ^ set(places))[0]
            raise UserError(f"not the tensors of a language here: {differing}", where=str(self.path))
        for name, place in places.items():
            shape = tuple(self._file.get_slice(name).get_shape())
            if shape != tuple(place.shape):
                what = f"{name} has shape {shape}, not {tuple(place.shape)}"
                raise UserError(what, where=str(self.path))


@contextmanager
def opened_pack(path: Path) -> Iterator[PackFile]:
    """Open a language file and check what it says; tensors are read when it is installed.

    Raises:
        UserError: not such a file, damaged, of another version, or with a harmful tokenizer.
    """
    _check_size(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            header = _header(metadata, path)
            tokenizer = metadata[_TOKENIZER].encode() if header.vocabulary else None
            if tokenizer is not None:
                _check_tokenizer(tokenizer, header, path)
            yield PackFile(path, file, header, tokenizer)
    except safetensors.SafetensorError as error:
        raise UserError(f"not a safetensors file: {error}", where=str(path), fix=_FIX) from None


def _check_size(path: Path) -> None:
    """A header longer than the file, or than any tokenizer, is refused before anything is read."""
    if not path.is_file():
        raise UserError("no such file", where=str(path), fix=_FIX)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if not 0 < length <= min(LARGEST_HEADER, path.stat().st_size - 8):
        what = "not a safetensors file: the size of its header is wrong"
        raise UserError(what, where=str(path), fix=_FIX)


def _header(metadata: Mapping[str, str], path: Path) -> Header:
    header = None
    try:
        document = dict(json.loads(metadata[_HEADER]))
        if (schema := document.pop("schema")) == SCHEMA:
            header = Header.model_validate(document)
    except (KeyError, TypeError, ValueError, RecursionError):  # pydantic's errors are ValueErrors
        raise UserError("not a language file of polymod", where=str(path), fix=_FIX) from None
    if header is None:
        what = f"language file of schema {schema!r}; this version reads {SCHEMA}"
        raise UserError(what, where=str(path), fix="use the version of polymod that wrote it")
    canonical(header.tag, where=str(path))
    if header.vocabulary is not None and _TOKENIZER not in metadata:
        raise UserError("the language's own tokenizer is missing", where=str(path), fix=_FIX)
    return header


def _check_tokenizer(data: bytes, header: Header, path: Path) -> None:
    """The language's own tokenizer is what it was, does no harm, and has the ids that the header says."""
    assert header.vocabulary is not None
    if hashlib.sha256(data).hexdigest() != header.tokenizer_sha256:
        raise UserError("the tokenizer inside is not the one that it was written with", where=str(path))
    with TemporaryDirectory() as folder:
        place = Path(folder) / TOKENIZER
        place.write_bytes(data)
        _, found = check_tokenizer(place, header.vocabulary.size)
    ids = ("bos_id", "pad_id", "eos_id", "mask_id")
    if any(getattr(found, name) != getattr(header.vocabulary, name) for name in ids):
        raise UserError("special tokens of the tokenizer have other ids than the file says", where=str(path))
