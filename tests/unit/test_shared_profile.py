"""Reading a profile: what is still bought, who is linked, and its bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.profiles.domain.draft import Draft
from services.shared.profile import Profile, bought, is_automated, linked_visitors
from services.shared.profile_codec import decode, encode, version_of
from services.shared.profile_layout import LayoutUnknown
from tests.profile_events import NOON, Event, event, events, folded, view


def profile_of(*some: Event) -> Profile:
    return folded(some)


def purchase(order: str, **quantities: int) -> Event:
    lines = [{"productId": product, "quantity": n} for product, n in quantities.items()]
    return event(f"p{order}", purchase={"orderId": order, "lines": lines})


def cancel(number: int, order: str, **quantities: int) -> Event:
    lines = [{"productId": product, "quantity": n} for product, n in quantities.items()]
    return event(f"c{number}", cancel={"orderId": order, "lines": lines})


def still(*some: Event) -> list[tuple[str, str, int]]:
    return sorted((x.order_id, x.product_id, x.quantity) for x in bought(profile_of(*some)))


def test_bought_without_what_was_taken_back() -> None:
    """A cancelled order is gone, a line taken back in part keeps the rest, others stay."""
    orders = (purchase("a", mug=2, pen=1), purchase("b", mug=3, cup=1))
    assert still(*orders) == [("a", "mug", 2), ("a", "pen", 1), ("b", "cup", 1), ("b", "mug", 3)]
    assert still(*orders, cancel(1, "a")) == [("b", "cup", 1), ("b", "mug", 3)]
    part = (cancel(1, "b", mug=1), cancel(2, "b", mug=1), cancel(3, "a", pen=1))
    assert still(*orders, *part) == [("a", "mug", 2), ("b", "cup", 1), ("b", "mug", 1)]
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


@given(st.lists(events(), min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_codec_round_trip(some: list[Event]) -> None:
    """What is encoded is decoded as it was, in either layout, and told apart by its version."""
    profile = profile_of(*some)
    for layout in (1, 2):
        value = encode(profile, layout)
        assert value[0] == layout
        assert decode(value) == profile
        other = encode(profile_of(*some, event("x", rating={"productId": "p", "stars": 1})), layout)
        assert version_of(other) != version_of(value)


@given(st.lists(events(), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_layouts_lead_to_the_same_bytes(some: list[Event]) -> None:
    """Written by a release that knew layout 1 only, and back: nothing has changed."""
    value = encode(profile_of(*some))
    assert encode(decode(encode(decode(value), 1))) == value


def test_layout_1_of_an_earlier_release() -> None:
    """Its events are named by text; one of them that comes again is the same event."""
    body = (5, 9, [], [(5, "e1", 0, "mug"), (9, "e2", 0, "pen")], *([] for _ in range(8)))
    value = b"\x01" + bytes(8) + msgspec.msgpack.encode(body)
    at = datetime.fromtimestamp(5e-6, UTC)
    assert folded([view(1, "mug", at=at)], decode(value)) == decode(value)
    assert [touch.product_id for touch in decode(value).views] == ["mug", "pen"]


def test_a_program_is_told_by_its_pace() -> None:
    """Fifty products in less than a minute; 49, or in more than a minute, could be a person's."""

    def paced(count: int, seconds: float) -> Profile:
        pause = timedelta(seconds=seconds / (count - 1))
        return profile_of(*(view(i, f"p{i}", at=NOON + i * pause) for i in range(count)))

    assert is_automated(paced(50, 59))
    assert is_automated(profile_of(*(view(i, at=NOON) for i in range(50))))
    assert not is_automated(paced(50, 61))
    assert not is_automated(paced(49, 1))


DAMAGED = bytearray(encode(profile_of(view(1))))
DAMAGED[-1] ^= 1


@pytest.mark.parametrize(
    "value",
    [b"\x01", b"\x02" + bytes(20), b"\x01" + bytes(20), b"\x03" + bytes(40), b"\x02" + bytes(17)
     + b"\xff\xff" + bytes(99), bytes(DAMAGED), bytes(DAMAGED[:-1])],
)  # fmt: skip
def test_codec_refuses_what_it_does_not_know(value: bytes) -> None:
    """Another layout, too few bytes, damage: an error, never an empty profile."""
    with pytest.raises(LayoutUnknown):
        decode(value)
    with pytest.raises(LayoutUnknown):
        Draft(value)
