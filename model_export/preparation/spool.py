"""Rows on disk, parted by a number, while they are being read: what makes memory bounded.

Rows wait in memory until there are :data:`HELD` of them, or as many bytes as so many usual rows
have; then the parts that hold most are written, each as one more file of its folder. So the
number of files goes with the number of rows, and not with batches times parts.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Final

import polars as pl

HELD: Final = 1_000_000
"""Rows that wait in memory, of all parts together."""

ROW_BYTES: Final = 256
"""Of a usual row; longer ones wait in smaller numbers."""


class Spool:
    """Folders ``00000``, ``00001``, … of Parquet files; the order within a part is not kept."""

    def __init__(self, folder: Path, *, held: int = HELD) -> None:
        self._folder = folder
        self._limit = held
        self._waiting: defaultdict[int, list[pl.DataFrame]] = defaultdict(list)
        self._rows: defaultdict[int, int] = defaultdict(int)
        self._bytes = 0.0
        self._files = 0

    def add(self, frame: pl.DataFrame, part: pl.Expr) -> None:
        """Take in rows; ``part`` says of each in which it belongs. Raises OSError."""
        self._bytes += frame.estimated_size()
        parted = frame.with_columns(part.cast(pl.Int64).alias("_part"))
        by_part = parted.partition_by("_part", as_dict=True, include_key=False)
        for (number,), rows in by_part.items():
            self._waiting[int(number)].append(rows)
            self._rows[int(number)] += len(rows)
        if not self._is_below(1.0):
            self._write_most()

    def finish(self) -> None:
        """Write all that still waits. Raises OSError."""
        for number in list(self._waiting):
            self._write(number)

    def parts(self) -> list[list[Path]]:
        """The files of each part that has some, in the order of the parts' numbers."""
        folders = sorted(self._folder.glob("*")) if self._folder.is_dir() else []
        return [sorted(folder.glob("*.parquet")) for folder in folders]

    def _is_below(self, share: float) -> bool:
        """Whether less waits than that share of what may."""
        most = share * self._limit
        return sum(self._rows.values()) <= most and self._bytes <= most * ROW_BYTES

    def _write_most(self) -> None:
        """Write the fullest parts, until half of what was held is left."""
        for number in sorted(self._rows, key=lambda each: -self._rows[each]):
            if self._is_below(0.5):
                return
            self._write(number)

    def _write(self, number: int) -> None:
        folder = self._folder / f"{number:05}"
        folder.mkdir(parents=True, exist_ok=True)
        rows = pl.concat(self._waiting.pop(number))
        self._bytes *= 1 - len(rows) / sum(self._rows.values())
        del self._rows[number]
        rows.write_parquet(folder / f"{self._files:08}.parquet", compression="lz4")
        self._files += 1
