"""What shoppers do in a story: every kind of event, late, sent twice, and some that are none."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from tests.profile_events import Event, key_of, text_of

SHOPPERS = 40
"""With a name, in each shop."""

VISITORS = 15
PRODUCTS = 30
POISON = 0.03
"""Of the records that are sent."""

REPEATED = 0.10


class Sent(NamedTuple):
    """A record as it is sent."""

    key: bytes
    value: bytes
    event: Event | None
    """What it says; None where it is to be refused."""


class Shops:
    """Makes records; nothing but ``chance`` and ``now`` decides what they are."""

    def __init__(self, chance: random.Random, names: Sequence[str], now: datetime) -> None:
        self._chance = chance
        self._names = names
        self._now = now
        self._made: list[Sent] = []

    def records(self, count: int) -> list[Sent]:
        """The next ``count`` records."""
        return [self._record() for _ in range(count)]

    def _record(self) -> Sent:
        luck = self._chance.random()
        if luck < POISON:
            return self._poison()
        if luck < POISON + REPEATED and self._made:
            return self._chance.choice(self._made)
        one = self._event()
        self._made.append(Sent(key_of(one), json.dumps(one).encode(), one))
        return self._made[-1]

    def _event(self) -> Event:
        chance = self._chance
        kind = chance.choices(list(ACTIONS), [weight for weight, _ in ACTIONS.values()])[0]
        head: Event = {
            "eventId": f"{chance.getrandbits(64):016x}",
            "shopId": chance.choice(self._names),
            "occurredAt": text_of(self._now - self._age()),
            kind: ACTIONS[kind][1](chance),
        }
        known = chance.random() < 0.8 or kind in ("identify", "logout")
        if known:
            head["userId"] = f"u{int(SHOPPERS * chance.random() ** 1.5)}"
        if not known or kind in ("identify", "logout"):
            head["visitorId"] = f"v{chance.randrange(VISITORS)}"
        return head

    def _age(self) -> timedelta:
        """Most happened just now, some late, some by a clock that is ahead."""
        hours = self._chance.choices((3, 48, 144, -0.03), (70, 17, 10, 3))[0]
        return timedelta(microseconds=int(hours * 3_600_000_000 * self._chance.random()))

    def _poison(self) -> Sent:
        """An event that one of the rules refuses; no two have the same bytes."""
        one = self._event()
        key = key_of(one)
        spoiled = self._chance.randrange(5)
        if spoiled == 0:
            return Sent(key, json.dumps(one).encode()[:-1], None)
        if spoiled == 1:
            return Sent(b"nobody/u:0", json.dumps(one).encode(), None)
        if spoiled == 2:
            one["occurredAt"] = text_of(self._now - timedelta(days=9))
        elif spoiled == 3:
            one["occurredAt"] = text_of(self._now + timedelta(hours=5))
        else:
            one["unheardOf"] = 1
            one["view"], one["click"] = _product(self._chance), _product(self._chance)
        return Sent(key, json.dumps(one).encode(), None)


def _product(chance: random.Random) -> dict[str, Any]:
    return {"productId": f"p{chance.randrange(PRODUCTS)}"}


def _cart(chance: random.Random) -> dict[str, Any]:
    return {**_product(chance), "quantity": chance.randint(1, 3)}


def _purchase(chance: random.Random) -> dict[str, Any]:
    price = {"currencyCode": "EUR", "units": str(chance.randint(1, 90)), "nanos": 990_000_000}
    lines = [{**_cart(chance), "unitPrice": price} for _ in range(chance.randint(1, 3))]
    return {"orderId": f"o{chance.randrange(99)}", "lines": lines}


def _cancel(chance: random.Random) -> dict[str, Any]:
    return {"orderId": f"o{chance.randrange(99)}", "lines": [_cart(chance)]}


def _rating(chance: random.Random) -> dict[str, Any]:
    return {**_product(chance), "stars": chance.randint(1, 5)}


def _impression(chance: random.Random) -> dict[str, Any]:
    return {"productIds": [f"p{chance.randrange(PRODUCTS)}" for _ in range(3)]}


ACTIONS: dict[str, tuple[int, Callable[[random.Random], dict[str, Any]]]] = {
    "view": (36, _product),
    "click": (10, _product),
    "search": (20, lambda chance: {"query": f"q{chance.randrange(50)}"}),
    "addToCart": (8, _cart),
    "removeFromCart": (3, _cart),
    "purchase": (5, _purchase),
    "cancel": (2, _cancel),
    "impression": (8, _impression),
    "rating": (2, _rating),
    "notInterested": (2, _product),
    "identify": (2, lambda _: {}),
    "logout": (2, lambda _: {}),
}
"""How often of a hundred, and what it says."""
