"""What is known of the products: joined from all who tell of it, and turned into features."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from model_export.preparation.rows import PRODUCT, SAID
from services.shared.content_input import (
    FeatureVocabulary,
    ProductContent,
    feature_names,
    price_bounds,
)

Products = pl.DataFrame
"""With the columns of ``rows.PRODUCT``, a row for each item, by ascending id."""


class Featured(NamedTuple):
    """The products' features."""

    names: list[str]
    bounds: tuple[float, ...]
    numbers: pl.Series
    """[items] lists of numbers of ``names``, from 1."""


def described(
    seen: pl.Series, listed: pl.DataFrame, said: pl.DataFrame, medians: pl.DataFrame
) -> Products:
    """All items: those of rows and those that are listed, with all that is known of each.

    The list of products goes first, then what rows say of their product; a price that is not
    listed is the median of what was paid. ``listed`` may have an item twice: the last counts.
    """
    listed = listed.unique("item_id", keep="last", maintain_order=True)
    ids = pl.concat([seen.alias("item_id"), listed["item_id"]]).unique().sort()
    paid = medians.select(pl.col("thing").alias("item_id"), pl.col("median").alias("paid"))
    joined = (
        ids.to_frame()
        .join(listed, on="item_id", how="left", maintain_order="left")
        .join(said, on="item_id", how="left", suffix="_said", maintain_order="left")
        .join(paid, on="item_id", how="left", maintain_order="left")
    )
    return joined.select(
        "item_id",
        *(pl.coalesce(name, f"{name}_said").alias(name) for name in SAID),
        pl.coalesce("price", "paid").alias("price"),
    ).select(*PRODUCT)


def featured(products: Products, bands: int) -> Featured:
    """The features of all products, numbered by their names, ascending."""
    bounds = price_bounds(products["price"].drop_nulls().to_list(), bands)
    columns = products.select("category", "brand", "merchant_id", "price")
    names = [
        feature_names(ProductContent(path or (), brand or "", merchant or "", price), bounds)
        for path, brand, merchant, price in columns.iter_rows()
    ]
    vocabulary = FeatureVocabulary(sorted({name for each in names for name in each}))
    numbers = [vocabulary.numbers(each) for each in names]
    return Featured(list(vocabulary.names), bounds, pl.Series(numbers, dtype=pl.List(pl.Int32)))


def product_texts(products: Products) -> list[str]:
    """Title and description of each product as one text; "" where there is neither."""
    both = products.select(pl.concat_str("title", "description", separator=". ", ignore_nulls=True))
    return both.to_series().fill_null("").to_list()
