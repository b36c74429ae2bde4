"""What Kafka's topics list of products: the newest record of each, and what is not taken."""

from __future__ import annotations

import json
from typing import Any

from model_export.preparation.topics import products_of
from tests.profile_events import FakeRecord

MUG = {"shopId": "demo", "productId": "mug", "merchantId": "m1", "title": "Mug"}
PRICE = {"currencyCode": "EUR", "units": "9", "nanos": 500_000_000}


def record(key: bytes | None, said: Any) -> FakeRecord:
    """A record with a JSON value; None removes."""
    return FakeRecord(key, None if said is None else json.dumps(said).encode())


def offer(product: str, **more: Any) -> FakeRecord:
    """An offer of a product of the demo shop."""
    said = {"shopId": "demo", "productId": product, "status": "OFFER_STATUS_ACTIVE", **more}
    return record(f"demo/{product}".encode(), said)


def test_every_record_that_is_not_taken_is_counted() -> None:
    """By its reason; what a refused record would have replaced stays, as in servers."""
    catalog = [
        record(b"demo/mug", MUG),
        record(b"demo/mug", {**MUG, "title": "x" * 513}),
        record(b"demo/pen", MUG),
        record(b"demo/pot", {**MUG, "productId": "pot"}),
        record(b"demo/pot", None),
        record(b"demo", MUG),
        record(None, MUG),
        record(b"other/mug", {"shopId": 1}),
    ]
    offers = [
        offer("mug", price=PRICE),
        offer("mug", price={**PRICE, "units": "-1"}),
        offer("pot", price=PRICE),
        offer("cup"),
        record(b"\xff", None),
    ]
    found = products_of(catalog, offers, "demo")
    assert found.frame.select("item_id", "title", "price").rows() == [("mug", "Mug", 9.5)]
    assert found.lost == {
        "key_unreadable": 3,
        "product_refused": 2,
        "offer_refused": 1,
        "offer_alone": 1,
    }
    assert products_of(catalog, [], None).lost["product_refused"] == 3
