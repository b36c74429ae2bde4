"""Something always comes back, says how it was made, and is available."""

from __future__ import annotations

import pytest
from attune.recommendations.v1 import recommendation_service_pb2 as pb

from services.recommendations.adapters.model import Model
from services.recommendations.domain.scenario import Boost, Variety
from services.recommendations.domain.trending import HALF_LIFE, LENGTH, add_hour, leaders, weight
from services.shared.profile import Profile
from tests.storefront import (
    BEST_SOLD,
    GONE,
    Kind,
    Storefront,
    bought,
    by_id,
    ids,
    model_of,
    shop_of,
    viewed,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return model_of(tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture
def shop(model: Model) -> Storefront:
    """Six learned products, and a new one."""
    return shop_of(model, "novel")


async def test_trending_products_come_first_and_popular_ones_fill_up(shop: Storefront) -> None:
    """A short trending list is filled with popular products; the source is trending."""
    shop.scenario(variety=Variety(strength=0.0))
    shop.trends.leaders = [("novel", 7.0), ("gone", 5.0), ("saw", 3.0)]
    answer = await shop.recommend("nobody", limit=5)
    assert ids(answer.products) == ["novel", "saw", "tea", "pot", "mug"]
    assert answer.source == pb.SOURCE_TRENDING
    assert answer.fallback_cause == pb.FALLBACK_CAUSE_UNKNOWN_SHOPPER
    assert answer.model_version == ""
    kinds = [product.reason.kind for product in answer.products]
    assert kinds == [Kind.KIND_TRENDING] * 2 + [Kind.KIND_POPULAR] * 3
    scores = [product.score for product in answer.products]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("profile", "cause"),
    [
        (None, pb.FALLBACK_CAUSE_UNKNOWN_SHOPPER),
        (viewed("unheard-of"), pb.FALLBACK_CAUSE_EMPTY_PROFILE),
        (viewed("tea"), pb.FALLBACK_CAUSE_PROFILE_UNAVAILABLE),
    ],
)
async def test_the_answer_says_why_it_is_not_personal(
    shop: Storefront, profile: Profile | None, cause: int
) -> None:
    """Nobody knows the shopper, or nothing to go by, or the profile cannot be read now."""
    if profile is not None:
        await shop.know("ana", profile)
    shop.profiles.is_away = cause == pb.FALLBACK_CAUSE_PROFILE_UNAVAILABLE
    answer = await shop.recommend()
    assert (answer.source, answer.fallback_cause) == (pb.SOURCE_POPULAR, cause)
    assert ids(answer.products) == [*BEST_SOLD, "novel", "saw"]


async def test_what_was_never_bought_does_not_claim_it(shop: Storefront) -> None:
    """Never bought products come last by product id, however much they are lifted."""
    shop.scenario(sources=("popular",), boosts=(Boost(when='product.id == "saw"', by=1.0),))
    found = by_id((await shop.recommend()).products)
    assert [*found] == ["tea", "pot", "saw", "mug", "sock", "shoe", "novel"]
    assert found["saw"].reason.kind == Kind.KIND_LISTED
    assert found["saw"].reason.sentence == "From the shop's catalogue"
    assert found["tea"].reason.sentence == "Bought by many"


async def test_fallbacks_hide_what_is_unavailable_or_excluded(shop: Storefront) -> None:
    """Sold out and excluded products are in no list, trending or popular."""
    shop.catalog.put_offer("novel", GONE)
    shop.catalog.put_offer("pot", GONE)
    shop.trends.leaders = [("novel", 7.0), ("tea", 3.0), ("saw", 1.0)]
    answer = await shop.recommend("nobody", exclude_product_ids=["tea"])
    assert ids(answer.products) == ["saw", "mug", "sock", "shoe"]


async def test_an_empty_catalogue_gives_an_empty_list(model: Model) -> None:
    """A shop without products is answered with none; that is no error, and says what is left."""
    shop = Storefront(model)
    shop.trends.leaders = [("tea", 1.0)]
    await shop.know("ana", bought(("tea", 1)))
    answer = await shop.recommend()
    assert not answer.products
    assert answer.fallback_cause == pb.FALLBACK_CAUSE_NOTHING_LEFT


def test_a_count_is_worth_half_after_each_half_life() -> None:
    """Decay is applied when reading; a bucket from the future counts as this hour's."""
    assert weight(0) == weight(-3) == 1.0
    assert weight(HALF_LIFE) == 0.5
    scores: dict[str, float] = {}
    add_hour(scores, {"a": 4, "b": 1}, age=HALF_LIFE)
    add_hour(scores, {"b": 1}, age=0)
    assert scores == {"a": 2.0, "b": 1.5}


def test_leaders_are_bounded_and_ordered() -> None:
    """The best come first, ties by product id, and no more than the bound."""
    scores = {f"p{number:04d}": float(number // 2) for number in range(2 * LENGTH)}
    found = leaders(scores)
    assert len(found) == LENGTH
    assert [product for product, _ in found[:4]] == ["p0998", "p0999", "p0996", "p0997"]
