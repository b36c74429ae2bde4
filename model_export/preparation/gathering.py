"""Reads a source once, and lays its rows out on disk by user: what cleaning starts from.

Memory is bounded by a batch, what a :class:`Spool` holds, and one part; the number of parts
goes with the rows that are expected and changes nothing in the result.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

import narwhals as nw
import polars as pl

from model_export.dataset import DAY
from model_export.errors import DataRefused
from model_export.preparation import reasons
from model_export.preparation.engine import Advance, Gathered
from model_export.preparation.links import resolved
from model_export.preparation.reasons import BY_CODE, KEPT
from model_export.preparation.rows import (
    CANCEL,
    LINKED,
    PRODUCT,
    ROW,
    SAID,
    UNLINKED,
    Feed,
    filled,
)
from model_export.preparation.rules import row_rules
from model_export.preparation.spool import HELD, Spool
from services.shared.model_input import SEARCH

PART_ROWS: Final = 1_000_000
"""Rows of a part, about; cleaning one takes some 500 MB."""

PARTS: Final = 1024
"""There are never more parts than that."""

LINKS: Final = (LINKED, UNLINKED)
HOUR: Final = DAY // 24
LAST_PLAUSIBLE: Final = 4_102_444_800_000_000
"""2100, in microseconds."""


def nothing_left(name: str, left_out: Counter[str]) -> DataRefused:
    """The refusal of a source of which no row is kept."""
    told = ", ".join(f"{rows} {reason}" for reason, rows in left_out.most_common() if rows)
    return DataRefused(
        f"{name}: no row is left to prepare; "
        + (f"left out were {told}" if told else "it has no rows")
    )


class Found(NamedTuple):
    """What gathering answers."""

    gathered: Gathered
    rows_read: int
    left_out: Counter[str]
    said: pl.DataFrame
    """What rows say of their products, as ``rows.PRODUCT``; the first word counts."""


class Gathering:
    """One reading of a source into ``folder``."""

    def __init__(self, feed: Feed, folder: Path, *, part_rows: int = PART_ROWS) -> None:
        self._feed = feed
        self._folder = folder
        self._parts = min(PARTS, feed.expected // part_rows + 1)
        held = min(HELD, part_rows)
        self._rows = Spool(folder / "rows", held=held)
        self._prices = Spool(folder / "prices", held=held)
        self._left_out: Counter[str] = Counter()
        self._said = pl.DataFrame(schema={name: PRODUCT[name] for name in ("item_id", *SAID)})
        self._read = 0
        self._strange = 0
        self._actions: set[int] = set()
        self._coarse = True
        """Whether all moments so far were full hours."""

    def run(self, advance: Advance) -> Found:
        """Read all. Raises DataRefused, what the source raises, and OSError."""
        passed: Counter[str] = Counter()
        for batch in self._feed.batches(passed):
            self._take(batch)
            advance(min(self._read / max(self._feed.expected, 1), 0.99))
        self._rows.finish()
        self._prices.finish()
        self._refuse_another_unit()
        is_linked = not self._actions.isdisjoint(LINKS)
        rows = self._relinked() if is_linked else self._rows
        gathered = Gathered(
            rows.parts(), self._prices.parts(), not self._coarse, frozenset(self._actions)
        )
        left_out = self._left_out + passed
        if not gathered.rows:
            raise nothing_left(self._feed.name, left_out)
        return Found(gathered, self._read + passed.total(), left_out, self._said)

    def _take(self, batch: pl.DataFrame) -> None:
        rows = filled(batch, self._read)
        self._note_times(rows)
        is_first, self._read = not self._read, self._read + len(rows)
        if is_first:
            self._refuse_another_unit()
        ruled = row_rules(nw.from_native(rows, eager_only=True)).to_native()
        for code, count in ruled["reason"].value_counts().iter_rows():
            if code != KEPT:
                self._left_out[BY_CODE[code].name] += count
        kept = ruled.filter(pl.col("reason") == KEPT).select(*ROW)
        self._rows.add(kept, pl.col("user_id").hash(0) % self._parts)
        priced = kept.filter(pl.col("price").is_not_null()).select("thing", "price")
        self._prices.add(priced, pl.col("thing").hash(0) % self._parts)
        self._actions.update(kept["action"].unique())
        links = int(kept["action"].is_in(LINKS).sum())
        if links:
            self._left_out[reasons.LINK.name] += links
        self._note_products(batch)

    def _note_times(self, rows: pl.DataFrame) -> None:
        at = rows["at"].drop_nulls()
        self._strange += int(((at < 0) | (at > LAST_PLAUSIBLE)).sum())
        self._coarse = self._coarse and bool((at % HOUR == 0).all())

    def _refuse_another_unit(self) -> None:
        """A number in another unit than was said would move everything by centuries."""
        if self._strange * 2 > max(self._read, 1):
            raise DataRefused(
                f"{self._feed.name}: {self._strange} of {self._read} timestamps are before 1970 or "
                "after 2100; are numbers in the unit that --time-unit says (s, ms, us)?"
            )

    def _note_products(self, batch: pl.DataFrame) -> None:
        """Take in what rows say of their products, the first of each that is said."""
        told = [name for name in SAID if name in batch.columns]
        if not told:
            return
        of_products = batch.filter(~pl.col("action").is_in((SEARCH, CANCEL)))
        fresh = of_products.select(pl.col("thing").alias("item_id"), *told).drop_nulls("item_id")
        both = pl.concat([self._said, fresh], how="diagonal")
        words = [pl.col(name).drop_nulls().first() for name in SAID]
        self._said = both.group_by("item_id", maintain_order=True).agg(words)

    def _relinked(self) -> Spool:
        """Rows of visitors who signed in, under their users."""
        spool = Spool(self._folder / "linked", held=min(HELD, PART_ROWS))
        for files in self._rows.parts():
            rows = nw.from_native(pl.read_parquet(files), eager_only=True)
            spool.add(resolved(rows).to_native(), pl.col("user_id").hash(0) % self._parts)
        spool.finish()
        return spool
