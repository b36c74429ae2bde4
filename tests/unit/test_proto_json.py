"""Types made from a proto: all of its limits, or none of the type."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from attune.catalog.v1.catalog_pb2 import Offer, Product
from attune.events.v1.shopper_event_pb2 import OrderLine, Purchase, Search
from google.protobuf.descriptor import Descriptor
from msgspec import UNSET

from services.shared.event_json import SHOP
from services.shared.proto_json import struct_of

MONEY = {"google.type.Money": dict[str, Any]}


def read(message: Descriptor, text: str) -> Any:
    return msgspec.json.decode(text, type=struct_of(message, MONEY))


def test_what_is_left_out_is_unset() -> None:
    """Told apart from what was sent with its default, and falsy like it."""
    search = read(Search.DESCRIPTOR, '{"query": "mug"}')
    assert (search.query, search.filters, search.result_count) == ("mug", UNSET, UNSET)
    search = read(Search.DESCRIPTOR, '{"query": "mug", "filters": {}, "resultCount": 0}')
    assert (search.filters, search.result_count) == ({}, 0)
    assert not UNSET
    line = read(OrderLine.DESCRIPTOR, '{"quantity": 1, "productId": "mug"}')
    assert (line.product_id, line.unit_price) == ("mug", UNSET)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (Search, "{}"),
        (Search, '{"query": ""}'),
        (Search, '{"query": null}'),
        (Search, '{"query": "q", "extra": 1}'),
        (Search, '{"query": "q", "resultCount": -1}'),
        (Search, '{"query": "q", "resultCount": 2147483648}'),
        (Search, '{"query": "q", "result_count": 1}'),
        (Search, '{"query": "q", "filters": {"": "x"}}'),
        (Search, '{"query": "%s"}' % ("q" * 513)),
        (Purchase, '{"orderId": "o", "lines": []}'),
        (Purchase, '{"orderId": "o"}'),
        (OrderLine, '{"productId": "mug", "quantity": 0}'),
        (OrderLine, '{"productId": "mug", "quantity": 1000001}'),
        (OrderLine, '{"productId": "mug"}'),
    ],
)
def test_every_limit_holds(message: Any, text: str) -> None:
    """Length, pattern, range, number of items and pairs; also of what is left out."""
    with pytest.raises(msgspec.ValidationError):
        read(message.DESCRIPTOR, text)


def test_a_limit_of_characters_counts_characters() -> None:
    """Not bytes: 512 of three bytes each are within the limit."""
    assert read(Search.DESCRIPTOR, '{"query": "%s"}' % ("牛" * 512)).query == "牛" * 512


def test_what_cannot_be_expressed_makes_no_type() -> None:
    """A price whose rule is written in CEL: no type, instead of one that drops the rule."""
    with pytest.raises(TypeError, match=r"the rule FieldRules\.cel is not known here"):
        struct_of(Offer.DESCRIPTOR, MONEY)


def test_a_pattern_that_the_caller_sees_to() -> None:
    """It alone is left out: what may not be left out still may not, and other limits hold."""
    shop = {"attune.catalog.v1.Product.shop_id": SHOP}
    known = {"google.protobuf.Timestamp": str}
    made = struct_of(Product.DESCRIPTOR, known, seen_to=shop)
    told = {"shopId": "A B", "productId": "p", "merchantId": "m", "title": "t"}
    assert msgspec.to_builtins(msgspec.convert(told, made)) == told
    for name in told:
        with pytest.raises(msgspec.ValidationError, match=f"missing required field `{name}`"):
            msgspec.convert({other: told[other] for other in told if other != name}, made)


def test_a_pattern_that_is_another_makes_no_type() -> None:
    """The proto has changed, and what the caller checks has not."""
    with pytest.raises(TypeError, match=r"Product\.shop_id has the pattern .*, not '\^a\$'"):
        struct_of(Product.DESCRIPTOR, {}, seen_to={"attune.catalog.v1.Product.shop_id": "^a$"})
