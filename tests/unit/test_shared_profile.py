"""Reading a profile: what is still bought, who is linked, and its bytes."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.profiles.domain.fold import fold
from services.shared.event_codec import decode_event
from services.shared.profile import EMPTY, Profile, bought, linked_visitors
from services.shared.profile_codec import HEADER_SIZE, LayoutUnknown, decode, encode, header
from tests.profile_events import NOON, Event, event, events, key_of


def profile_of(*some: Event) -> Profile:
    return fold(EMPTY, [decode_event(key_of(one), json.dumps(one).encode(), ()) for one in some])


def purchase(order: str, **quantities: int) -> Event:
    lines = [{"productId": product, "quantity": n} for product, n in quantities.items()]
    return event(f"p{order}", purchase={"orderId": order, "lines": lines})


def cancel(number: int, order: str, **quantities: int) -> Event:
    lines = [{"productId": product, "quantity": n} for product, n in quantities.items()]
    return event(f"c{number}", cancel={"orderId": order, "lines": lines})


def still(*some: Event) -> list[tuple[str, str, int]]:
    return [(x.order_id, x.product_id, x.quantity) for x in bought(profile_of(*some))]


def test_bought_without_what_was_taken_back() -> None:
    """A cancelled order is gone, a line taken back in part keeps the rest, others stay."""
    orders = (purchase("a", mug=2, pen=1), purchase("b", mug=3, cup=1))
    assert still(*orders) == [("a", "mug", 2), ("a", "pen", 1), ("b", "mug", 3), ("b", "cup", 1)]
    assert still(*orders, cancel(1, "a")) == [("b", "mug", 3), ("b", "cup", 1)]
    part = (cancel(1, "b", mug=1), cancel(2, "b", mug=1), cancel(3, "a", pen=1))
    assert still(*orders, *part) == [("a", "mug", 2), ("b", "mug", 1), ("b", "cup", 1)]
    assert still(*orders, cancel(1, "b", mug=9)) == [
        ("a", "mug", 2),
        ("a", "pen", 1),
        ("b", "cup", 1),
    ]


def test_a_cancel_that_comes_first() -> None:
    """The cancel may arrive before its order, and twice: the order is gone either way."""
    back = cancel(1, "a", mug=1)
    assert still(back, purchase("a", mug=2), back) == [("a", "mug", 1)]


def test_two_lines_of_one_product() -> None:
    """What is taken back of a product is taken from its lines in turn, not from each."""
    lines = [{"productId": "mug", "quantity": 2}, {"productId": "mug", "quantity": 2}]
    double = event("d", purchase={"orderId": "a", "lines": lines})
    assert still(double, cancel(1, "a", mug=3)) == [("a", "mug", 1)]


def test_linked_visitors() -> None:
    """Signing in links a visitor, signing out cuts it, signing in again links it again."""

    def link(second: int, visitor: str, action: str) -> Event:
        more: dict[str, Any] = {"visitorId": visitor, action: {}}
        return event(f"l{second}", at=NOON + timedelta(seconds=second), **more)

    phone, laptop = link(1, "phone", "identify"), link(2, "laptop", "identify")
    out, back = link(3, "phone", "logout"), link(4, "phone", "identify")
    assert linked_visitors(profile_of(phone, laptop)) == ("laptop", "phone")
    assert linked_visitors(profile_of(out, laptop, phone)) == ("laptop",)
    assert linked_visitors(profile_of(back, out, phone, laptop)) == ("phone", "laptop")


@given(st.lists(events(), max_size=40), st.integers(1, 2**63))
@settings(max_examples=100, deadline=None)
def test_codec_round_trip(some: list[Event], revision: int) -> None:
    """What is encoded is decoded as it was, with its revision at a fixed place."""
    profile = profile_of(*some)
    value = encode(profile, revision)
    assert decode(value) == (profile, revision)
    assert value[:HEADER_SIZE] == header(revision)
    assert int.from_bytes(value[1:9], "big") == revision


@pytest.mark.parametrize("value", [b"", b"\x01", b"\x02" + bytes(20), b"\x01" + bytes(20)])
def test_codec_refuses_what_it_does_not_know(value: bytes) -> None:
    """Another layout, too few bytes, or a body that is none: an error, never an empty profile."""
    with pytest.raises(LayoutUnknown):
        decode(value)
