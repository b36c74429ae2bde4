"""From the columns of somebody's table to rows: ids as text, moments, actions, prices."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

import polars as pl

from model_export.errors import DataRefused
from model_export.preparation.rows import ACTION_NAMES, CANCEL, WHOLE_ORDER
from services.shared.model_input import PURCHASE, SEARCH
from services.shared.search_text import normalised

REQUIRED: Final = ("user_id", "item_id", "timestamp")
OPTIONAL: Final = (
    "event_type",
    "query",
    "price",
    "quantity",
    "order_id",
    "session_id",
    "event_id",
    "title",
    "description",
    "category",
    "brand",
    "merchant_id",
)
TIME_UNITS: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}
ISO_DATE: Final = r"^\d{4}-\d{2}-\d{2}"
"""01/02/2026 is in January for some and in February for others."""

WHOLE_NUMBER: Final = r"^[+-]?\d{1,18}$"
CATEGORY_SEPARATOR: Final = ">"

REES46: Final[Mapping[str, str]] = {
    "user_id": "user_id",
    "item_id": "product_id",
    "timestamp": "event_time",
    "session_id": "user_session",
    "category": "category_code",
}
"""Our name → that of the open data sets of REES46; the others are called as here."""


class Columns(NamedTuple):
    """How a table is to be read."""

    names: Mapping[str, str]
    """Our name → the table's; what is not named has our name."""
    time_unit: str
    category_separator: str = CATEGORY_SEPARATOR
    needed: Collection[str] = REQUIRED
    """Of our names; a table without one of these is refused."""


def columns_told(told: str | None, time_unit: str, separator: str | None) -> Columns:
    """From ``rees46`` or ``item_id=product,timestamp=when``. Raises DataRefused."""
    if told == "rees46":
        return Columns(REES46, time_unit, separator or ".")
    pairs = [pair.partition("=") for pair in (told or "").split(",") if pair]
    for ours, _, theirs in pairs:
        if ours not in REQUIRED + OPTIONAL or not theirs:
            raise DataRefused(
                f"--columns: {ours!r} is no column of ours, or has no name; write "
                f"item_id=product,timestamp=when, of {', '.join(REQUIRED + OPTIONAL)}"
            )
    names = {ours: theirs for ours, _, theirs in pairs}
    return Columns(names, time_unit, separator or CATEGORY_SEPARATOR, {*REQUIRED, *names})


