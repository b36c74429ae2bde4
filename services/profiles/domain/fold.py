"""What an event leaves in its shopper's profile.

An event is a small profile, and folding is merging: so the order of events, their
repetition and how they are split into batches cannot matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from google.protobuf.message import Message
from msgspec import UNSET

from services.shared.event import Event
from services.shared.profile import (
    BOUNDS,
    Cancel,
    Cart,
    Link,
    Profile,
    Purchase,
    Rating,
    Search,
    Shown,
    Touch,
    merge_all,
    newest,
)


def fold(profile: Profile, events: Iterable[Event]) -> Profile:
    """``profile`` with what ``events`` add to it; all are one shopper's."""
    return merge_all((profile, *map(entries, events)))


def entries(event: Event) -> Profile:
    """The profile of a shopper who did this and nothing else."""
    kind, make = _KINDS[event.action]
    made = make(event)
    kept = newest(made, BOUNDS[kind]) if len(made) > 1 else tuple(made)
    return Profile(first_seen=event.at, last_seen=event.at, **{kind: kept})


def _search(event: Event) -> list[Search]:
    return [Search(event.at, event.event_id, 0, event.what.query)]


def _touch(event: Event) -> list[Touch]:
    return [Touch(event.at, event.event_id, 0, event.what.product_id)]


def _put_in(event: Event) -> list[Cart]:
    return [Cart(event.at, event.event_id, 0, event.what.product_id, event.what.quantity)]


def _took_out(event: Event) -> list[Cart]:
    return [Cart(event.at, event.event_id, 0, event.what.product_id, -event.what.quantity)]


def _purchases(event: Event) -> list[Purchase]:
    at, event_id, order_id = event.at, event.event_id, event.what.order_id
    return [
        Purchase(at, event_id, number, line.product_id, order_id, line.quantity, *_price(line))
        for number, line in enumerate(event.what.lines)
    ]


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


def _cancels(event: Event) -> list[Cancel]:
    at, event_id, cancel = event.at, event.event_id, event.what
    if not cancel.lines:
        return [Cancel(at, event_id, 0, "", cancel.order_id, 0)]
    return [
        Cancel(at, event_id, number, line.product_id, cancel.order_id, line.quantity)
        for number, line in enumerate(cancel.lines)
    ]


def _shown(event: Event) -> list[Shown]:
    return [Shown(event.at, event.event_id, 0, tuple(event.what.product_ids))]


def _rating(event: Event) -> list[Rating]:
    return [Rating(event.at, event.event_id, 0, event.what.product_id, event.what.stars)]


def _linked(event: Event) -> list[Link]:
    return [Link(event.at, event.event_id, 0, event.visitor_id, True)]


def _unlinked(event: Event) -> list[Link]:
    return [Link(event.at, event.event_id, 0, event.visitor_id, False)]


_Make = Callable[[Event], "list[Any]"]

_KINDS: Final[dict[str, tuple[str, _Make]]] = {
    "search": ("searches", _search),
    "view": ("views", _touch),
    "click": ("clicks", _touch),
    "not_interested": ("not_interested", _touch),
    "add_to_cart": ("carts", _put_in),
    "remove_from_cart": ("carts", _took_out),
    "purchase": ("purchases", _purchases),
    "cancel": ("cancels", _cancels),
    "impression": ("impressions", _shown),
    "rating": ("ratings", _rating),
    "identify": ("links", _linked),
    "logout": ("links", _unlinked),
}
