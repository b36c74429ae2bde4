"""Spark and polars prepare the same folder, file by file; run where pyspark is at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from model_export.preparation.columns import columns_told
from model_export.preparation.rows import CANCEL, LINKED, WHOLE_ORDER, Feed
from model_export.preparation.settings import Cleaning
from model_export.preparation.spark import SparkEngine
from model_export.preparation.splits import ByTime, LeaveOneOut, Split
from model_export.preparation.stage import Wanted, prepare
from model_export.preparation.tables import table_feed
from services.shared.model_input import CART, CLICK, IMPRESSION, PURCHASE, SEARCH, VIEW
from tests.preparation_parts import DAY, MAY, SECOND, feed_of, files_in

pytest.importorskip(
    "pyspark.sql", reason="pyspark is not installed: that both engines agree is not tried"
)

REES46 = Path(__file__).parents[3] / "shared/data/rees46/2019-Oct-first-17435.csv.gz"
LATEST = MAY + 1000 * DAY
LIMITS = Cleaning(bot_events_a_minute=10, bot_products_a_day=20)


def shop(rows: int = 20_000) -> pl.DataFrame:
    """Rows with every kind of noise there is a rule on, by chance and a seed."""
    chance = np.random.default_rng(11)
    actions = [VIEW, CLICK, CART, PURCHASE, SEARCH, IMPRESSION, CANCEL]
    frame = pl.DataFrame(
        {
            "user_id": chance.integers(300, size=rows),
            "item": chance.integers(40, size=rows),
            "action": chance.choice(actions, rows, p=[0.4, 0.1, 0.1, 0.15, 0.1, 0.1, 0.05]),
            "at": MAY + chance.integers(60 * 24 * 60, size=rows) * 60 * SECOND,
            "event_id": chance.integers(rows * 9 // 10, size=rows),
            "session": chance.integers(5, size=rows),
            "order": chance.integers(40, size=rows),
            "quantity": chance.integers(1, 4, size=rows),
            "price": np.round(chance.lognormal(2, 0.2, rows), 2),
            "odd": chance.integers(200, size=rows),
        }
    ).with_row_index("place")
    user = pl.col("user_id")
    one_day = pl.when(user < 9).then(MAY + pl.col("place") % 900 * 60 * SECOND)
    haste = pl.when(user < 5).then(MAY + pl.col("place") * 1000)
    at = pl.coalesce(haste, one_day, "at")
    price = pl.when(pl.col("odd") < 2).then(pl.col("price") * 100).otherwise("price")
    is_order = pl.col("action").is_in([PURCHASE, CANCEL])
    return frame.select(
        pl.when(pl.col("odd") != 2).then(pl.format("u{}", user)).alias("user_id"),
        pl.when((pl.col("action") == CANCEL) & (pl.col("odd") < 99))
        .then(pl.lit(WHOLE_ORDER))
        .otherwise(pl.format("i{}", "item"))
        .alias("thing"),
        pl.col("action").cast(pl.Int8),
        at.alias("at"),
        pl.when(pl.col("odd") < 150).then(pl.format("e{}", "event_id")).alias("event_id"),
        pl.when(user % 2 == 0).then(pl.format("s{}", "session")).alias("session_id"),
        pl.when(is_order).then(pl.format("o{}", "order")).alias("order_id"),
        pl.when(pl.col("odd") < 120).then("quantity").alias("quantity"),
        pl.when(pl.col("odd") == 3).then(float("nan")).otherwise(price).alias("price"),
        latest=pl.lit(LATEST),
    )


def generated() -> Feed:
    """The rows above, and some visitors who sign in."""
    links = [
        {"user_id": f"u{n}", "thing": f"u{n + 1}", "action": LINKED, "at": MAY + 30 * DAY}
        for n in range(50, 60)
    ]
    rows = shop().to_dicts()
    again = [{**each, "at": each["at"] + SECOND} for each in rows[:300]]
    same = [each for each in rows[300:600] if each["event_id"] is None]
    return feed_of(rows, links, again, same)


def compare(feed: Feed, split: Split, limits: Cleaning, folder: Path) -> dict[str, int]:
    """Prepare with both engines and hold the folders equal; what was left out."""
    source = prepare(feed, Wanted(split, limits), folder / "polars")
    prepare(
        feed,
        Wanted(split, limits, SparkEngine("local[2]"), part_rows=7_000),
        folder / "spark",
    )
    assert files_in(folder / "spark") == files_in(folder / "polars")
    return source.left_out


def test_rows_with_every_kind_of_noise(tmp_path: Path) -> None:
    """Each rule has left something out, and as much of it with either engine."""
    left_out = compare(generated(), ByTime(10, 5), LIMITS, tmp_path)
    never = {"other_action", "person_erased", "refused", "returned", "before_1970"}
    never |= {"from_the_future"}
    assert left_out.keys() & never == set()
    assert len(left_out) == 10


def test_a_store_log(tmp_path: Path) -> None:
    """Three hours of a real shop."""
    if not REES46.exists():
        pytest.skip(f"the log of a real shop is not here: {REES46.name} of rees46")
    feed = table_feed(REES46, columns_told("rees46", "s", None), latest=LATEST)
    assert compare(feed, LeaveOneOut(), Cleaning(), tmp_path).keys() == {
        "price_impossible",
        "same_moment",
    }
