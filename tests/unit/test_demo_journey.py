"""The demo's data: orders in time order, chosen households, readable products."""

from __future__ import annotations

import polars as pl
import pytest

from deploy.local.demo import households
from deploy.local.demo.complete_journey import (
    Sales,
    baskets,
    newest,
    read_products,
    read_sales,
)


@pytest.fixture(scope="module")
def sales() -> Sales:
    """The real sales."""
    return read_sales()


def test_sales_are_positive_and_in_time_order(sales: Sales) -> None:
    """Returns are left out and counted, and the last line ends the data."""
    assert sales.left_out == 8869
    assert len(sales.lines) == 1_460_438
    assert int(sales.lines["quantity"].min() or 0) == 1  # type: ignore[arg-type]
    assert sales.lines["at"].is_sorted()
    assert sales.ends_at == sales.lines["at"].max()


def test_newest_orders_are_whole(sales: Sales) -> None:
    """Choosing the newest lines cuts no order in two."""
    chosen = newest(sales, 1000)
    assert 1000 <= len(chosen) < 1200
    orders = sales.lines.filter(pl.col("order_id").is_in(chosen["order_id"].unique().to_list()))
    assert len(orders) == len(chosen)
    assert newest(sales, len(sales.lines)) is sales.lines


def test_baskets_hold_every_line_once_in_time_order(sales: Sales) -> None:
    """Grouping into orders loses and doubles nothing."""
    chosen = newest(sales, 1000)
    orders = list(baskets(chosen))
    assert sum(len(order.lines) for order in orders) == len(chosen)
    assert len({order.order_id for order in orders}) == len(orders)
    assert [order.at for order in orders] == sorted(order.at for order in orders)


def test_catalogue_is_whole_and_readable(sales: Sales) -> None:
    """Every product has a title, a merchant and at least one category."""
    products = read_products(sales)
    assert len(products) == 92_331
    assert len({product.merchant_id for product in products}) == 6471
    assert all(p.title and p.merchant_id and 1 <= len(p.category_path) <= 8 for p in products)
    assert all(p.price is None or p.price > 0 for p in products)
    chosen = households.choose(sales, products, among=newest(sales, 20_000))
    assert len({household.user_id for household in chosen}) == len(households.STORIES)
    for household in chosen:
        assert len({product.product_id for product in household.fresh}) == 3
