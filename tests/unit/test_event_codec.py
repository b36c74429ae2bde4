"""From bytes to a checked event, or to a refusal that says what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attune.events.v1.shopper_event_pb2 import ShopperEvent
from google.protobuf import json_format
from hypothesis import given, settings

from services.shared.errors import EventRefused
from services.shared.event import Event as Read
from services.shared.event_codec import VALUE_LIMIT, decode_event
from services.shared.event_json import read_event
from services.shared.event_protobuf import event_of
from tests.profile_events import LINE, USUAL, Event, event, events, key_of, said, view

PROTOBUF = (("content-type", b"application/protobuf"),)


def decode(one: Event, headers: tuple[tuple[str, bytes], ...] = ()) -> Read:
    return decode_event(key_of(one), json.dumps(one).encode(), headers)


def parsed(text: str) -> Read:
    """What Protobuf's own reader makes of JSON. Raises ParseError."""
    return event_of(json_format.Parse(text, ShopperEvent()))


def refusal(
    value: bytes | None, headers: tuple[tuple[str, bytes], ...] = (), key: bytes = b"demo/u:ana"
) -> tuple[str, str]:
    """The code and sentence with which a value is refused."""
    with pytest.raises(EventRefused) as caught:
        decode_event(key, value, headers)
    return caught.value.code, str(caught.value)


@given(events())
@settings(max_examples=300, deadline=None)
def test_json_is_read_as_json_format_reads_it(one: Event) -> None:
    """The fast path makes the very message that Protobuf's own parser makes."""
    assert said(decode(one)) == said(parsed(json.dumps(one)))


def test_usual_events_go_the_fast_way() -> None:
    """Of every kind, as our own producers write them."""
    for one in USUAL:
        assert read_event(json.dumps(one).encode()) is not None, one
    kinds = {read.action for one in USUAL if (read := read_event(json.dumps(one).encode()))}
    actions = ShopperEvent.DESCRIPTOR.oneofs_by_name["action"].fields
    assert kinds == {field.name for field in actions}


@pytest.mark.parametrize(
    "twice",
    [
        ('"eventId": "e1"', '"eventId": "e2", "eventId": "e1"'),
        ('"productId": "mug"', '"productId": "cup", "productId": "mug"'),
        ('"productId": "mug"', '"productId" : "cup", "productId": "mug"'),
        ('"eventId": "e1"', '"eventId": "e2", "event\\u0049d": "e1"'),
        ('"userId": "ana"', '"userId": "bo", "userId": "ana", "sessionId": "\\u0022:"'),
        ('"userId": "ana"', '"userId": "bo", "userId": "ana", "sessionId": "\\u003a"'),
        ('"userId": "ana"', '"userId": "bo", "userId": "ana", "sessionId": "\\u003A"'),
        ('"userId": "ana"', '"userId": "b:o", "userId": "ana", "sessionId": "\\u003a:"'),
        ('"view"', '"view": {"productId": "cup"}, "view"'),
    ],
)
def test_a_name_that_stands_twice(twice: tuple[str, str]) -> None:
    """Which of the two is meant nobody knows: refused, as by Protobuf's own parser."""
    text = json.dumps(view(1))
    assert twice[0] in text
    text = text.replace(*twice)
    with pytest.raises(json_format.ParseError):
        json_format.Parse(text, ShopperEvent())
    assert refusal(text.encode())[0] == "EVENT_NOT_JSON"


@pytest.mark.parametrize("query", ['a":b', "a\\b", "“:”", 'x" : y', ":"])
def test_texts_that_look_like_keys(query: str) -> None:
    """A shopper may type what looks like JSON."""
    one = event(1, search={"query": query, "filters": {'k":': '":'}})
    assert said(decode(one)) == said(parsed(json.dumps(one)))


def test_protobuf_and_json_say_the_same() -> None:
    """The same event in both forms is the same message; proto names work in JSON too."""
    one = event(1, purchase={"orderId": "o", "lines": [LINE]})
    snake = event(2, purchase={"order_id": "o", "lines": [{"product_id": "mug", "quantity": 1}]})
    message = json_format.Parse(json.dumps(one), ShopperEvent())
    binary = decode_event(key_of(one), message.SerializeToString(), PROTOBUF)
    assert said(binary) == said(decode(one))
    snake["event_id"] = one["eventId"]
    del snake["eventId"]
    assert said(decode(snake)) == said(binary)


