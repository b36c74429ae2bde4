"""A reason names an event without which the product would have scored less.

Asked of the demo's model and its shoppers: for each product of a list the named event is taken out
of the history, and another by chance; the product's score must fall by more without the first.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence

import pytest

from deploy.local.demo.complete_journey import Basket, baskets, newest, read_sales
from services.recommendations.adapters.model import Model
from services.recommendations.domain.answer import Cause, Pick
from services.recommendations.domain.ask import Ask
from services.recommendations.domain.budget import Budget, Costs
from services.recommendations.domain.candidates import Rules
from services.recommendations.domain.catalog import Catalog
from services.recommendations.domain.lists import made
from services.recommendations.domain.placed import Placed
from services.recommendations.domain.rerank import Caps
from services.recommendations.domain.scenario import Scenario
from services.shared.model_input import PURCHASE, Interaction
from services.shared.profile import Profile, Purchase, event_hash
from tests.recommendation_parts import listing, loaded
from tests.stack import BUNDLE

CASES = 500
LEAST = 0.9
SHOPPERS = 60
NEWEST = 100


def profiles() -> Iterator[tuple[Profile, int]]:
    """Profiles of households that buy much, and when their last order was."""
    kept: dict[str, list[Basket]] = {}
    for basket in baskets(newest(read_sales(), 60_000)):
        kept.setdefault(basket.household_id, []).append(basket)
    for orders in sorted(kept.values(), key=len, reverse=True)[:SHOPPERS]:
        lines = [
            Purchase(
                order.at, event(order.order_id), place, line.product_id, order.order_id, 1, 0, ""
            )
            for order in orders
            for place, line in enumerate(order.lines)
        ]
        at = orders[-1].at
        yield Profile(orders[0].at, at, purchases=tuple(sorted(lines)[-NEWEST:])), at


def event(order_id: str) -> int:
    return int.from_bytes(event_hash(order_id), "big")


def picks(model: Model, catalog: Catalog, profile: Profile, now: int, *, new: bool) -> list[Pick]:
    """The list of a shopper; only of products that were not bought before if ``new``."""
    bought = {catalog.row(line.product_id) or 0 for line in profile.purchases} if new else set()
    ask = Ask(
        catalog=catalog,
        model=model,
        placed=Placed(catalog, model.learned),
        scenario=Scenario(sources=("personal",)),
        rules=Rules(catalog.available[: catalog.rows], (), 0.0, Caps()),
        profile=profile,
        cause=Cause.UNKNOWN_SHOPPER,
        limit=10,
        now=now,
        budget=Budget(Costs(), 60.0, time.monotonic),
        excluded=bought,
    )
    return list(made(ask).picks)


@pytest.mark.parametrize("new", [False, True], ids=["whatever comes", "never bought before"])
def test_without_the_named_event_a_product_scores_less(new: bool) -> None:
    """In at least nine of ten of 500 cases, than without an event taken by chance."""
    (model, vocabulary), chance = loaded(BUNDLE), random.Random(1)
    catalog = Catalog(vocabulary)
    for product_id in vocabulary:
        catalog.put_product(product_id, listing(product_id))
    right = cases = 0
    for profile, now in profiles():
        did = [Interaction(p.at, p.product_id, PURCHASE) for p in profile.purchases]
        known = [place for place, one in enumerate(did) if one.product_id in vocabulary]
        whole = model.read(did, now)
        assert whole is not None
        for pick in picks(model, catalog, profile, now, new=new):
            assert pick.reason is not None
            named = max(
                place
                for place in known
                if (did[place].at, did[place].product_id)
                == (pick.reason.at, pick.reason.product_id)
            )
            other = chance.choice([place for place in known if place != named])
            falls = [
                whole.scores[pick.row] - score(model, did, without, pick.row, now)
                for without in (named, other)
            ]
            right += falls[0] > falls[1]
            cases += 1
            if cases == CASES:
                assert right >= LEAST * CASES, f"{right} of {CASES}"
                return
    pytest.fail(f"only {cases} cases were found")


def score(model: Model, did: Sequence[Interaction], without: int, row: int, now: int) -> float:
    """A product's score for a history that lacks one interaction."""
    read = model.read([*did[:without], *did[without + 1 :]], now)
    assert read is not None
    return float(read.scores[row])
