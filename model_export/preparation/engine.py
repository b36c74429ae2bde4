"""What cleans gathered rows: polars on this machine, part by part; or Spark, see ``spark.py``.

Both run :func:`cleaned`. Gathering has put all rows of a user into one part, and all prices of
a product into one, so that a part can be cleaned by itself, and one of them must fit in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import narwhals as nw
import polars as pl

from model_export.preparation import reasons
from model_export.preparation.rows import CANCEL
from model_export.preparation.rules import (
    Frame,
    bot_by_breadth,
    bot_by_rate,
    cancelled,
    mark,
    medians,
    ordered,
    price_absurd,
    same_event,
    same_moment,
)
from model_export.preparation.sessions import with_sessions
from model_export.preparation.settings import Cleaning

CLEANED: Final = ("user_id", "thing", "action", "at", "place", "session", "reason")
"""Columns of what an engine writes; rows that were left out have a reason."""

Advance = Callable[[float], None]
"""Told which share of the work is done."""


class Gathered(NamedTuple):
    """Rows on disk, ready to be cleaned."""

    rows: list[list[Path]]
    """Files of each part, with the columns of ``rows.ROW``."""
    prices: list[list[Path]]
    """Files of each part, with ``thing`` and ``price``."""
    is_paced: bool
    """Whether moments are fine enough to tell how fast somebody was: to the minute, at least."""
    actions: frozenset[int]
    """Which there are: a rule about others has nothing to do."""


class Engine(Protocol):
    """Cleans what was gathered."""

    def clean(
        self, gathered: Gathered, limits: Cleaning, folder: Path, advance: Advance
    ) -> pl.DataFrame:
        """Write rows as :data:`CLEANED` to Parquet files in ``folder``, in any order.

        Answers the products' prices, see :func:`rules.medians`. Raises OSError.
        """
        ...


def cleaned(rows: Frame, prices: Frame, limits: Cleaning, about: Gathered) -> Frame:
    """Apply all user rules; ``rows`` are whole users, ``prices`` the medians of all products."""
    rows = ordered(rows.with_columns(nw.lit(reasons.KEPT).cast(nw.Int8).alias("reason")))
    rows = rows.join(prices, on="thing", how="left")
    rows = mark(rows, reasons.PRICE_ABSURD, price_absurd(limits))
    rows = mark(rows, reasons.SAME_EVENT, same_event())
    rows = mark(rows, reasons.SAME_MOMENT, same_moment())
    if about.is_paced:
        rows = bot_by_rate(rows, limits)
    rows = bot_by_breadth(rows, limits)
    if CANCEL in about.actions:
        rows = cancelled(rows)
    rows = with_sessions(rows, limits.session_minutes)
    return rows.select(*CLEANED)


class PolarsEngine:
    """Cleans one part after another in this process."""

    def clean(
        self, gathered: Gathered, limits: Cleaning, folder: Path, advance: Advance
    ) -> pl.DataFrame:
        """See :class:`Engine`."""
        folder.mkdir()
        prices = [
            medians(nw.from_native(pl.scan_parquet(files)).lazy()).collect().to_native()
            for files in gathered.prices
        ]
        empty = pl.DataFrame(schema={"thing": pl.String, "median": pl.Float64, "prices": pl.Int64})
        known: pl.DataFrame = pl.concat([empty, *prices])
        for number, files in enumerate(gathered.rows):
            rows = nw.from_native(pl.scan_parquet(files))
            found = cleaned(rows, nw.from_native(known.lazy()), limits, gathered)
            found.to_native().collect().write_parquet(
                folder / f"{number:05}.parquet", compression="lz4"
            )
            advance((number + 1) / len(gathered.rows))
        return known
