"""Rows of a CSV file, one after the other, in bounded memory.

Python's own reader and not polars': a row that is broken becomes a refused row with its number,
where polars ends with the whole file or fills in what is missing.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from services.events.domain.rows import Row
from services.shared.errors import BadInput

LINE_CHARACTERS: Final = 1 << 20
"""Of one line; a longer one is not taken for CSV."""

BUFFER_BYTES: Final = 1 << 20


class CsvFile:
    """A file in UTF-8 with a heading, as RFC 4180 has it but for the delimiter."""

    def __init__(self, path: Path, *, delimiter: str) -> None:
        """Reads the heading. Raises BadInput."""
        self.path = path
        self._delimiter = delimiter
        with self._opened() as (_, reader):
            self.columns = _heading(path, reader)

    def rows(self, *, after: int, columns: Sequence[str]) -> Iterator[Row]:
        """The rows behind the first ``after``; of each cells of ``columns`` that are not empty.

        A refused one has all cells there are. Blank lines count and are passed over. Raises
        BadInput where what follows cannot be CSV.
        """
        with self._opened() as (file, reader):
            _heading(self.path, reader)
            number = 0
            while True:
                number += 1
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    if number > after:
                        yield Row(number, {}, file.buffer.tell(), _said(error, reader.line_num))
                    continue
                if cells and number > after:
                    yield self._row(number, cells, columns, file.buffer.tell())

    def _row(self, number: int, cells: list[str], columns: Sequence[str], read: int) -> Row:
        if len(cells) != len(self.columns):
            fault = f"has {len(cells)} cells; the heading has {len(self.columns)}"
        elif not _is_utf8(cells):
            fault = "is not in UTF-8"
        else:
            told = dict(zip(self.columns, cells, strict=True))
            return Row(number, {name: told[name] for name in columns if told[name]}, read)
        named = dict(zip(self.columns, map(_shown, cells), strict=False))
        return Row(number, named, read, fault)

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        try:
            with self.path.open(
                encoding="utf-8-sig", errors="surrogateescape", newline="", buffering=BUFFER_BYTES
            ) as file:
                lines = _lines(self.path, file)
                yield file, csv.reader(lines, delimiter=self._delimiter, strict=True)
        except OSError as error:
            raise BadInput(f"{self.path} cannot be read: {error.strerror}") from error


def _lines(path: Path, file: IO[str]) -> Iterator[str]:
    while line := file.readline(LINE_CHARACTERS):
        if len(line) == LINE_CHARACTERS:
            raise BadInput(f"{path} has a line of more than {LINE_CHARACTERS:,} characters")
        yield line


def _heading(path: Path, reader: Iterator[list[str]]) -> list[str]:
    try:
        columns: list[str] = next(reader, [])
    except csv.Error as error:
        raise BadInput(f"{path}: the heading is not CSV: {error}") from error
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if not columns or twice or not _is_utf8(columns):
        what = f"has the column {twice[0]!r} twice" if twice else "has no heading in UTF-8"
        raise BadInput(f"{path} {what}; the first line must name the columns")
    return columns


def _is_utf8(cells: Sequence[str]) -> bool:
    text = "".join(cells)
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(cell: str) -> str:
    return cell.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _said(error: csv.Error, line: int) -> str:
    return f"is not CSV up to line {line}: {error}; is a quotation mark left open?"
