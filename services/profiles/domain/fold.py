"""What an event leaves in its shopper's profile.

An event is a small profile, and folding is merging: so the order of events, their
repetition and how they are split into batches cannot matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from attune.events.v1 import shopper_event_pb2 as pb

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


def occurred_micros(event: pb.ShopperEvent) -> int:
    """When it happened, in microseconds since 1970."""
    return event.occurred_at.seconds * 1_000_000 + event.occurred_at.nanos // 1000


def fold(profile: Profile, events: Iterable[pb.ShopperEvent]) -> Profile:
    """``profile`` with what ``events`` add to it; all are one shopper's."""
    return merge_all((profile, *map(entries, events)))


def entries(event: pb.ShopperEvent) -> Profile:
    """The profile of a shopper who did this and nothing else."""
    at = occurred_micros(event)
    action = event.WhichOneof("action")
    kind, make = _KINDS[action] if action else ("", None)
    if make is None:
        return Profile(first_seen=at, last_seen=at)
    made = make(at, event.event_id, event)
    kept = newest(made, BOUNDS[kind]) if len(made) > 1 else tuple(made)
    return Profile(first_seen=at, last_seen=at, **{kind: kept})


def _searches(at: int, event_id: str, event: pb.ShopperEvent) -> list[Search]:
    return [Search(at, event_id, 0, event.search.query)]


def _views(at: int, event_id: str, event: pb.ShopperEvent) -> list[Touch]:
    return [Touch(at, event_id, 0, event.view.product_id)]


def _clicks(at: int, event_id: str, event: pb.ShopperEvent) -> list[Touch]:
    return [Touch(at, event_id, 0, event.click.product_id)]


def _not_interested(at: int, event_id: str, event: pb.ShopperEvent) -> list[Touch]:
    return [Touch(at, event_id, 0, event.not_interested.product_id)]


def _put_in(at: int, event_id: str, event: pb.ShopperEvent) -> list[Cart]:
    return [Cart(at, event_id, 0, event.add_to_cart.product_id, event.add_to_cart.quantity)]


def _took_out(at: int, event_id: str, event: pb.ShopperEvent) -> list[Cart]:
    taken = event.remove_from_cart
    return [Cart(at, event_id, 0, taken.product_id, -taken.quantity)]


def _purchases(at: int, event_id: str, event: pb.ShopperEvent) -> list[Purchase]:
    order_id = event.purchase.order_id
    made = []
    for number, line in enumerate(event.purchase.lines):
        price, currency = 0, ""
        if line.HasField("unit_price"):
            money = line.unit_price
            price = money.units * 1_000_000 + money.nanos // 1000
            currency = money.currency_code
        product_id, quantity = line.product_id, line.quantity
        made.append(Purchase(at, event_id, number, product_id, order_id, quantity, price, currency))
    return made


def _cancels(at: int, event_id: str, event: pb.ShopperEvent) -> list[Cancel]:
    cancel = event.cancel
    if not cancel.lines:
        return [Cancel(at, event_id, 0, "", cancel.order_id, 0)]
    return [
        Cancel(at, event_id, number, line.product_id, cancel.order_id, line.quantity)
        for number, line in enumerate(cancel.lines)
    ]


def _shown(at: int, event_id: str, event: pb.ShopperEvent) -> list[Shown]:
    return [Shown(at, event_id, 0, tuple(event.impression.product_ids))]


def _ratings(at: int, event_id: str, event: pb.ShopperEvent) -> list[Rating]:
    return [Rating(at, event_id, 0, event.rating.product_id, event.rating.stars)]


def _linked(at: int, event_id: str, event: pb.ShopperEvent) -> list[Link]:
    return [Link(at, event_id, 0, event.visitor_id, True)]


def _unlinked(at: int, event_id: str, event: pb.ShopperEvent) -> list[Link]:
    return [Link(at, event_id, 0, event.visitor_id, False)]


_Make = Callable[[int, str, pb.ShopperEvent], "list[Any]"]

_KINDS: Final[dict[str, tuple[str, _Make]]] = {
    "search": ("searches", _searches),
    "view": ("views", _views),
    "click": ("clicks", _clicks),
    "not_interested": ("not_interested", _not_interested),
    "add_to_cart": ("carts", _put_in),
    "remove_from_cart": ("carts", _took_out),
    "purchase": ("purchases", _purchases),
    "cancel": ("cancels", _cancels),
    "impression": ("impressions", _shown),
    "rating": ("ratings", _ratings),
    "identify": ("links", _linked),
    "logout": ("links", _unlinked),
}
