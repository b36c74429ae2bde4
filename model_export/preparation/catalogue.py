"""A list of products from a file: CSV, JSON lines or Parquet, a product a row."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from model_export.errors import DataRefused
from model_export.preparation.columns import CATEGORY_SEPARATOR, category_paths
from model_export.preparation.reasons import LISTED_PRICE, LISTED_TWICE, WITHOUT_ID
from model_export.preparation.rows import PRODUCT
from model_export.preparation.tables import table_batches
from services.shared.bundle_files import sha256_of

LINES: Final = (".jsonl", ".ndjson")
VECTOR: Final = "vector"


class Listed(NamedTuple):
    """What a file lists."""

    products: pl.DataFrame
    """With the columns of ``rows.PRODUCT``, each once."""
    vectors: pl.DataFrame | None
    """``item_id`` and ``vector``, where the file has vectors of its own."""
    lost: Counter[str]
    """Names of ``reasons.LOSSES`` → rows or prices."""
    sha256: str
    """Of the file."""


def read_catalogue(path: Path, *, separator: str | None = None) -> Listed:
    """Read ``item_id[,title,description,category,brand,merchant_id,price,vector]``.

    ``category`` is text with separators, or a list. Raises DataRefused with file and column.
    """
    table = _table(path)
    if "item_id" not in table.columns:
        raise DataRefused(f"{path}: column item_id is missing; it has {', '.join(table.columns)}")
    columns = [_column(path, table, name, separator or CATEGORY_SEPARATOR) for name in PRODUCT]
    named = pl.DataFrame(columns).drop_nulls("item_id")
    if named.is_empty():
        raise DataRefused(f"{path}: none of its {len(table)} rows has an item_id")
    products = named.unique("item_id", keep="last", maintain_order=True)
    lost = Counter(
        {
            WITHOUT_ID.name: len(table) - len(named),
            LISTED_TWICE.name: len(named) - len(products),
            LISTED_PRICE.name: _told_prices(table) - len(columns[-1].drop_nulls()),
        }
    )
    return Listed(products, _vectors(path, table, columns[0]), lost, sha256_of(path))


def _vectors(path: Path, table: pl.DataFrame, ids: pl.Series) -> pl.DataFrame | None:
    if VECTOR not in table.columns:
        return None
    kind = table[VECTOR].dtype
    if not isinstance(kind, pl.List | pl.Array) or not kind.inner.is_numeric():
        raise DataRefused(f"{path}: {VECTOR} is {kind}; it must be a list of numbers")
    lists = table[VECTOR].cast(pl.List(pl.Float32))
    vectors = pl.DataFrame({"item_id": ids, VECTOR: lists}).drop_nulls("item_id")
    return vectors.unique("item_id", keep="last", maintain_order=True)


def _told_prices(table: pl.DataFrame) -> int:
    """How many rows say something where a price stands."""
    if "price" not in table.columns:
        return 0
    said = table["price"].cast(pl.String).str.strip_chars()
    return int((said != "").sum())


def _column(path: Path, table: pl.DataFrame, name: str, separator: str) -> pl.Series:
    kind = PRODUCT[name]
    if name not in table.columns:
        return pl.Series(name, [None] * len(table), dtype=kind)
    column = table[name]
    if name == "category":
        return category_paths(str(path), column, separator).alias(name)
    if column.dtype.is_nested():
        raise DataRefused(f"{path}: {name} is {column.dtype}; it must be text or a number")
    if name == "price":
        price = column.cast(pl.Float64, strict=False)
        return price.set((price <= 0) | price.is_nan() | price.is_infinite(), None)
    if name == "item_id" and column.dtype.is_float():
        raise DataRefused(f"{path}: item_id is {column.dtype}; an id must be text or whole")
    text = column.cast(pl.String)
    return text.set(text == "", None)


def _table(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise DataRefused(f"{path} is not a file")
    if path.suffix in LINES:
        try:
            return pl.read_ndjson(path, infer_schema_length=None)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataRefused(f"{path} cannot be read: {error}") from error
    if path.suffix not in (".csv", ".gz", ".parquet"):
        raise DataRefused(f"{path}: the name must end in .csv, .csv.gz, .jsonl or .parquet")
    return pl.concat(table_batches(path))
