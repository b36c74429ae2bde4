"""The demographic groups of users from a file: CSV or Parquet, a user a row."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from model_export.errors import DataRefused
from model_export.preparation.columns import as_text
from model_export.preparation.rows import GROUP
from model_export.preparation.tables import table_batches, table_paths


def read_groups(path: Path) -> pl.DataFrame:
    """Read ``user_id,group`` as ``rows.GROUP``, each user once; other columns are ignored.

    A user without a group is of none. Raises DataRefused where a column or a user's id is
    missing, where nobody has a group, and where a user has two.
    """
    tables = [table for each in table_paths(path) for table in table_batches(each)]
    table = pl.concat([_named(path, each) for each in tables])
    if nameless := table["user_id"].null_count():
        raise DataRefused(f"{path}: {nameless} of its {len(table)} rows have no user_id")
    told = table.drop_nulls("group").unique(maintain_order=True)
    if told.is_empty():
        raise DataRefused(f"{path}: none of its {len(table)} rows has a group")
    _refuse_two(path, told)
    return told


def _named(path: Path, table: pl.DataFrame) -> pl.DataFrame:
    if missing := [name for name in GROUP if name not in table.columns]:
        raise DataRefused(
            f"{path}: column {', '.join(missing)} is missing; it has {', '.join(table.columns)}"
        )
    return pl.DataFrame([as_text(str(path), table[name]) for name in GROUP])


def _refuse_two(path: Path, told: pl.DataFrame) -> None:
    """Whose group would be decided by the order of rows has none that can be relied on."""
    twice = told.group_by("user_id", maintain_order=True).agg("group")
    twice = twice.filter(pl.col("group").list.len() > 1)
    if len(twice):
        user, groups = twice.row(0)
        raise DataRefused(
            f"{path}: {len(twice)} users have more than one group, such as {user!r} with "
            f"{' and '.join(map(repr, groups[:2]))}; give each user one"
        )
