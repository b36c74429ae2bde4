"""The archive's events as rows.

Most of what training needs is in clear there, beside keyed hashes that tell persons, sessions
and orders apart; such rows are never opened. Opened are searches, for their words, and what
links a visitor to a user. Users are named by their pseudonyms.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from model_export.errors import DataRefused
from model_export.preparation.events import EventRow, pseudonym_by, rows_of_event
from model_export.preparation.reasons import ERASED, OTHER_ACTION
from model_export.preparation.rows import CANCEL, LATEST, ROW, WHOLE_ORDER, Feed, PassedOver
from services.shared.archive_keys import KeyFiles, PersonKeys
from services.shared.archive_log import Partition, read_log
from services.shared.archive_reader import ArchiveReader
from services.shared.archive_storage import ArchiveStorage
from services.shared.event_age import FUTURE_LIMIT
from services.shared.model_input import CART, CLICK, IMPRESSION, PURCHASE, VIEW
from services.shared.sealing import MasterKey

TABLES: Final = ("shopper-events", "shopper-history")
SEALED: Final = ("search", "identify", "logout")
"""Actions whose rows must be opened."""

CLEAR: Final = {
    "view": VIEW,
    "click": CLICK,
    "add_to_cart": CART,
    "purchase": PURCHASE,
    "cancel": CANCEL,
    "impression": IMPRESSION,
}
TOLERANCE: Final = FUTURE_LIMIT.total_seconds() * 1_000_000
"""Microseconds that a shop's clock may be ahead of the broker's."""

MADE: Final = {name: ROW[name] for name in EventRow._fields}


def archive_feed(storage: ArchiveStorage, master: MasterKey, *, shop: str | None = None) -> Feed:
    """The events of an archive, of one shop or of all.

    Raises DataRefused where there are none, StorageUnavailable, and while it is read
    SealBroken where the master key is another one.
    """
    keys = PersonKeys(KeyFiles(storage), master, now_micros=lambda: 0)
    reader = ArchiveReader(storage, keys)
    partitions = [one for table in TABLES for one in reader.partitions(table)]
    found = hashlib.sha256()
    expected = 0
    for partition in partitions:
        for path, file in sorted(read_log(storage, partition).files.items()):
            if shop is None or file.shop == shop:
                expected += file.rows
                found.update(path.encode())
    if not expected:
        raise DataRefused(
            f"the archive has no events{f' of shop {shop}' if shop else ''}: is it the folder that "
            "ATTUNE_ARCHIVE_ROOT names?"
        )

    def batches(passed: PassedOver) -> Iterator[pl.DataFrame]:
        keys.look()
        for partition in partitions:
            for frame in reader.frames(partition, shop=shop):
                yield _rows(reader, partition, frame, master, passed)

    return Feed(f"archive{f'-{shop}' if shop else ''}", found.hexdigest(), expected, batches)


def _rows(
    reader: ArchiveReader,
    partition: Partition,
    frame: pl.DataFrame,
    master: MasterKey,
    passed: PassedOver,
) -> pl.DataFrame:
    standing = reader.standing(frame)
    passed[ERASED.name] += len(frame) - len(standing)
    read = standing.filter(pl.col("action").is_in([*CLEAR, *SEALED]))
    passed[OTHER_ACTION.name] += len(standing) - len(read)
    latest = (pl.col("first_appended_at").cast(pl.Int64) + int(TOLERANCE)).alias(LATEST)
    sealed = read.filter(pl.col("action").is_in(SEALED))
    clear = _clear(read.filter(pl.col("action").is_in(list(CLEAR))), latest)
    opened = _opened(reader, partition, sealed.with_columns(latest), master)
    both = pl.concat([clear, opened])
    return both.sort("offset", "line").drop("offset", "line")


def _clear(read: pl.DataFrame, latest: pl.Expr) -> pl.DataFrame:
    """Rows of what is in clear: of orders a row for each line, of impressions for each product."""
    order = pl.col("action").is_in(["purchase", "cancel"])
    lines = read.filter(order).explode("lines", empty_as_null=True).unnest("lines", separator=".")
    single = read.filter(~order).with_columns(
        pl.coalesce("product_ids", pl.concat_list("product_id")).alias("product_ids")
    )
    shown = single.explode("product_ids")
    price = pl.col("lines.units").cast(pl.Float64) + pl.col("lines.nanos") / 1e9
    is_priced = (pl.col("action") == "purchase") & pl.col("lines.currency_code").is_not_null()
    nothing = {name: pl.lit(None, kind).alias(name) for name, kind in ROW.items()}
    of_lines = lines.select(
        *_heads(latest),
        pl.col("lines.product_id").fill_null(WHOLE_ORDER).alias("thing"),
        pl.col("order_hash").bin.encode("hex").alias("order_id"),
        pl.col("lines.quantity").cast(pl.Int64).alias("quantity"),
        pl.when(is_priced).then(price).alias("price"),
    )
    of_shown = shown.select(
        *_heads(latest),
        pl.col("product_ids").alias("thing"),
        *(nothing[name] for name in ("order_id", "quantity", "price")),
    )
    return pl.concat([of_lines, of_shown]).select("offset", "line", *MADE, LATEST)


def _heads(latest: pl.Expr) -> Sequence[pl.Expr]:
    """The columns that rows of all kinds share; lines of one event in their order."""
    return (
        "offset",  # type: ignore[return-value]  # select takes names, too
        pl.int_range(pl.len(), dtype=pl.Int64).over("offset").alias("line"),
        pl.col("person").bin.encode("hex").alias("user_id"),
        pl.col("action").replace_strict(CLEAR, return_dtype=pl.Int8),
        pl.col("occurred_at").cast(pl.Int64).alias("at"),
        pl.col("event_hash").bin.encode("hex").alias("event_id"),
        pl.col("session_hash").bin.encode("hex").alias("session_id"),
        latest,
    )


def _opened(
    reader: ArchiveReader, partition: Partition, sealed: pl.DataFrame, master: MasterKey
) -> pl.DataFrame:
    """Rows of what must be opened, one for each; the ids of events and sessions as in clear."""
    name = pseudonym_by(master)
    offsets: list[int] = []
    made: list[EventRow] = []
    for each in reader.opened(partition, sealed):
        for row in rows_of_event(each.event, name):
            offsets.append(each.offset)
            made.append(row)
    rows = pl.DataFrame(made, MADE, orient="row").with_columns(
        offset=pl.Series(offsets, dtype=pl.Int64), line=pl.lit(0, pl.Int64)
    )
    hashes = sealed.select(
        "offset",
        pl.col("event_hash").bin.encode("hex").alias("event_id"),
        pl.col("session_hash").bin.encode("hex").alias("session_id"),
        LATEST,
    )
    whole = rows.drop("event_id", "session_id").join(hashes, on="offset")
    return whole.select("offset", "line", *MADE, LATEST)
