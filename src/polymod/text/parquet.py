"""The ``text`` column of Parquet files, row by row; needs the extra ``data``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polymod.errors import UserError
from polymod.text.streams import LARGEST_RATIO, RATIO_COUNTS_FROM

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

COLUMN = "text"
ROWS_AT_ONCE = 1024


def check(path: Path) -> bool:
    """Whether the file has rows.

    Raises:
        UserError: pyarrow is missing, the file is no Parquet, has no string column ``text``, or is a bomb.
    """
    with _opened(path) as file:
        return bool(file.metadata.num_rows > 0)


def rows(path: Path, start: int = 0) -> Iterator[Any]:
    """Values of the column from row ``start`` on: strings, or None where there is nothing.

    Raises:
        UserError: as ``check``, or the data are corrupt.
    """
    with _opened(path) as file:
        skipped = 0
        for group in range(file.metadata.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if skipped + count <= start:
                skipped += count
                continue
            try:
                for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=[COLUMN]):
                    yield from batch.column(0)[max(0, start - skipped) :].to_pylist()
                    skipped += len(batch)
            except (OSError, ValueError) as error:
                raise _unreadable(path, error) from None


def _opened(path: Path) -> ParquetFile:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        fix = 'pip install "polymod[data]"'
        raise UserError("reading Parquet needs pyarrow", where=str(path), fix=fix) from None
    try:
        file = pyarrow.parquet.ParquetFile(path, page_checksum_verification=True)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    try:
        field = file.schema_arrow.field(COLUMN)
    except KeyError:
        what = f"no column {COLUMN!r}; the columns are {', '.join(map(repr, file.schema_arrow.names[:20]))}"
        raise UserError(what, where=str(path), fix=f"rename the column with the text to {COLUMN!r}") from None
    if not (pyarrow.types.is_string(field.type) or pyarrow.types.is_large_string(field.type)):
        raise UserError(f"the column {COLUMN!r} holds {field.type}, not strings", where=str(path))
    _refuse_bomb(file, path)
    return file


def _refuse_bomb(file: ParquetFile, path: Path) -> None:
    for group in range(file.metadata.num_row_groups):
        columns = [file.metadata.row_group(group).column(place) for place in range(file.metadata.num_columns)]
        for column in columns:
            before, after = column.total_compressed_size, column.total_uncompressed_size
            if column.path_in_schema == COLUMN and after > max(RATIO_COUNTS_FROM, LARGEST_RATIO * before):
                what = f"{before:,} bytes decompress to {after:,}, a decompression bomb"
                raise UserError(what, where=str(path))


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"not a readable Parquet file: {str(error).splitlines()[0]}", where=str(path))
