"""What the door lets in."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from attune.events.v1.shopper_event_pb2 import ShopperEvent
from google.protobuf import json_format
from hypothesis import given

from services.events.domain.admission import admit
from services.events.domain.record import Record
from services.shared.errors import EventRefused
from services.shared.event_age import AgeRule
from services.shared.event_codec import decode_event
from tests.profile_events import NOON, USUAL, Event, events, key_of, said, view

NOW = int(NOON.timestamp() * 1_000_000)
WEEK = timedelta(days=7)


def message(one: Event) -> ShopperEvent:
    """An event as a client of gRPC sends it."""
    return json_format.ParseDict(one, ShopperEvent())


def let_in(event: ShopperEvent, shop_id: str = "demo") -> Record:
    """The record, at noon."""
    return admit(event, shop_id=shop_id, now=NOW, age=AgeRule(WEEK))


@pytest.mark.parametrize("one", USUAL, ids=lambda one: str(one["eventId"]))
def test_what_is_written_says_what_was_sent(one: Event) -> None:
    """The worker reads the record as it reads the same event that a Kafka client sent."""
    record = let_in(message(one))
    assert record.key == key_of(one)
    sent_by_kafka = decode_event(key_of(one), json.dumps(one).encode(), ())
    assert said(decode_event(*record)) == said(sent_by_kafka)


@given(events())
def test_the_worker_refuses_nothing_that_was_let_in(one: Event) -> None:
    """Whatever the action and the subject."""
    assert decode_event(*let_in(message(one))).event_id == one["eventId"]


def test_a_shop_that_is_left_out_is_the_keys() -> None:
    """The key's shop is filled in, and the caller's message stays as it was."""
    event = message(view(1))
    event.ClearField("shop_id")
    record = let_in(event, "corner-shop")
    assert record.key == b"corner-shop/u:ana"
    assert decode_event(*record).shop_id == "corner-shop"
    assert event.shop_id == ""


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"shopId": "other"}, "EVENT_SHOP_MISMATCH", "shop_id"),
        ({"view": {}}, "EVENT_INVALID", "view.product_id"),
        ({"eventId": ""}, "EVENT_INVALID", "event_id"),
        ({"userId": ""}, "EVENT_INVALID", ""),
        ({"userId": "{ana}"}, "EVENT_INVALID", "user_id"),
        ({"occurredAt": "2026-03-01T12:05:01Z"}, "EVENT_FROM_FUTURE", None),
        ({"occurredAt": "2026-02-22T11:59:59Z"}, "EVENT_TOO_OLD", None),
    ],
)
def test_what_is_wrong_has_the_code_of_a_dead_letter(
    change: Event, code: str, field: str | None
) -> None:
    """The refusal names code and field."""
    with pytest.raises(EventRefused) as caught:
        let_in(message({**view(1), **change}))
    assert caught.value.code == code
    assert [path for path, _ in caught.value.fields] == ([] if field is None else [field])


def test_a_price_is_named_by_its_line() -> None:
    """What is checked in code has a path as well."""
    lines = [
        {"productId": "mug", "quantity": 1},
        {"productId": "cup", "quantity": 1, "unitPrice": {"currencyCode": "usd"}},
    ]
    one = {**view(1), "purchase": {"orderId": "o", "lines": lines}}
    del one["view"]
    with pytest.raises(EventRefused) as caught:
        let_in(message(one))
    assert [path for path, _ in caught.value.fields] == ["purchase.lines[1].unit_price"]


def test_an_event_that_is_too_large() -> None:
    """65,536 bytes are the limit, written as the worker would get it."""
    lines = [{"productId": "x" * 128, "quantity": 1, "unitPrice": {"currencyCode": "USD"}}] * 500
    one = {**view(1), "purchase": {"orderId": "o", "lines": lines}}
    del one["view"]
    with pytest.raises(EventRefused) as caught:
        let_in(message(one))
    assert caught.value.code == "EVENT_TOO_LARGE"
