"""Simulated shoppers: what they look at first, and by which rule they answer a list.

Nobody clicks in a demo, so somebody must be made up. The rule is stated, not fitted: of the
products seen a shopper chooses so many in a hundred, by the arm of the experiment and by nothing
else. So that an arm is clicked more says that counting works, and nothing about lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Final, NamedTuple

from attune.recommendations.v1.recommendation_service_pb2 import RecommendResponse

from deploy.local.demo.complete_journey import CatalogProduct
from deploy.local.demo.records import Record, event_record, money
from deploy.local.told import SHOP

VIEWED: Final = 2
"""Products that a shopper has looked at before the first list."""
CHOSEN: Final[Mapping[str, float]] = {"usual": 0.05, "varied": 0.10, "again": 0.05}
"""How many of the products seen are chosen, by arm."""
BOUGHT: Final = 0.3
"""Of the products that are chosen."""


class Guest(NamedTuple):
    """A shopper who was never here before, and has bought nothing."""

    user_id: str
    looks_at: tuple[CatalogProduct, ...]

    def arrives(self, now: int) -> Iterator[Record]:
        """The views; ``now`` is in microseconds since 1970."""
        for place, product in enumerate(self.looks_at):
            action: dict[str, object] = {"view": {"productId": product.product_id}}
            yield self._event(f"view-{place}", now + place, action, "")

    def answers(
        self, shown: RecommendResponse, arm: str, now: int, random: Random
    ) -> Iterator[tuple[str, int, Record]]:
        """What follows from a list: what attribution calls it, how often it counts, the event."""
        token = shown.attribution_token
        seen = [product.product_id for product in shown.products]
        event = self._event("seen", now, {"impression": {"productIds": seen}}, token)
        yield "impressions", len(seen), event
        for place, product in enumerate(shown.products):
            if random.random() >= CHOSEN[arm]:
                continue
            at, chosen = now + place + 1, product.product_id
            click = self._event(f"click-{place}", at, {"click": {"productId": chosen}}, token)
            yield "clicks", 1, click
            if random.random() < BOUGHT:
                cents = product.price.units * 100 + product.price.nanos // 10_000_000
                order = _order(f"{self.user_id}-{place}", chosen, cents)
                yield "purchases", 1, self._event(f"order-{place}", at, order, "")

    def _event(self, name: str, at: int, action: dict[str, object], token: str) -> Record:
        told = action | ({"attributionToken": token} if token else {})
        return event_record(SHOP, self.user_id, f"{self.user_id}-{name}", at=at, action=told)


def guests(count: int, products: Sequence[CatalogProduct], random: Random) -> list[Guest]:
    """So many, each with an eye on one category of those for sale."""
    shelves: dict[str, list[CatalogProduct]] = {}
    for product in products:
        if product.price and product.deliverable:
            shelves.setdefault(product.category_path[-1], []).append(product)
    wide = [shelf for shelf in shelves.values() if len(shelf) >= VIEWED]
    return [
        Guest(f"guest-{number}", tuple(random.sample(random.choice(wide), VIEWED)))
        for number in range(count)
    ]


def _order(order_id: str, product_id: str, cents: int) -> dict[str, object]:
    line = {"productId": product_id, "quantity": 1} | ({"unitPrice": money(cents)} if cents else {})
    return {"purchase": {"orderId": order_id, "lines": [line]}}
