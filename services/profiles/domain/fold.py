"""What an event adds to its shopper's profile.

An event is a small profile, and folding is merging: so the order of events, their
repetition and how they are split into batches cannot matter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from google.protobuf.message import Message
from msgspec import UNSET

from services.shared.event import Event
from services.shared.profile import BOUNDS, event_hash
from services.shared.profile_layout import BIAS, KIND, encode_item

BOUND: Final = tuple(BOUNDS.values())


class Addition(msgspec.Struct, frozen=True, gc=False):
    """Entries of one kind as a section's bytes, see :mod:`services.shared.profile_layout`."""

    kind: int
    at: int
    """When it happened, in microseconds since 1970."""
    entries: int
    """How many."""
    keys: bytes
    items: bytes
    visited: tuple[str, ...]
    """The products that the shopper turned to."""


def addition(event: Event) -> Addition:
    """What ``event`` adds; of an order's lines no more than a profile keeps."""
    kind, make = _KINDS[event.action]
    key = (event.at + BIAS).to_bytes(8, "big") + event_hash(event.event_id)
    return make(kind, event, key)


def _search(kind: int, event: Event, key: bytes) -> Addition:
    return Addition(kind, event.at, 1, key, encode_item(event.what.query), ())


def _visit(kind: int, event: Event, key: bytes) -> Addition:
    product = event.what.product_id
    return Addition(kind, event.at, 1, key, encode_item(product), (product,))


def _refusal(kind: int, event: Event, key: bytes) -> Addition:
    return Addition(kind, event.at, 1, key, encode_item(event.what.product_id), ())


def _put_in(kind: int, event: Event, key: bytes) -> Addition:
    product = event.what.product_id
    item = encode_item((product, event.what.quantity))
    return Addition(kind, event.at, 1, key, item, (product,))


def _took_out(kind: int, event: Event, key: bytes) -> Addition:
    item = encode_item((event.what.product_id, -event.what.quantity))
    return Addition(kind, event.at, 1, key, item, ())


def _purchases(kind: int, event: Event, key: bytes) -> Addition:
    order_id = event.what.order_id
    lines = [(line.product_id, order_id, line.quantity, *_price(line)) for line in event.what.lines]
    visited = tuple(line[0] for line in lines[-BOUND[kind] :])
    return _lines(kind, event.at, key, lines, visited)


def _cancels(kind: int, event: Event, key: bytes) -> Addition:
    order_id = event.what.order_id
    lines = [(line.product_id, order_id, line.quantity) for line in event.what.lines or ()]
    return _lines(kind, event.at, key, lines or [("", order_id, 0)], ())


def _lines(kind: int, at: int, key: bytes, lines: list[Any], visited: tuple[str, ...]) -> Addition:
    kept = range(max(0, len(lines) - BOUND[kind]), len(lines))
    keys = b"".join([key + line.to_bytes(2, "big") for line in kept])
    items = b"".join([encode_item(lines[line]) for line in kept])
    return Addition(kind, at, len(kept), keys, items, visited)


def _price(line: Any) -> tuple[int, str]:
    """What one piece cost, in millionths, and of what; (0, "") where it is not said."""
    is_said = (
        line.HasField("unit_price") if isinstance(line, Message) else line.unit_price is not UNSET
    )
    if not is_said:
        return 0, ""
    money = line.unit_price
    units, nanos = int(money.units or 0), money.nanos or 0
    return units * 1_000_000 + nanos // 1000, money.currency_code


def _shown(kind: int, event: Event, key: bytes) -> Addition:
    return Addition(kind, event.at, 1, key, encode_item(list(event.what.product_ids)), ())


def _rating(kind: int, event: Event, key: bytes) -> Addition:
    item = encode_item((event.what.product_id, event.what.stars))
    return Addition(kind, event.at, 1, key, item, ())


def _linked(kind: int, event: Event, key: bytes) -> Addition:
    return Addition(kind, event.at, 1, key, encode_item((event.visitor_id, True)), ())


def _unlinked(kind: int, event: Event, key: bytes) -> Addition:
    return Addition(kind, event.at, 1, key, encode_item((event.visitor_id, False)), ())


_Make = Callable[[int, Event, bytes], Addition]

_KINDS: Final[dict[str, tuple[int, _Make]]] = {
    action: (KIND[kind], make)
    for action, kind, make in (
        ("search", "searches", _search),
        ("view", "views", _visit),
        ("click", "clicks", _visit),
        ("not_interested", "not_interested", _refusal),
        ("add_to_cart", "carts", _put_in),
        ("remove_from_cart", "carts", _took_out),
        ("purchase", "purchases", _purchases),
        ("cancel", "cancels", _cancels),
        ("impression", "impressions", _shown),
        ("rating", "ratings", _rating),
        ("identify", "links", _linked),
        ("logout", "links", _unlinked),
    )
}
