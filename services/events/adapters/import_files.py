"""Which files an import is of, and what each is."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from services.events.adapters.csv_file import CsvFile
from services.events.adapters.parquet_file import ParquetFile
from services.events.domain.mapping import FileMapping
from services.events.domain.progress import FileProgress
from services.events.domain.rows import Row
from services.shared.errors import BadInput, BadSetting

KINDS: Final = (".csv", ".parquet")


class RowFile(Protocol):
    """A file of rows."""

    path: Path
    columns: list[str]

    def rows(self, *, after: int, columns: Sequence[str]) -> Iterator[Row]:
        """The rows behind the first ``after``, with cells of ``columns``. Raises BadInput."""
        ...


def found(patterns: Sequence[str]) -> list[Path]:
    """The files that ``patterns`` match, each once, those of a pattern by name.

    Raises BadSetting for a pattern that matches none, and for a file of another kind.
    """
    paths: dict[Path, None] = {}
    for pattern in patterns:
        one = Path(pattern)
        some = [one] if one.is_file() else map(Path, sorted(glob.glob(pattern, recursive=True)))  # noqa: PTH207 - a pattern may be absolute
        matched = [path.resolve() for path in some if path.is_file()]
        if not matched:
            raise BadSetting(f"--files {pattern}: there is no such file")
        paths |= dict.fromkeys(matched)
    for path in paths:
        if path.suffix.lower() not in KINDS:
            raise BadSetting(f"--files {path}: must end in {' or '.join(KINDS)}")
    return list(paths)


def row_file(path: Path, mapping: FileMapping) -> RowFile:
    """The file, to be read as its name says it is. Raises BadInput."""
    if path.suffix.lower() == ".csv":
        return CsvFile(path, delimiter=mapping.csv.delimiter)
    return ParquetFile(path)


def untouched(path: Path) -> FileProgress:
    """What the file is, with nothing of it done. Reads all of it. Raises BadInput."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileProgress(size=path.stat().st_size, sha256=digest)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error
