"""Products that somebody else has chosen, in the order that suits a shopper."""

from __future__ import annotations

import numpy as np
import pytest
from attune.recommendations.v1 import recommendation_service_pb2 as pb

from services.recommendations.adapters.model import Model
from services.recommendations.domain.scenario import (
    Boost,
    LeaveOut,
    Pin,
    Scenario,
    Scenarios,
)
from services.shared.profile import Touch
from tests.storefront import (
    GONE,
    NOW,
    SHOP,
    VECTORS,
    Kind,
    Storefront,
    bought,
    by_id,
    ids,
    model_of,
    number,
    shop_of,
    viewed,
)

GIVEN = ("shoe", "saw", "pot", "mug", "sock")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return model_of(tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture
def shop(model: Model) -> Storefront:
    """Six learned products, and a new one."""
    return shop_of(model, "novel")


def searching(shop: Storefront, **fields: object) -> None:
    """Results of a search are ordered so."""
    told = {"sources": ("personal", "session"), **fields}
    scenario = Scenario(**told)  # type: ignore[arg-type]  # as the tests write it
    shop.policies.put({SHOP: Scenarios(version="1", scenarios={"search": scenario})})


@pytest.mark.parametrize("weight", [0.25, 0.5, 0.75, 1.0])
async def test_relevance_and_taste_are_weighed(shop: Storefront, weight: float) -> None:
    """Each counts from 0 to 1 among the given, and the scenario says how much each."""
    searching(shop, personal_weight=weight)
    await shop.know("ana", viewed("tea"))
    taste = {each: float(np.dot(VECTORS["tea"], VECTORS[each])) for each in GIVEN}
    least, most = min(taste.values()), max(taste.values())
    wanted = {
        each: (1 - weight) * (1 - place / 4) + weight * (taste[each] - least) / (most - least)
        for place, each in enumerate(GIVEN)
    }
    answer = await shop.rank(*GIVEN)
    assert ids(answer.products) == sorted(GIVEN, key=lambda each: -wanted[each])
    found = {product.product_id: product.score for product in answer.products}
    assert found == pytest.approx(wanted, abs=1e-6)
    assert (answer.source, answer.fallback_cause) == (pb.SOURCE_PERSONAL, 0)
    assert (answer.model_version, answer.scenario) == (shop.model.version, "search")


async def test_without_a_word_of_the_shopper_the_order_stays(shop: Storefront) -> None:
    """That of the request, which the source says, and why."""
    answer = await shop.rank(*GIVEN, user_id="nobody")
    assert ids(answer.products) == list(GIVEN)
    assert answer.source == pb.SOURCE_GIVEN
    assert answer.fallback_cause == pb.FALLBACK_CAUSE_UNKNOWN_SHOPPER
    assert answer.model_version == ""
    assert not any(product.HasField("reason") for product in answer.products)


async def test_what_the_caller_says_of_the_visit_counts(shop: Storefront) -> None:
    """Where nothing else is known."""
    context = pb.Context(recent_product_ids=["saw"])
    answer = await shop.rank("tea", "pot", "mug", "saw", user_id="nobody", context=context)
    assert answer.source == pb.SOURCE_SESSION
    assert answer.fallback_cause == pb.FALLBACK_CAUSE_UNKNOWN_SHOPPER


async def test_a_model_without_weight_is_not_asked(shop: Storefront) -> None:
    """The order is the request's, also for a shopper who is known."""
    searching(shop, personal_weight=0.0)
    await shop.know("ana", viewed("tea"))
    answer = await shop.rank(*GIVEN)
    assert ids(answer.products) == list(GIVEN)
    assert answer.source == pb.SOURCE_GIVEN
    assert answer.fallback_cause == pb.FALLBACK_CAUSE_NOT_ASKED


async def test_only_what_the_model_lifts_has_a_reason(shop: Storefront) -> None:
    """The rest stands there because it was asked for."""
    await shop.know("ana", viewed("tea"))
    found = by_id((await shop.rank(*GIVEN)).products)
    explained = {each for each, product in found.items() if product.HasField("reason")}
    assert explained == {"pot", "mug"}
    assert found["pot"].reason.kind == Kind.KIND_VIEWED
    assert found["pot"].reason.sentence == "Because you looked at The tea"


async def test_what_cannot_be_had_is_left_out_and_what_stands_twice_counts_once(
    shop: Storefront,
) -> None:
    """Unknown, sold out, filtered; a new product that the model does not know is kept."""
    shop.catalog.put_offer("pot", GONE)
    await shop.know("ana", viewed("tea"))
    answer = await shop.rank(
        "novel", "pot", "unheard-of", "mug", "novel", "saw", filter='product.id != "saw"'
    )
    assert sorted(ids(answer.products)) == ["mug", "novel"]
    nothing = await shop.rank("pot", "unheard-of")
    assert not nothing.products
    assert nothing.fallback_cause == pb.FALLBACK_CAUSE_NOTHING_LEFT


async def test_a_scenario_leaves_out_what_it_says_but_a_refusal_does_not(
    shop: Storefront,
) -> None:
    """Who searches for a product that was once refused finds it."""
    searching(shop, leave_out=LeaveOut(bought_days=7), pins=(Pin(product="tea", place=1),))
    refused = (Touch(NOW, number("no"), 0, "mug"),)
    await shop.know("ana", bought(("saw", 2), not_interested=refused))
    assert sorted(ids((await shop.rank(*GIVEN)).products)) == ["mug", "pot", "shoe", "sock"]


async def test_boosts_lift_given_products_too(shop: Storefront) -> None:
    """By parts of the way from the average of the given to the best of them."""
    searching(shop, boosts=(Boost(when='product.id == "sock"', by=1.0),))
    answer = await shop.rank(*GIVEN, user_id="nobody")
    assert ids(answer.products) == ["shoe", "saw", "pot", "sock", "mug"]
    assert by_id(answer.products)["sock"].score == pytest.approx(0.5)


async def test_as_many_as_are_given_come_back(shop: Storefront) -> None:
    """A thousand that the model has never heard of."""
    names = [f"n{place}" for place in range(1_000)]
    for name in names:
        shop.offer(name, "new")
    await shop.know("ana", viewed("tea"))
    assert sorted(ids((await shop.rank(*names)).products)) == sorted(names)
