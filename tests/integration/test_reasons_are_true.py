"""A reason names an event without which the product would have scored less.

Asked of the demo's model and its shoppers: for each product of a list the named event is taken out
of the history, and another by chance; the product's score must fall by more without the first. The
data have purchases only: what a household bought is taken for views, clicks, things put into the
cart and purchases, by chance, and half of them have searched within the last day, with most of
these in two steps ("beef", "beef strips"), each of which says much of the other.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import msgspec
import pytest

from deploy.local.demo.complete_journey import Basket, baskets, newest, read_products, read_sales
from services.recommendations.domain.answer import Cause, Pick
from services.recommendations.domain.ask import Ask
from services.recommendations.domain.budget import Budget, Costs
from services.recommendations.domain.candidates import Candidates, Rules
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.learned import Model
from services.recommendations.domain.lists import made
from services.recommendations.domain.placed import Placed
from services.recommendations.domain.reasons import Kind, Reason
from services.recommendations.domain.rerank import Caps
from services.recommendations.domain.scenario import Scenario
from services.recommendations.domain.sources import personal
from services.shared.profile import Cart, Profile, Purchase, Search, Touch
from tests.recommendation_parts import listing, loaded
from tests.stack import BUNDLE

CASES = 500
LEAST = 0.9
"""Of the first reasons, all together and of each kind but one."""
LEAST_SEARCHED = 0.8
"""Where a search was made narrower, either of the two lifts almost all that the other does: neither
is missed as much as one alone would be."""
LEAST_FURTHER = 0.82
"""Of the further ones: beside events of which nothing is said."""
ENOUGH = 30
"""So many reasons of a kind are judged by themselves."""
SHOPPERS = 200
NEWEST = 100
FIELDS = {"views": 0.35, "clicks": 0.15, "carts": 0.15, "purchases": 0.35}
OF_KIND = {
    Kind.VIEWED: "views",
    Kind.CLICKED: "clicks",
    Kind.IN_CART: "carts",
    Kind.BOUGHT: "purchases",
    Kind.BOUGHT_BEFORE: "purchases",
    Kind.SEARCHED: "searches",
}
SECOND = 1_000_000
DAY = 86_400

Event = Touch | Cart | Purchase | Search


class Shop(NamedTuple):
    """The demo's, as far as its model knows it."""

    model: Model
    catalog: Catalog
    placed: Placed
    titles: Sequence[str]
    orders: Sequence[Sequence[Basket]]
    """Of the households that buy most often."""


@pytest.fixture(scope="module")
def shop() -> Shop:
    model, vocabulary = loaded(BUNDLE)
    sales = read_sales()
    told = {product.product_id: product.title for product in read_products(sales)}
    catalog = Catalog(vocabulary)
    for product_id in vocabulary:
        catalog.put_product(product_id, listing(told.get(product_id, product_id)))
    kept: dict[str, list[Basket]] = {}
    for basket in baskets(newest(sales, 60_000)):
        kept.setdefault(basket.household_id, []).append(basket)
    orders = sorted(kept.values(), key=len, reverse=True)[:SHOPPERS]
    return Shop(model, catalog, Placed(catalog, model.learned), sorted(told.values()), orders)


def profiles(shop: Shop, chance: random.Random) -> Iterator[Profile]:
    """Profiles of households that buy much; they end with the last order."""
    for orders in shop.orders:
        lines = [(order, line.product_id) for order in orders for line in order.lines][-NEWEST:]
        fields: dict[str, list[Event]] = {name: [] for name in (*FIELDS, "searches")}
        for number, (order, product_id) in enumerate(lines):
            (field,) = chance.choices(list(FIELDS), list(FIELDS.values()))
            fields[field].append(event(field, number, order, product_id))
        at = orders[-1].at
        fields["searches"] += searches(shop, chance, at)
        yield msgspec.structs.replace(
            Profile(lines[0][0].at, at), **{name: tuple(sorted(e)) for name, e in fields.items()}
        )


def event(field: str, number: int, order: Basket, product_id: str) -> Event:
    if field == "purchases":
        return Purchase(order.at, number, 0, product_id, order.order_id, 1, 0, "")
    if field == "carts":
        return Cart(order.at, number, 0, product_id, 1)
    return Touch(order.at, number, 0, product_id)


def searches(shop: Shop, chance: random.Random, now: int) -> Iterator[Search]:
    """None, one, or one that a second made narrower a minute later."""
    if chance.random() < 0.5:
        return
    first, *rest = chance.choice(shop.titles).split()[:2]
    at = now - int(chance.uniform(60, DAY)) * SECOND
    steps = [first, " ".join([first, *rest])][chance.random() < 0.3 :]
    for number, query in enumerate(steps):
        yield Search(at + number * 60 * SECOND, NEWEST + number, 0, query)