def rows_of(where: str, table: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """The rows of a batch of ``where``, as :class:`Feed` has them. Raises DataRefused."""
    given = _renamed(where, table, columns)
    action = _actions(where, given)
    made = {
        "user_id": as_text(where, given["user_id"]),
        "thing": _things(where, given, action),
        "at": _microseconds(where, given["timestamp"], columns.time_unit),
        "action": action,
    }
    for name in ("event_id", "session_id", "order_id", "title", "description", "brand"):
        if name in given.columns:
            made[name] = as_text(where, given[name])
    if "merchant_id" in given.columns:
        made["merchant_id"] = as_text(where, given["merchant_id"])
    for name, kind in (("quantity", pl.Int64), ("price", pl.Float64)):
        if name in given.columns:
            made[name] = _number(where, given[name], kind)
    if "category" in given.columns:
        made["category"] = category_paths(where, given["category"], columns.category_separator)
    return pl.DataFrame(made)


def category_paths(where: str, column: pl.Series, separator: str) -> pl.Series:
    """Paths from the widest category to the narrowest: of lists, or of text with separators."""
    if isinstance(column.dtype, pl.List) and column.dtype.inner == pl.String:
        return column
    parts = as_text(where, column).str.split(separator)
    stripped = parts.list.eval(pl.element().str.strip_chars())
    return stripped.list.eval(pl.element().filter(pl.element() != ""))


def _renamed(where: str, table: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """The columns that are ours, under our names."""
    found = {
        columns.names.get(name, name): name
        for name in REQUIRED + OPTIONAL
        if columns.names.get(name, name) in table.columns
    }
    missing = [name for name in columns.needed if columns.names.get(name, name) not in found]
    if missing:
        named = sorted(columns.names.get(name, name) for name in missing)
        raise DataRefused(
            f"{where}: column {', '.join(named)} is missing; it has {', '.join(table.columns)}"
        )
    return table.select(pl.col(theirs).alias(ours) for theirs, ours in found.items())


def as_text(where: str, column: pl.Series) -> pl.Series:
    """Ids and words as text; "" is none. Raises DataRefused for what is neither text nor number."""
    kind = column.dtype
    if kind.is_float():
        whole = column.cast(pl.Int64, strict=False)
        if not (whole.cast(pl.Float64) == column).fill_null(value=True).all():
            raise DataRefused(f"{where}: {column.name} has numbers that are not whole, as an id")
        column = whole
    elif not (kind.is_integer() or kind in (pl.String, pl.Categorical, pl.Enum, pl.Null)):
        raise DataRefused(f"{where}: {column.name} is {kind}; an id must be text or a whole number")
    text = column.cast(pl.String)
    return text.set(text == "", None)


def _number(where: str, column: pl.Series, kind: type[pl.DataType]) -> pl.Series:
    if column.dtype.is_nested():
        raise DataRefused(f"{where}: {column.name} is {column.dtype}; it must be a number")
    text = column.set(column == "", None) if column.dtype == pl.String else column
    found = text.cast(pl.Float64, strict=False)
    if bad := int((found.is_null() & text.is_not_null()).sum()):
        raise DataRefused(f"{where}: {bad} of {len(column)} values of {column.name} are no numbers")
    return found.cast(kind, strict=False)


def _things(where: str, given: pl.DataFrame, action: pl.Series) -> pl.Series:
    """What each row is about: a product, words, or (of a cancellation) perhaps a whole order."""
    items = as_text(where, given["item_id"])
    if "query" in given.columns:
        words = as_text(where, given["query"])
        distinct = words.unique().drop_nulls()
        known = {query: normalised(query) or None for query in distinct}
        said = words.replace_strict(known, default=None, return_dtype=pl.String)
    else:
        said = pl.repeat(None, len(given), dtype=pl.String, eager=True)
    has_order = (
        as_text(where, given["order_id"]).is_not_null()
        if "order_id" in given.columns
        else (pl.repeat(value=False, n=len(given), eager=True))
    )
    frame = pl.DataFrame({"item": items, "said": said, "action": action, "order": has_order})
    whole = pl.col("item").fill_null(WHOLE_ORDER)
    return frame.select(
        pl.when(pl.col("action") == SEARCH)
        .then("said")
        .when(pl.col("action") == CANCEL)
        .then(pl.when("order").then(whole))
        .otherwise("item")
    ).to_series()


def _actions(where: str, given: pl.DataFrame) -> pl.Series:
    if "event_type" not in given.columns:
        return pl.repeat(PURCHASE, len(given), dtype=pl.Int8, eager=True)
    types = given["event_type"]
    unknown = types.filter(types.is_null() | ~types.is_in(list(ACTION_NAMES)))
    if len(unknown):
        raise DataRefused(
            f"{where}: {len(unknown)} of {len(types)} rows have an event_type that is not known, "
            f"such as {unknown[0]!r}; known are {', '.join(ACTION_NAMES)}"
        )
    return types.replace_strict(ACTION_NAMES, return_dtype=pl.Int8)


def _microseconds(where: str, column: pl.Series, time_unit: str) -> pl.Series:
    if column.dtype in (pl.Date, pl.Datetime):
        return column.cast(pl.Datetime("us")).dt.epoch("us")
    if column.dtype.is_integer():
        return _scaled(column.cast(pl.Int64), time_unit)
    if column.dtype == pl.Null:
        return column.cast(pl.Int64)
    if column.dtype != pl.String:
        raise DataRefused(
            f"{where}: timestamp is {column.dtype}; text, a date or an integer will do"
        )
    numbers = column.set(~column.str.contains(WHOLE_NUMBER), None).cast(pl.Int64)
    text = column.str.strip_suffix(" UTC")
    parsed = text.set(~text.str.contains(ISO_DATE), None).str.to_datetime(
        strict=False, time_unit="us", time_zone="UTC"
    )
    at = _scaled(numbers, time_unit).fill_null(parsed.dt.epoch("us"))
    bad = column.filter(at.is_null() & column.is_not_null() & (column != ""))
    if len(bad):
        raise DataRefused(
            f"{where}: {len(bad)} of {len(column)} timestamps cannot be read, such as "
            f"{bad[0]!r}; write them like 2024-05-01T12:30:00"
        )
    return at


def _scaled(numbers: pl.Series, time_unit: str) -> pl.Series:
    """In microseconds, as far as that fits: beyond, a moment is wrong whatever it is."""
    unit = TIME_UNITS[time_unit]
    most = 2**62 // unit
    return numbers.clip(-most, most) * unit
