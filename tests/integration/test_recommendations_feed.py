"""Catalogue and offers that change while a recommendations server runs, and refused records."""

from __future__ import annotations

from functools import partial

from attune.catalog.v1 import catalog_pb2

from tests.recommendation_shop import SECONDS, VECTORS, Running, Shop
from tests.waiting import eventually


def test_stock_and_price_are_right_within_a_second(shop: Shop) -> None:
    """A product that sells out is gone within a second; with stock it comes back, priced."""
    shop.list_products(*VECTORS)
    shop.send("offers", "rake", shop.offer("rake", stock=0))
    eventually(lambda: "rake" not in shop.shown(), within=1.0)
    price = {"currencyCode": "USD", "units": "3", "nanos": 990000000}
    shop.send("offers", "rake", shop.offer("rake", stock=5, price=price))
    eventually(lambda: "rake" in shop.shown(), within=SECONDS)
    rake = shop.recommend("x").products[0]
    assert (rake.price.currency_code, rake.price.units, rake.price.nanos) == ("USD", 3, 990000000)
    shop.send("offers", "rake", shop.offer("rake", status="OFFER_STATUS_PAUSED"))
    eventually(lambda: "rake" not in shop.shown(), within=SECONDS)
    shop.send("offers", "rake", None)
    eventually(lambda: "rake" in shop.shown(), within=SECONDS)


def test_a_new_product_appears_and_a_removed_one_is_gone(shop: Shop) -> None:
    """Listing and removing take effect while serving, for JSON and binary records."""
    shop.list_products("mug")
    new = catalog_pb2.Product(
        shop_id=shop.name, product_id="novel", merchant_id="acme", title="A novel"
    )
    shop.send("catalog", "novel", new.SerializeToString(), binary=True)
    eventually(lambda: "novel" in shop.shown(), within=SECONDS)
    shop.send("catalog", "novel", None)
    eventually(lambda: "novel" not in shop.shown(), within=SECONDS)
    assert shop.shown() == ["mug"]


def test_records_that_break_a_rule_are_counted_and_change_nothing(
    shop: Shop, running: Running
) -> None:
    """A bad record is refused with a reason; what was known before stays."""
    shop.list_products("mug")
    refused = 'catalog_records_refused_total{reason="%s",topic="catalog"}'
    reasons = ("RECORD_NOT_JSON", "RECORD_INVALID", "RECORD_KEY_MISMATCH")
    before = {reason: running.service.metric(refused % reason) for reason in reasons}

    def risen(reason: str) -> bool:
        return running.service.metric(refused % reason) == before[reason] + 1

    shop.send("catalog", "mug", b"not json")
    shop.send("catalog", "mug", shop.product("mug", title=""))
    shop.send("catalog", "mug", shop.product("cup"))
    for reason in reasons:
        eventually(partial(risen, reason), within=SECONDS)
    assert [each.title for each in shop.recommend("x").products] == ["The mug"]
