"""Records of the demo keep the contracts that producers are told to keep."""

from __future__ import annotations

import protovalidate
import pytest
from attune.catalog.v1 import catalog_pb2
from attune.events.v1 import shopper_event_pb2
from google.protobuf import json_format
from google.protobuf.message import Message

from deploy.local.demo.complete_journey import Basket, CatalogProduct, Line
from deploy.local.demo.households import Household, Story, actions
from deploy.local.demo.records import (
    event_record,
    money,
    offer_record,
    product_record,
    purchase_record,
    timestamp,
)

PRODUCT = CatalogProduct(
    "42", "7", "Ground coffee, 11 oz", ["Grocery", "Coffee"], {"brand": "national"}, 499, True
)
NOON = 1_800_000_000_123_456


def read(value: bytes, message: Message) -> Message:
    """Parse JSON into the contract's message and hold it to its limits."""
    json_format.Parse(value, message)
    violations = protovalidate.Validator().collect_violations(message)
    assert not violations, violations
    return message


def test_product_and_offer_keep_the_contract() -> None:
    """Product and offer parse, and stand under the same key."""
    key, value = product_record("demo", PRODUCT)
    product = read(value, catalog_pb2.Product())
    assert isinstance(product, catalog_pb2.Product)
    assert product.title == PRODUCT.title
    offer_key, offer_value = offer_record("demo", PRODUCT)
    offer = read(offer_value, catalog_pb2.Offer())
    assert isinstance(offer, catalog_pb2.Offer)
    assert (offer.price.units, offer.price.nanos) == (4, 990_000_000)
    assert key == offer_key == b"demo/42"


def test_what_cannot_be_delivered_is_not_for_sale() -> None:
    """Fuel is listed and paused."""
    _, value = offer_record("demo", PRODUCT._replace(deliverable=False))
    offer = read(value, catalog_pb2.Offer())
    assert isinstance(offer, catalog_pb2.Offer)
    assert offer.status == catalog_pb2.OFFER_STATUS_PAUSED


def test_order_is_a_valid_event_shifted_in_time() -> None:
    """An order becomes one purchase with all its lines, later by the shift."""
    basket = Basket("9", "800", NOON, [Line("42", 2, 499), Line("43", 1, 0)])
    key, value = purchase_record("demo", basket, shift=1_000_000)
    event = read(value, shopper_event_pb2.ShopperEvent())
    assert isinstance(event, shopper_event_pb2.ShopperEvent)
    assert key == b"demo/u:800"
    assert event.occurred_at.ToMicroseconds() == NOON + 1_000_000
    assert [line.product_id for line in event.purchase.lines] == ["42", "43"]
    assert not event.purchase.lines[1].HasField("unit_price")


def test_fresh_events_are_valid_and_of_each_kind() -> None:
    """A household searches, views, puts into the cart and buys."""
    household = Household("800", Story("Coffee", "Tea", "green tea"), (PRODUCT, PRODUCT, PRODUCT))
    kinds = []
    for _, action in actions(household):
        _, value = event_record("demo", "800", "e", at=NOON, action=action)
        event = read(value, shopper_event_pb2.ShopperEvent())
        assert isinstance(event, shopper_event_pb2.ShopperEvent)
        kinds.append(event.WhichOneof("action"))
    assert kinds == ["search", "view", "add_to_cart", "purchase"]


@pytest.mark.parametrize(("cents", "units", "nanos"), [(0, "0", 0), (5, "0", 50_000_000)])
def test_money_of_cents(cents: int, units: str, nanos: int) -> None:
    """Cents become units and billionths."""
    assert money(cents) == {"currencyCode": "USD", "units": units, "nanos": nanos}


def test_timestamp_keeps_microseconds() -> None:
    """Times are RFC 3339 in UTC."""
    assert timestamp(1_000_001) == "1970-01-01T00:00:01.000001Z"
