"""From bytes to a checked event, or to a refusal that says what is wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attune.events.v1.shopper_event_pb2 import ShopperEvent
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from services.profiles.domain.fold import occurred_micros
from services.shared.errors import EventRefused
from services.shared.event_codec import VALUE_LIMIT, decode_event
from tests.profile_events import Event, event, events, key_of, view

PROTOBUF = (("content-type", b"application/protobuf"),)
LINE = {"productId": "mug", "quantity": 1}


def decode(one: Event, headers: tuple[tuple[str, bytes], ...] = ()) -> ShopperEvent:
    return decode_event(key_of(one), json.dumps(one).encode(), headers)


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
    assert decode(one) == json_format.Parse(json.dumps(one), ShopperEvent())


@given(events(), st.data())
@settings(max_examples=400, deadline=None)
def test_mutated_json_gets_the_verdict_of_json_format(one: Event, data: st.DataObject) -> None:
    """Whatever a value is replaced by, both parsers take it alike or refuse it alike."""
    action = next(name for name in one if isinstance(one[name], dict))
    holder: Any = one if data.draw(st.booleans()) or not one[action] else one[action]
    name = data.draw(st.sampled_from(sorted(holder)))
    strange: list[Any] = [
        None,
        "",
        "1",
        "2026-03-01T12:00:00Z",
        "2026-03-01 12:00:00Z",
        0,
        1.0,
        1.5,
        2**31,
    ]
    strange += [
        -1,
        True,
        [],
        {},
        [1],
        {"x": 1},
        "2026-02-30T12:00:00Z",
        "\x00",
        "0001-01-01T00:00:00Z",
    ]
    holder[name] = data.draw(st.sampled_from(strange))
    text = json.dumps(one)
    try:
        wanted = json_format.Parse(text, ShopperEvent())
    except json_format.ParseError:
        assert refusal(text.encode())[0] == "EVENT_NOT_JSON"
        return
    try:
        subject = f"u:{wanted.user_id}" if wanted.user_id else f"v:{wanted.visitor_id}"
        key = f"{wanted.shop_id}/{subject}".encode()
        assert decode_event(key, text.encode(), ()) == wanted
    except EventRefused as refused:
        if refused.code != "EVENT_INVALID":  # what both parsers take may still break a limit
            raise


@pytest.mark.parametrize(
    "twice",
    [
        ('"eventId": "e1"', '"eventId": "e2", "eventId": "e1"'),
        ('"productId": "mug"', '"productId": "cup", "productId": "mug"'),
        ('"productId": "mug"', '"productId" : "cup", "productId": "mug"'),
        ('"eventId": "e1"', '"eventId": "e2", "event\\u0049d": "e1"'),
        ('"userId": "ana"', '"userId": "bo", "userId": "ana", "sessionId": "\\u0022:"'),
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
    assert decode(one) == json_format.Parse(json.dumps(one), ShopperEvent())


def test_protobuf_and_json_say_the_same() -> None:
    """The same event in both forms is the same message; proto names work in JSON too."""
    one = event(1, purchase={"orderId": "o", "lines": [LINE]})
    snake = event(2, purchase={"order_id": "o", "lines": [{"product_id": "mug", "quantity": 1}]})
    message = decode(one)
    assert decode_event(key_of(one), message.SerializeToString(), PROTOBUF) == message
    snake["event_id"] = one["eventId"]
    del snake["eventId"]
    assert decode(snake) == message


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
    assert decode(one, headers) == whole
    bare = {name: one[name] for name in one if name not in ("eventId", "occurredAt")}
    assert decode(bare, headers) == whole
    assert occurred_micros(decode(bare, headers)) == occurred_micros(whole)


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
