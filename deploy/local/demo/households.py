"""Three real households: what they buy, what they are shown, what fresh events change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec
import polars as pl
from aiokafka import AIOKafkaProducer
from attune.recommendations.v1.recommendation_service_pb2 import RecommendResponse

from deploy.local.demo.complete_journey import CatalogProduct, Sales
from deploy.local.demo.narration import Narrator
from deploy.local.demo.records import event_record
from deploy.local.demo.sending import EVENTS
from deploy.local.demo.storefront import Storefront
from deploy.local.told import SHOP

ANSWER_SECONDS: Final = 5.0
"""How long an event is given to change an answer."""

WEEKS: Final = 8
"""How far back "buys most" looks."""

SHOWN: Final = 3
"""How many new products of a list are named."""


class Story(NamedTuple):
    """A household that buys much of one category, and what it turns to now."""

    buys: str
    turns_to: str
    search: str


STORIES: Final = (
    Story("Baby foods", "Dog foods", "dry dog food"),
    Story("Cat food", "Coffee", "ground coffee"),
    Story("Yogurt", "Domestic wine", "wine"),
)


class Household(NamedTuple):
    """A household and the three products of its new interest."""

    user_id: str
    story: Story
    fresh: tuple[CatalogProduct, CatalogProduct, CatalogProduct]


class Arrival(msgspec.Struct, frozen=True):
    """A product that was not in the list before."""

    place: int
    title: str
    reason: str


class Change(msgspec.Struct, frozen=True):
    """What one event did: the milliseconds until the answer differed (None: not in time)."""

    event: str
    milliseconds: float | None
    arrived: list[Arrival]


def choose(sales: Sales, products: list[CatalogProduct], *, among: pl.DataFrame) -> list[Household]:
    """For each story the household that lately bought most of its category.

    Only households of the lines ``among`` are looked at: those that were replayed.
    """
    recent = sales.lines.filter(pl.col("week") > pl.col("week").max() - WEEKS)
    recent = recent.join(among, on="household_id", how="semi", maintain_order="left")
    chosen: list[Household] = []
    for story in STORIES:
        ids = {p.product_id for p in products if story.buys in p.category_path}
        buyers = _counted(recent, "household_id", among=ids)
        taken = {household.user_id for household in chosen}
        user_id = next(buyer for buyer in buyers if buyer not in taken)
        chosen.append(Household(user_id, story, _fresh(recent, products, story, user_id)))
    return chosen


def _fresh(
    recent: pl.DataFrame, products: list[CatalogProduct], story: Story, user_id: str
) -> tuple[CatalogProduct, CatalogProduct, CatalogProduct]:
    """The best sellers of the new category that the household has not bought itself."""
    own = set(recent.filter(pl.col("household_id") == user_id)["product_id"])
    wanted = {
        p.product_id: p
        for p in products
        if story.turns_to in p.category_path and p.product_id not in own
    }
    best = [wanted[i] for i in _counted(recent, "product_id", among=set(wanted))[:3]]
    return best[0], best[1], best[2]


def _counted(lines: pl.DataFrame, column: str, *, among: set[str]) -> list[str]:
    """The values of ``column`` by how many lines are about a product of ``among``."""
    counts = lines.filter(pl.col("product_id").is_in(list(among))).group_by(column).len()
    return counts.sort("len", column, descending=[True, False])[column].to_list()


def actions(household: Household) -> Iterator[tuple[str, dict[str, object]]]:
    """One fresh event of each kind, with words for it."""
    viewed, carted, bought = household.fresh
    query = household.story.search
    yield f"searches for “{query}”", {"search": {"query": query}}
    yield f"views {viewed.title}", {"view": {"productId": viewed.product_id}}
    yield (
        f"puts {carted.title} into the cart",
        {"addToCart": {"productId": carted.product_id, "quantity": 1}},
    )
    lines = [{"productId": bought.product_id, "quantity": 1}]
    yield f"buys {bought.title}", {"purchase": {"orderId": "demo-order", "lines": lines}}


async def follow(
    household: Household,
    storefront: Storefront,
    sender: AIOKafkaProducer,
    narrator: Narrator,
) -> list[Change]:
    """Show the household before, send its fresh events, show what each changed."""
    user_id = household.user_id
    narrator.say(f"\n  Household {user_id} — buys a lot of {household.story.buys.lower()}")
    purchases = storefront.profile(user_id).purchases
    titles = dict.fromkeys(line.title for line in purchases if line.title)
    narrator.say("  bought last: " + "; ".join(list(titles)[:6]))
    _show_list(storefront.recommend(user_id), narrator)
    changes = []
    for number, (words, action) in enumerate(actions(household)):
        at = time.time_ns() // 1000
        record = event_record(SHOP, user_id, f"demo-{at}-{number}", at=at, action=action)
        changes.append(await _send(words, record, user_id, storefront, sender))
        _show_change(changes[-1], narrator)
    return changes


async def _send(
    words: str,
    record: tuple[bytes, bytes],
    user_id: str,
    storefront: Storefront,
    sender: AIOKafkaProducer,
) -> Change:
    """Send one event and ask until the answer is another than just before it.

    Between two events the same call has the same answer (decay goes by whole minutes), so
    what differs differs by the event.
    """
    key, value = record
    before = storefront.recommend(user_id)
    start = time.perf_counter()
    await sender.send_and_wait(EVENTS, value, key=key)
    while True:
        after = storefront.recommend(user_id)
        elapsed = time.perf_counter() - start
        if fingerprint(after) != fingerprint(before):
            return Change(words, elapsed * 1000, arrivals(before, after))
        if elapsed > ANSWER_SECONDS:
            return Change(words, None, [])


def fingerprint(answer: RecommendResponse) -> list[tuple[str, float, str]]:
    """What makes two answers the same: products, their scores and their reasons, in order."""
    return [(p.product_id, p.score, p.reason.sentence) for p in answer.products]


def arrivals(before: RecommendResponse, after: RecommendResponse) -> list[Arrival]:
    """The products of ``after`` that ``before`` did not have."""
    known = {product.product_id for product in before.products}
    return [
        Arrival(place, product.title, product.reason.sentence)
        for place, product in enumerate(after.products, 1)
        if product.product_id not in known
    ]


def _show_list(answer: RecommendResponse, narrator: Narrator) -> None:
    rows = [
        (f"{place}", product.title, f"{product.score:.3f}", product.reason.sentence)
        for place, product in enumerate(answer.products, 1)
    ]
    narrator.table(("#", "recommended", "#score", "because"), rows)


def _show_change(change: Change, narrator: Narrator) -> None:
    if change.milliseconds is None:
        narrator.say(f"  → {change.event}: no other answer within {ANSWER_SECONDS:.0f} s")
        return
    narrator.say(f"  → {change.event}: another answer after {change.milliseconds:.0f} ms")
    for new in change.arrived[:SHOWN]:
        narrator.say(f"      new at {new.place}: {new.title} — {new.reason}")
    if len(change.arrived) > SHOWN:
        narrator.say(f"      and {len(change.arrived) - SHOWN} more")
    if not change.arrived:
        narrator.say("      the same products, in another order or with other scores")