class Shopper:
    """One profile, what it is answered, and what the scores are without an event of it."""

    def __init__(self, shop: Shop, profile: Profile, *, new: bool) -> None:
        self.profile, self._catalog = profile, shop.catalog
        self.events = [
            each
            for field in (*FIELDS, "searches")
            for each in getattr(profile, field)
            if isinstance(each, Search) or shop.catalog.row(each.product_id)
        ]
        touched = {shop.catalog.row(e.product_id) for e in self.events if not isinstance(e, Search)}
        self._ask = Ask(
            catalog=shop.catalog,
            model=shop.model,
            placed=shop.placed,
            scenario=Scenario(sources=("personal",)),
            rules=Rules(shop.catalog.available[: shop.catalog.rows], (), 0.0, Caps()),
            profile=profile,
            cause=Cause.UNKNOWN_SHOPPER,
            limit=10,
            now=profile.last_seen,
            budget=Budget(Costs(), 60.0, time.monotonic),
            excluded={row for row in touched if row} if new else set(),
        )
        self._whole = self._scores(profile)
        self._without: dict[Event, list[float]] = {}
        self.picks = list(made(self._ask).picks)

    def named(self, reason: Reason) -> Event:
        """The event that a reason tells; the newest of such."""
        entries: Sequence[Event] = getattr(self.profile, OF_KIND[reason.kind])
        return max(
            each
            for each in entries
            if each.at == reason.at
            and (each.query if isinstance(each, Search) else each.product_id)
            == (reason.query or reason.product_id)
        )

    def fall(self, pick: Pick, one: Event) -> float:
        """By how much a product of the answer scores less without an event."""
        place = self.picks.index(pick)
        if one not in self._without:
            field = next(f for f in (*FIELDS, "searches") if one in getattr(self.profile, f))
            left = tuple(each for each in getattr(self.profile, field) if each != one)
            scores = self._scores(msgspec.structs.replace(self.profile, **{field: left}))
            self._without[one] = [float(scores[each.row]) for each in self.picks]
        return float(self._whole[pick.row]) - self._without[one][place]

    def _scores(self, profile: Profile) -> list[float]:
        found = personal(replace(self._ask, profile=profile, history=()))
        assert isinstance(found, Candidates)
        return found.scores  # type: ignore[return-value]  # an array, asked like a list


class Rates:
    """How many were right of how many, by kind."""

    def __init__(self) -> None:
        self.right: Counter[Kind] = Counter()
        self.all: Counter[Kind] = Counter()

    def add(self, kind: Kind, *, is_right: bool) -> None:
        self.right[kind] += is_right
        self.all[kind] += 1

    def __str__(self) -> str:
        return ", ".join(f"{k.name} {self.right[k]}/{n}" for k, n in self.all.most_common())


def judged(shop: Shop, *, new: bool) -> tuple[Rates, Rates]:
    """First reasons against any other event, further ones against any that is not told."""
    chance, first, further = random.Random(1), Rates(), Rates()
    for profile in profiles(shop, chance):
        shopper = Shopper(shop, profile, new=new)
        for pick in shopper.picks:
            assert pick.reason is not None
            told = [shopper.named(each) for each in (pick.reason, *pick.further)]
            assert len(set(told)) == len(told)
            others = [each for each in shopper.events if each != told[0]]
            more = shopper.fall(pick, told[0]) > shopper.fall(pick, chance.choice(others))
            first.add(pick.reason.kind, is_right=more)
            others = [each for each in shopper.events if each not in told]
            for reason, one in zip(pick.further, told[1:], strict=True):
                more = shopper.fall(pick, one) > shopper.fall(pick, chance.choice(others))
                further.add(reason.kind, is_right=more)
            if first.all.total() == CASES:
                return first, further
    pytest.fail(f"only {first.all.total()} cases were found")


@pytest.mark.parametrize(
    ("new", "kinds"),
    [
        (False, {Kind.BOUGHT_BEFORE}),
        (True, {Kind.VIEWED, Kind.CLICKED, Kind.IN_CART, Kind.BOUGHT, Kind.SEARCHED}),
    ],
    ids=["whatever comes", "never turned to before"],
)
def test_without_a_named_event_a_product_scores_less(
    shop: Shop, new: bool, kinds: set[Kind]
) -> None:
    """In nine of ten of 500 cases, than without any other; further ones in four of five."""
    first, further = judged(shop, new=new)
    assert first.right.total() >= LEAST * CASES, str(first)
    many = {kind for kind, count in first.all.items() if count >= ENOUGH}
    assert many >= kinds, str(first)
    for kind in many:
        least = LEAST_SEARCHED if kind is Kind.SEARCHED else LEAST
        assert first.right[kind] >= least * first.all[kind], str(first)
    assert further.all.total() >= CASES / 2
    assert further.right.total() >= LEAST_FURTHER * further.all.total(), str(further)
