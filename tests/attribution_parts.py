"""Answers and events for tests of attribution, and the plain oracle of what they come to.

The oracle knows nothing of batches, trails, hashes or bounds: it has all answers and events before
it, in no order, and looks at each list and each line by itself.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from services.attribution.domain.counts import Counts, Row
from services.attribution.domain.facts import Fact, answer_facts, event_facts
from services.attribution.domain.following import followed, summed
from services.attribution.domain.units import Known
from services.shared.attribution_rule import Attribution
from services.shared.event import Event as Read
from services.shared.event_codec import decode_event
from services.shared.logged_answer import LoggedAnswer, LoggedProduct
from services.shared.trail import Act, Cancel, Trail, read_trail, write_trail
from tests.profile_events import NOON, Event, event, key_of

SHOP = "demo"
MICROS = timedelta(microseconds=1)
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
HOUR = timedelta(hours=1)
LATER = int((NOON + timedelta(days=100) - EPOCH) / MICROS)
"""When the broker has all of it."""


def micros(moment: datetime) -> int:
    """Since 1970."""
    return (moment - EPOCH) // MICROS


def answer(
    token: str,
    products: Sequence[str] = ("mug", "lamp", "pen"),
    *,
    at: datetime = NOON,
    user: str = "ana",
    visitor: str = "",
    rule: Attribution | None = None,
    **more: Any,
) -> LoggedAnswer:
    """An answer that the recommendations server logs."""
    usual: dict[str, Any] = {"shop_id": SHOP, "method": "Recommend", "scenario": "home"}
    usual |= {"source": 1, "model_version": "m1"}
    return LoggedAnswer(
        attribution_token=token,
        user_id=user,
        visitor_id=visitor,
        answered_at=micros(at),
        products=tuple(LoggedProduct(each) for each in products),
        attribution=rule or Attribution(),
        **usual | more,
    )


def impression(number: int | str, token: str, *products: str, **more: Any) -> Event:
    """Products of a list that were seen."""
    return event(number, attributionToken=token, impression={"productIds": list(products)}, **more)


def click(number: int | str, token: str, product: str = "mug", **more: Any) -> Event:
    """A product that was chosen from a list."""
    return event(number, attributionToken=token, click={"productId": product}, **more)


def cart(number: int | str, product: str = "mug", **more: Any) -> Event:
    """A product that was put into the cart."""
    return event(number, addToCart={"productId": product, "quantity": 1}, **more)


def purchase(number: int | str, *products: str, price: int = 5, **more: Any) -> Event:
    """An order of one piece of each product."""
    paid = {"currencyCode": "EUR", "units": str(price)}
    lines = [{"productId": each, "quantity": 1, "unitPrice": paid} for each in products]
    return event(number, purchase={"orderId": f"o{number}", "lines": lines}, **more)


def cancel(number: int | str, order: int | str, **more: Any) -> Event:
    """A whole order taken back."""
    return event(number, cancel={"orderId": f"o{order}"}, **more)


def read(one: Event) -> Read:
    """The event as services have it."""
    return decode_event(key_of(one), json.dumps(one).encode(), ())


Record = LoggedAnswer | Event
Figures = dict[Row, dict[str, int]]


class World:
    """Trails of one shop, and what they came to; letters wait until they are delivered."""

    def __init__(self, known: Known | None = None) -> None:
        self.trails: dict[str, Trail] = {}
        self.counts: Counts = {}
        self.letters: list[Act | Cancel] = []
        self._known = known or {}

    def take(self, records: Iterable[Record]) -> None:
        """One batch."""
        facts: defaultdict[str, list[Fact]] = defaultdict(list)
        for one in records:
            if isinstance(one, LoggedAnswer):
                shown, exposures = answer_facts(one, LATER)
                facts[one.subject] += (shown, *exposures)
                continue
            known = read(one)
            to = f"v:{known.visitor_id}" if known.user_id and known.visitor_id else ""
            facts[known.subject] += [
                replace(fact, to=to) if isinstance(fact, Act | Cancel) else fact
                for fact in event_facts(known, LATER)
            ]
        for subject, some in facts.items():
            self._follow(subject, some, ())

    def deliver(self) -> None:
        """Have all letters arrive, in their order."""
        letters, self.letters = self.letters, []
        for letter in letters:
            self._follow(letter.to, (), [replace(letter, to="")])

    def _follow(self, subject: str, facts: Iterable[Fact], heard: Iterable[Act | Cancel]) -> None:
        trail = self.trails.get(subject, Trail(SHOP))
        done = followed(trail, facts, self._known, now=0, heard=heard)
        self.trails[subject] = read_trail(write_trail(done.trail))
        self.counts = summed([self.counts, done.grown])
        self.letters += done.letters

    @property
    def figures(self) -> Figures:
        """What is not 0."""
        rows = {row: {n: by for n, by in some.items() if by} for row, some in self.counts.items()}
        return {row: some for row, some in rows.items() if some}


def oracle(answers: Iterable[LoggedAnswer], events: Iterable[Event]) -> Figures:
    """What all of it comes to."""
    lists = list({each.attribution_token: each for each in answers}.values())
    happened = list({(key_of(one), one["eventId"]): read(one) for one in events}.values())
    found: defaultdict[Row, Counter[str]] = defaultdict(Counter)
    for each in lists:
        own = [one for one in happened if one.subject == each.subject]
        count(found, each, "answers", 1)
        count(found, each, "shown", len(each.products))
        count(found, each, "impressions", len(_touched(each, own, "impression")))
        count(found, each, "clicks", len(_touched(each, own, "click")))
    for one in happened:
        if one.action in ("add_to_cart", "purchase"):
            _credit(found, one, lists, happened)
    return {row: +measures for row, measures in found.items()}


def count(found: defaultdict[Row, Counter[str]], each: LoggedAnswer, name: str, by: int) -> None:
    """Add to the rows of a list."""
    day = each.answered_at // (24 * 3_600_000_000)
    names = each.scenario, each.method, each.source, each.model_version
    for experiment, arm in (("", ""), *each.arms):
        found[Row(each.shop_id, day, (*names, experiment, arm))][name] += by


def _touched(each: LoggedAnswer, own: Iterable[Read], action: str) -> set[str]:
    """Products of the list to which it happened in time."""
    listed = {product.product_id for product in each.products}
    return listed & {
        product
        for one in own
        if one.action == action and one.attribution_token == each.attribution_token
        if one.at - each.answered_at <= each.attribution.window_hours * 3_600_000_000
        for product in _products(one)
    }


def _products(one: Read) -> list[str]:
    if one.action == "impression":
        return list(one.what.product_ids)
    if one.action == "purchase":
        return [line.product_id for line in one.what.lines]
    return [one.what.product_id]


def _credit(
    found: defaultdict[Row, Counter[str]],
    one: Read,
    lists: Sequence[LoggedAnswer],
    happened: Sequence[Read],
) -> None:
    back = any(
        other.action == "cancel"
        and one.action == "purchase"
        and (other.subject, other.what.order_id) == (one.subject, one.what.order_id)
        for other in happened
    )
    if back:
        return
    prices = [5] if one.action == "add_to_cart" else [int(_price(x)) for x in one.what.lines]
    for product, price in zip(_products(one), prices, strict=True):
        own = _winners(one, product, one.subject, lists, happened)
        other = f"v:{one.visitor_id}" if one.user_id and one.visitor_id else ""
        theirs = _winners(one, product, other, lists, happened) if other else []
        by_name = [each for each in theirs if each.attribution_token == one.attribution_token]
        if own and not by_name:
            theirs = [each for each in theirs if each.attribution.credit == "every"]
        for each in (*own, *theirs):
            if one.action == "add_to_cart":
                count(found, each, "carts", 1)
            else:
                count(found, each, "purchases", 1)
                count(found, each, "value EUR", price * 1_000_000)


def _price(line: Any) -> Any:
    return line.unit_price.units or 0


def _winners(
    one: Read,
    product: str,
    subject: str,
    lists: Sequence[LoggedAnswer],
    happened: Sequence[Read],
) -> list[LoggedAnswer]:
    """Which of a subject's lists have the credit."""
    fitting = []
    for each in sorted(lists, key=lambda each: each.answered_at):
        listed = product in {listed.product_id for listed in each.products}
        age = one.at - each.answered_at
        is_named = each.attribution_token == one.attribution_token
        in_time = age <= each.attribution.window_hours * 3_600_000_000 and (is_named or age >= 0)
        if each.subject == subject and listed and in_time:
            if is_named:
                return [each]
            if _came_before(each, product, one.at, happened):
                fitting.append(each)
    return [
        each
        for each in fitting
        if each.attribution.credit == "every"
        or (each.attribution.credit == "last" and each is fitting[-1])
        or (each.attribution.credit == "first" and each is fitting[0])
    ]


def _came_before(each: LoggedAnswer, product: str, at: int, happened: Sequence[Read]) -> bool:
    asked = {
        "click": ("click", "add_to_cart"),
        "impression": ("click", "add_to_cart", "impression"),
    }
    if each.attribution.after == "answer":
        return True
    return any(
        other.action in asked[each.attribution.after]
        and (other.subject, other.attribution_token) == (each.subject, each.attribution_token)
        and product in _products(other)
        and max(other.at, each.answered_at) <= at
        and other.at - each.answered_at <= each.attribution.window_hours * 3_600_000_000
        for other in happened
    )


def of_visitor(one: Event, visitor: str) -> Event:
    """The event as one of a visitor who has not signed in."""
    return {**one, "userId": "", "visitorId": visitor}


def at(seconds: float) -> datetime:
    """So long after noon."""
    return NOON + timedelta(seconds=seconds)