@pytest.mark.parametrize(
    ("value", "headers", "code", "says"),
    [
        (b"not json", (), "EVENT_NOT_JSON", "not JSON"),
        (b"\xff\xfe", (), "EVENT_NOT_JSON", "not JSON"),
        (b"[1]", (), "EVENT_NOT_JSON", "not an object"),
        (b'{"evnetId": "e"}', (), "EVENT_NOT_JSON", "evnetId"),
        (b"[" * 60_000, (), "EVENT_NOT_JSON", "nested too deeply"),
        (b"\x0f\xff", PROTOBUF, "EVENT_NOT_PROTOBUF", "does not parse"),
        (b"{}", (("content-type", b"text/xml"),), "CONTENT_TYPE_UNKNOWN", "text/xml"),
        (b" " * (VALUE_LIMIT + 1), (), "EVENT_TOO_LARGE", "65537 bytes"),
        (None, (), "EVENT_INVALID", "no value"),
        (b"{}", (), "EVENT_INVALID", "event_id"),
    ],
)
def test_what_cannot_be_read(
    value: bytes | None, headers: tuple[tuple[str, bytes], ...], code: str, says: str
) -> None:
    """Each has its code and a sentence that names what is wrong."""
    got, sentence = refusal(value, headers)
    assert got == code
    assert says in sentence
    assert len(sentence) < 1000


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"eventId": ""}, "event_id"),
        ({"shopId": "No Such"}, "shop_id"),
        ({"userId": "", "visitorId": ""}, "user_id or visitor_id must be set"),
        ({"userId": "a{b"}, "user_id"),
        ({"view": {"productId": ""}}, "view.product_id"),
        ({"addToCart": {"productId": "mug", "quantity": 0}}, "add_to_cart.quantity"),
        ({"purchase": {"orderId": "o", "lines": []}}, "purchase.lines"),
        (
            {"purchase": {"orderId": "o", "lines": [LINE, {**LINE, "quantity": 0}]}},
            "purchase.lines[1].quantity",
        ),
        ({"rating": {"productId": "mug", "stars": 6}}, "rating.stars"),
        ({"search": {"query": "q", "filters": {"": "x"}}}, "search.filters"),
        ({"identify": {}}, "identify needs both"),
        ({"logout": {}}, "logout needs both"),
        ({}, "action"),
    ],
)
def test_what_breaks_a_limit(more: dict[str, Any], says: str) -> None:
    """The refusal names the field, with its place in a list."""
    one = event(1, **more)
    code, sentence = refusal(json.dumps(one).encode(), key=key_of({**one, "userId": "ana"}))
    assert code == "EVENT_INVALID"
    assert says in sentence


@pytest.mark.parametrize(
    "price",
    [
        {"currencyCode": "USD", "units": "9223372036854775807"},  # in millionths beyond 64 bits
        {"currencyCode": "USD", "units": "-1"},
        {"currencyCode": "USD", "nanos": -1},
        {"currencyCode": "USD", "nanos": 1_000_000_000},
        {"currencyCode": "usd", "units": "1"},
        {"units": "1"},
    ],
)
@pytest.mark.parametrize("action", ["purchase", "cancel"])
def test_what_is_no_price(action: str, price: dict[str, Any]) -> None:
    """A price that is negative, vast or without a currency is refused, by its line."""
    one = event(1)
    one[action] = {"orderId": "o", "lines": [LINE, {**LINE, "unitPrice": price}]}
    code, sentence = refusal(json.dumps(one).encode())
    assert code == "EVENT_INVALID"
    assert f"{action}.lines[1].unit_price" in sentence


def test_missing_time() -> None:
    """An event that does not say when it happened is refused."""
    one = view(1)
    del one["occurredAt"]
    assert refusal(json.dumps(one).encode())[0] == "EVENT_INVALID"


@pytest.mark.parametrize("key", [None, b"", b"demo/v:ana", b"other/u:ana", b"\xff"])
def test_key_must_be_shop_and_subject(key: bytes | None) -> None:
    """A record whose key says someone else would be folded by the wrong partition."""
    with pytest.raises(EventRefused, match="must be 'demo/u:ana'") as caught:
        decode_event(key, json.dumps(view(1)).encode(), ())
    assert caught.value.code == "EVENT_KEY_MISMATCH"


def test_cloudevents_headers_fill_what_is_missing() -> None:
    """ce_id and ce_time stand in for event_id and occurred_at, and may repeat them."""
    one = view(1)
    whole = decode(one)
    headers = (
        ("ce_id", one["eventId"].encode()),
        ("ce_time", one["occurredAt"].encode()),
        ("ce_type", b"attune.events.v1.ShopperEvent"),
        ("content-type", b"application/json; charset=utf-8"),
    )
    assert said(decode(one, headers)) == said(whole)
    bare = {name: one[name] for name in one if name not in ("eventId", "occurredAt")}
    assert said(decode(bare, headers)) == said(whole)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (("ce_id", b"other"), "ce_id and event_id differ"),
        (("ce_time", b"2026-03-01T11:00:00Z"), "ce_time and occurred_at differ"),
        (("ce_time", b"yesterday"), "ce_time"),
        (("ce_type", b"attune.events.v1.Other"), "ce_type"),
    ],
)
def test_cloudevents_headers_that_disagree(header: tuple[str, bytes], says: str) -> None:
    """Two answers to one question are refused, not chosen between."""
    code, sentence = refusal(json.dumps(view(1)).encode(), (header,))
    assert code == "EVENT_INVALID"
    assert says in sentence
