"""A second, slow and obvious way from events to a profile; shares no code with the first.

Events are JSON objects as a producer sends them; a profile is a dict from kind to a sorted
list of tuples, which is what ``msgspec.to_builtins`` makes of the real one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import xxhash

KEPT = {
    "searches": 20,
    "views": 100,
    "carts": 50,
    "purchases": 100,
    "cancels": 100,
    "impressions": 50,
    "clicks": 50,
    "ratings": 50,
    "not_interested": 50,
    "links": 20,
}

Event = dict[str, Any]


def micros(text: str) -> int:
    """Microseconds since 1970 of a JSON timestamp."""
    moment = datetime.fromisoformat(text)
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def number_of(event_id: str) -> int:
    """An event's name in a profile."""
    if len(event_id) == 16 and set(event_id) <= set("0123456789abcdef"):
        return int(event_id, 16)
    return int(xxhash.xxh3_64_intdigest(event_id.encode()))


def price(line: Event) -> tuple[int, str]:
    """A line's price in millionths, and its currency."""
    money = line.get("unitPrice")
    if money is None:
        return 0, ""
    millionths = int(money.get("units", 0)) * 1_000_000 + int(money.get("nanos", 0) / 1000)
    return millionths, money.get("currencyCode", "")


def rows(event: Event) -> list[tuple[str, tuple[Any, ...]]]:  # noqa: C901 - one branch a kind
    """What one event says, as (kind, entry) pairs."""
    head = (micros(event["occurredAt"]), number_of(event["eventId"]))
    if said := event.get("search"):
        return [("searches", (*head, 0, said["query"]))]
    if said := event.get("view"):
        return [("views", (*head, 0, said["productId"]))]
    if said := event.get("click"):
        return [("clicks", (*head, 0, said["productId"]))]
    if said := event.get("notInterested"):
        return [("not_interested", (*head, 0, said["productId"]))]
    if said := event.get("addToCart"):
        return [("carts", (*head, 0, said["productId"], said["quantity"]))]
    if said := event.get("removeFromCart"):
        return [("carts", (*head, 0, said["productId"], -said["quantity"]))]
    if said := event.get("rating"):
        return [("ratings", (*head, 0, said["productId"], said["stars"]))]
    if said := event.get("impression"):
        return [("impressions", (*head, 0, tuple(said["productIds"])))]
    if said := event.get("purchase"):
        return [
            (
                "purchases",
                (*head, i, ln["productId"], said["orderId"], ln["quantity"], *price(ln)),
            )
            for i, ln in enumerate(said["lines"])
        ]
    if said := event.get("cancel"):
        if not said.get("lines"):
            return [("cancels", (*head, 0, "", said["orderId"], 0))]
        return [
            ("cancels", (*head, i, ln["productId"], said["orderId"], ln["quantity"]))
            for i, ln in enumerate(said["lines"])
        ]
    if "identify" in event:
        return [("links", (*head, 0, event["visitorId"], True))]
    return [("links", (*head, 0, event["visitorId"], False))]


def recompute(events: list[Event]) -> dict[str, Any]:
    """The profile of one shopper from all events at once: write down, sort, cut."""
    written: list[tuple[str, tuple[Any, ...]]] = [row for event in events for row in rows(event)]
    times = [micros(event["occurredAt"]) for event in events]
    profile: dict[str, Any] = {
        "first_seen": min(times, default=0),
        "last_seen": max(times, default=0),
    }
    for kind, bound in KEPT.items():
        best: dict[tuple[int, int], tuple[Any, ...]] = {}
        for row in sorted(row for this, row in written if this == kind):
            best[row[1], row[2]] = row  # the last one, which is the greatest, stays
        profile[kind] = sorted(best.values())[-bound:]
    return profile


def trend_counts(
    events: list[tuple[Event, int]], *, shop_id: str
) -> dict[tuple[str, int, str], int]:
    """How many subjects touched each product in each hour.

    ``events`` are pairs of an event and its append time in microseconds. Only right while no
    kind of a profile overflows.
    """
    who: dict[tuple[str, int, str], set[str]] = {}
    for event, appended in events:
        at = micros(event["occurredAt"])
        if appended - at > 7 * 24 * 3600 * 1_000_000:
            continue
        subject = "u:" + event["userId"] if event.get("userId") else "v:" + event["visitorId"]
        for kind, row in rows(event):
            counts = kind in ("views", "clicks", "purchases") or (kind == "carts" and row[4] > 0)
            if counts:
                who.setdefault((shop_id, at // 3_600_000_000, row[3]), set()).add(subject)
    return {key: len(subjects) for key, subjects in who.items()}
