"""Reads CSV in blocks of whole rows, so that a file need not fit in memory, packed or not."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import polars as pl

from model_export.errors import DataRefused

BLOCK: Final = 1 << 22
"""Bytes that are read at once."""

ROW_LIMIT: Final = 1 << 27
"""Bytes; a row that is longer is a quote that was never closed."""

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class Readable(Protocol):
    """An open file, packed or not."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


def csv_batches(path: Path, *, block: int = BLOCK) -> Iterator[pl.DataFrame]:
    """The rows, every column as text; at least one batch, be it empty. Raises DataRefused."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.readline().removeprefix(BYTE_ORDER_MARK)
            some = False
            for rows in _blocks(path, file, block):
                some = True
                yield _frame(header.rstrip(b"\r\n") + b"\n" + rows)
            if not some:
                yield _frame(header)
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error) as error:
        raise DataRefused(f"{path} cannot be read: {error}") from error


def _frame(text: bytes) -> pl.DataFrame:
    return pl.read_csv(text, infer_schema=False)


def _blocks(path: Path, file: Readable, size: int) -> Iterator[bytes]:
    """Pieces of the file that end where a row does."""
    left = b""
    while piece := file.read(size):
        left += piece
        end = _end(left)
        if end:
            yield left[:end]
            left = left[end:]
        elif len(left) > ROW_LIMIT:
            raise DataRefused(f"{path}: a row of more than {ROW_LIMIT} bytes; is a quote open?")
    if left:
        yield left


def _end(text: bytes) -> int:
    """Behind the last line end that no quotes enclose; 0 where there is none.

    Quotes within quotes are doubled (RFC 4180), so before a row's end their number is even.
    """
    at = len(text)
    while (at := text.rfind(b"\n", 0, at)) >= 0:
        if text.count(b'"', 0, at) % 2 == 0:
            return at + 1
    return 0
