"""Tables of interactions: CSV (packed or not) and Parquet, a file or a folder of files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from model_export.errors import DataRefused
from model_export.preparation.columns import Columns, rows_of
from model_export.preparation.csv_blocks import csv_batches
from model_export.preparation.rows import Feed, PassedOver
from services.shared.bundle_files import sha256_of

BATCH_ROWS: Final = 250_000
"""Rows of Parquet that are read at once."""

BYTES_A_ROW: Final = {".csv": 80, ".gz": 25, ".parquet": 16}
"""Roughly, to tell how many rows are to come."""


def table_feed(path: Path, columns: Columns, *, latest: int) -> Feed:
    """The rows of a table; ``latest`` is the moment of reading. Raises DataRefused."""
    paths = table_paths(path)

    def batches(_: PassedOver) -> Iterator[pl.DataFrame]:
        for each in paths:
            for table in table_batches(each):
                yield rows_of(str(each), table, columns).with_columns(latest=pl.lit(latest))

    return Feed(path.name, _sum_of(paths), sum(map(_about_rows, paths)), batches)


def table_paths(path: Path) -> list[Path]:
    """The file, or the files of the folder in the order of their names. Raises DataRefused."""
    found = [path]
    if path.is_dir():
        found = sorted(each for each in path.iterdir() if each.suffix in BYTES_A_ROW)
    if not found or not all(each.is_file() for each in found):
        raise DataRefused(f"{path} is not a file, nor a folder of tables")
    if any(each.suffix not in BYTES_A_ROW for each in found):
        raise DataRefused(f"{path}: the name must end in .csv, .csv.gz or .parquet")
    return found


def table_batches(path: Path) -> Iterator[pl.DataFrame]:
    """The table in pieces; at least one, be it empty. Raises DataRefused."""
    if path.suffix != ".parquet":
        yield from csv_batches(path)
        return
    try:
        lazy = pl.scan_parquet(path, hive_partitioning=False)
        yield lazy.head(0).collect()
        yield from lazy.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataRefused(f"{path} cannot be read: {error}") from error


def _about_rows(path: Path) -> int:
    return path.stat().st_size // BYTES_A_ROW[path.suffix]


def _sum_of(paths: list[Path]) -> str:
    sums = [sha256_of(each) for each in paths]
    return sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()
