"""The bytes of a file, plain or compressed, in blocks of bounded size."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Protocol

import zstandard

from polymod.errors import UserError

COMPRESSIONS = (".gz", ".zst")
BLOCK = 2**20
LARGEST_RATIO = 200  # of honest text; bombs reach 1,000 (gzip) and 30,000 (zstd)
RATIO_COUNTS_FROM = 64 * 2**20  # decompressed bytes
# Compressed bytes given to a decoder at once: 2 KiB become 64 MiB at the very worst.
FEED = 2048
LARGEST_WINDOW = 2**27


class Damaged(Exception):
    """The archive ends too early or makes no sense from here on."""


class _Decoder(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


def blocks(path: Path, start: int = 0) -> Iterator[bytes]:
    """The file's bytes from ``start`` on (counted after decompression).

    Raises:
        Damaged: a compressed file is truncated or corrupt; what came before is good.
        UserError: the file cannot be read, or is a decompression bomb.
    """
    try:
        with path.open("rb") as file:
            if path.suffix in COMPRESSIONS:
                yield from _after(start, _gathered(_decompressed(file, path)))
            else:
                file.seek(start)
                while block := file.read(BLOCK):
                    yield block
    except OSError as error:
        fix = "check the path and its permissions"
        raise UserError(f"cannot be read: {error.strerror}", where=str(path), fix=fix) from None


def head(path: Path, size: int = 4096) -> bytes:
    """The first bytes of a file, after decompression.

    Raises:
        UserError: the file cannot be read, or is no archive of the kind that its name says.
    """
    found = b""
    try:
        for block in blocks(path):
            found += block
            if len(found) >= size:
                break
    except Damaged as damage:
        if not found:
            fix = "compress it again, or give it the name of what it is"
            raise UserError(f"not a {path.suffix} file: {damage}", where=str(path), fix=fix) from None
    return found[:size]


def _decompressed(file: IO[bytes], path: Path) -> Iterator[bytes]:
    """Decoded bytes of all members (gzip) or frames (zstd), in pieces as they come."""
    new: Callable[[], _Decoder] = _gzip_decoder if path.suffix == ".gz" else _zstd_decoder
    decoder: _Decoder | None = None
    data, before, after = b"", 0, 0
    while data := data or file.read(FEED):
        before += len(data)
        if decoder is None and path.suffix == ".gz" and not data.strip(b"\0"):
            data = b""  # tapes pad archives with zeros
            continue
        decoder = decoder or new()
        try:
            piece = decoder.decompress(data)
        except (zlib.error, zstandard.ZstdError) as error:
            raise Damaged(f"damaged archive ({str(error).splitlines()[0]})") from None
        data, decoder = (decoder.unused_data, None) if decoder.eof else (b"", decoder)
        before, after = before - len(data), after + len(piece)
        if after > max(RATIO_COUNTS_FROM, LARGEST_RATIO * before):
            what = f"{before:,} bytes decompress to more than {after:,}, a decompression bomb"
            raise UserError(what, where=str(path), fix="decompress it yourself if it is honest text")
        yield piece
    if decoder is not None:
        raise Damaged("truncated archive")


def _gzip_decoder() -> _Decoder:
    return zlib.decompressobj(wbits=31)


def _zstd_decoder() -> _Decoder:
    return zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW).decompressobj()


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Blocks of at least BLOCK bytes, also what came before damage."""
    held: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size >= BLOCK:
                yield b"".join(held)
                held, size = [], 0
    except Damaged:
        yield b"".join(held)
        raise
    if held:
        yield b"".join(held)


def _after(start: int, stream: Iterator[bytes]) -> Iterator[bytes]:
    for block in stream:
        if start < len(block):
            yield block[start:]
        start = max(0, start - len(block))
