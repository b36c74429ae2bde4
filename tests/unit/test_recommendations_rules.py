"""What acts on every list alike: filters, boosts, pins, what is left out."""

from __future__ import annotations

import numpy as np
import pytest
from attune.recommendations.v1 import recommendation_service_pb2 as pb

from services.recommendations.adapters.model import Model
from services.recommendations.domain.filters.errors import BadExpression
from services.recommendations.domain.scenario import (
    Boost,
    LeaveOut,
    Pin,
    Scenario,
    Variety,
)
from services.shared.profile import Cart
from services.shared.repeat import DAY
from tests.storefront import (
    BEST_SOLD,
    GONE,
    NOW,
    SEEN,
    Kind,
    Storefront,
    bought,
    by_id,
    ids,
    large_shop,
    model_of,
    number,
    shop_of,
    viewed,
)

PLAIN = Variety(strength=0.0, category=1.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return model_of(tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture
def shop(model: Model) -> Storefront:
    """A shop of six products whose home page shows what is bought most."""
    shop = shop_of(model)
    shop.scenario(sources=("popular",), variety=PLAIN)
    return shop


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Storefront:
    return large_shop(tmp_path_factory.mktemp("large") / "bundle")


def unboosted(shop: Storefront) -> dict[str, float]:
    """What the model scores, product by product."""
    vectors = shop.model.learned.vectors.rows(np.arange(701)).astype(float)
    row = {product_id: place for place, product_id in enumerate(shop.vocabulary, start=1)}
    query = vectors[[row[each] for each in SEEN]].sum(axis=0)
    return {product_id: float(vectors[place] @ query) for product_id, place in row.items()}


@pytest.mark.parametrize("by", [(0.3, -0.2), (1.0, 0.5), (-1.0, -1.0), (0.01, 0.0)])
async def test_boosts_act_on_all_products_before_the_best_are_taken(
    large: Storefront, by: tuple[float, float]
) -> None:
    """A boosted list equals the one that comes of scoring, filtering and sorting everything."""
    boosts = (
        Boost(when='product.brand == "brand 3"', by=by[0]),
        Boost(when="product.price < 20.0", by=by[1]),
    )
    large.scenario(
        sources=("personal",), variety=PLAIN, boosts=boosts, filter="product.price < 80.0"
    )
    found = await large.recommend(limit=30)
    products, scores = large.catalog.products, unboosted(large)
    price = {each: large.catalog.price(large.catalog.row(each) or 0) for each in scores}
    allowed = [each for each in scores if (told := price[each]) and told.units < 80]
    span = max(scores[each] for each in allowed) - float(np.mean([*scores.values()]))

    def worth(product_id: str) -> float:
        brand, told = products.brands[large.catalog.row(product_id) or 0], price[product_id]
        lifted = (brand == "brand 3") * by[0] + (told is not None and told.units < 20) * by[1]
        return round(scores[product_id] + lifted * span, 4)

    wanted = sorted(allowed, key=lambda each: (-worth(each), each))[:30]
    assert ids(found.products) == wanted
    assert [each.score for each in found.products] == pytest.approx(
        [worth(each) for each in wanted], abs=1e-3
    )


async def test_a_boost_that_holds_of_everything_changes_no_order(large: Storefront) -> None:
    """Only what is lifted more than others comes up."""
    large.scenario(sources=("personal",), variety=PLAIN)
    plain = ids((await large.recommend(limit=50)).products)
    large.scenario(sources=("personal",), variety=PLAIN, boosts=(Boost(when="true", by=0.7),))
    assert ids((await large.recommend(limit=50)).products) == plain


async def test_a_boost_tells_also_where_all_score_the_same(shop: Storefront) -> None:
    """The products that nobody bought stand by their ids, a lifted one before them."""
    shop.scenario(sources=("trending",), boosts=(Boost(when='product.id == "tea"', by=0.01),))
    shop.trends.leaders = [("mug", 40.0), ("saw", 40.0), ("tea", 40.0)]
    assert ids((await shop.recommend("nobody")).products) == ["tea", "mug", "saw"]


async def test_filters_of_scenario_and_caller_both_count(shop: Storefront) -> None:
    """In every source, also where nothing else is left."""
    shop.scenario(
        sources=("trending", "popular"), variety=PLAIN, filter='product.category != "tea"'
    )
    shop.trends.leaders = [("tea", 3.0), ("mug", 2.0), ("saw", 1.0)]
    answer = await shop.recommend("nobody", filter='product.category in ["tea", "mug", "pot"]')
    assert ids(answer.products) == ["mug", "pot"]
    nothing = await shop.recommend("nobody", filter='product.category == "tea"')
    assert not nothing.products
    assert nothing.fallback_cause == pb.FALLBACK_CAUSE_NOTHING_LEFT


async def test_filters_know_the_shopper_and_the_context(shop: Storefront) -> None:
    """What the profile and the caller say of the one who is asked for."""
    await shop.know("ana", viewed("mug"))
    seen = 'product.category in shopper.categories && shopper.device == "phone"'
    phone, desk = pb.Context(device="phone"), pb.Context(device="desk")
    assert ids((await shop.recommend(filter=seen, context=phone)).products) == ["mug"]
    assert not (await shop.recommend(filter=seen, context=desk)).products
    assert not (await shop.recommend("nobody", filter=seen, context=phone)).products


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("product.price <", (1, 16)),
        ("product.pirce < 10.0", (1, 8)),
        ("true &&\n  product.price < 'x'", (2, 17)),
        (" || ".join(["product.price == 1.0"] * 67), (1, 1194)),
    ],
)
async def test_a_filter_that_cannot_be_read_names_the_field_and_the_place(
    shop: Storefront, text: str, place: tuple[int, int]
) -> None:
    """In each method that takes one."""
    shop.scenario(filter="product.available")
    for call in (
        shop.recommend(filter=text),
        shop.similar("tea", filter=text),
        shop.rank("tea", filter=text),
    ):
        with pytest.raises(BadExpression) as caught:
            await call
        ((field, said),) = caught.value.fields
        assert field == "filter"
        assert said.startswith(f"line {place[0]}, column {place[1]}: ")


async def test_pins_have_their_places_and_say_so(shop: Storefront) -> None:
    """Other products stand around them, scores never rise, and the list is no longer."""
    pins = (Pin(product="saw", place=2), Pin(product="shoe", place=4))
    shop.scenario(sources=("popular",), variety=PLAIN, pins=pins)
    answer = await shop.recommend(limit=5)
    assert ids(answer.products) == ["tea", "saw", "pot", "shoe", "mug"]
    assert answer.products[1].reason.sentence == "Chosen by the shop"
    assert answer.products[1].reason.kind == Kind.KIND_PINNED
    scores = [product.score for product in answer.products]
    assert scores == sorted(scores, reverse=True)
    assert ids((await shop.recommend(limit=3)).products) == ["tea", "saw", "pot"]
    page = await shop.similar("pot", limit=3)
    assert ids(page.products)[1] != "saw", "another scenario has other pins"


async def test_pins_hold_in_lists_of_similar_products(shop: Storefront) -> None:
    """The page's own product is never pinned on it."""
    scenario = Scenario(sources=("similar",), pins=(Pin(product="saw", place=1),), variety=PLAIN)
    shop.scenario(sources=scenario.sources, pins=scenario.pins, variety=PLAIN)
    answer = await shop.similar("tea", scenario="home", limit=3)
    assert ids(answer.products) == ["saw", "pot", "mug"]
    assert answer.source == pb.SOURCE_SIMILAR
    assert "saw" not in ids((await shop.similar("saw", scenario="home")).products)


async def test_a_pin_that_may_not_be_shown_is_passed_over(shop: Storefront) -> None:
    """Sold out, filtered, excluded or unknown: the next one of the place counts, or none."""
    names = ("saw", "sock", "shoe", "unheard-of", "mug", "pot")
    pins = tuple(Pin(product=each, place=1) for each in names)
    shop.scenario(
        sources=("popular",), variety=PLAIN, pins=pins, filter='product.category != "sock"'
    )
    shop.catalog.put_offer("saw", GONE)
    assert ids((await shop.recommend(exclude_product_ids=["shoe"])).products)[0] == "mug"
    only = (Pin(product="saw", place=1),)
    shop.scenario(sources=("popular",), variety=PLAIN, pins=only)
    assert ids((await shop.recommend()).products) == BEST_SOLD


async def test_pins_go_by_conditions_on_shopper_and_product(shop: Storefront) -> None:
    """The first of a place whose condition holds."""
    pins = (
        Pin(product="saw", place=1, when="shopper.signed_in && shopper.purchases > 0"),
        Pin(product="shoe", place=1, when='shopper.country == "DE"'),
        Pin(product="mug", place=1, when="product.price < 5.0"),
        Pin(product="sock", place=1),
    )
    shop.scenario(sources=("popular",), variety=PLAIN, pins=pins)
    await shop.know("ana", bought(("tea", 1)))
    german = pb.Context(country="DE")
    assert ids((await shop.recommend("ana", context=german)).products)[0] == "saw"
    assert ids((await shop.recommend("bo", context=german)).products)[0] == "shoe"
    assert ids((await shop.recommend("bo")).products)[0] == "sock"
    shop.offer("mug", price=4)
    assert ids((await shop.recommend("bo")).products)[0] == "mug"


async def test_a_list_of_pins_alone_is_not_called_anything_else(shop: Storefront) -> None:
    """No source was asked, and the answer says so."""
    pins = (Pin(product="saw", place=1), Pin(product="shoe", place=2))
    shop.scenario(sources=("popular",), pins=pins)
    answer = await shop.recommend(limit=2)
    assert ids(answer.products) == ["saw", "shoe"]
    assert answer.fallback_cause == pb.FALLBACK_CAUSE_NOT_ASKED
    behind = await shop.recommend(limit=5, filter='product.category in ["saw", "tea"]')
    assert ids(behind.products) == ["saw", "tea"]


async def test_what_was_bought_lately_is_left_out(shop: Storefront) -> None:
    """For as many days as the scenario says; a purchase that was taken back does not count."""
    await shop.know("ana", bought(("tea", 6), ("pot", 8), ("mug", 0.5)))
    shop.scenario(sources=("popular",), variety=PLAIN, leave_out=LeaveOut(bought_days=7))
    assert ids((await shop.recommend()).products) == ["pot", "sock", "shoe", "saw"]
    shop.scenario(sources=("popular",), variety=PLAIN)
    assert ids((await shop.recommend()).products) == [*BEST_SOLD, "saw"]


async def test_what_is_in_the_cart_is_left_out(shop: Storefront) -> None:
    """Until it is taken out, or ordered."""
    carts = (
        Cart(NOW - 2 * DAY, number("1"), 0, "pot", 1),
        Cart(NOW - DAY, number("2"), 0, "tea", 1),
        Cart(NOW - DAY, number("3"), 0, "mug", 2),
        Cart(NOW, number("4"), 0, "mug", -2),
    )
    await shop.know("ana", bought(("pot", 1.5), carts=carts))
    shop.scenario(sources=("popular",), variety=PLAIN, leave_out=LeaveOut(in_cart=True))
    assert ids((await shop.recommend()).products) == ["pot", "mug", "sock", "shoe", "saw"]


async def test_the_same_products_are_shown_with_and_without_a_reason_to_explain(
    shop: Storefront,
) -> None:
    """Every product of a list has a reason with a sentence."""
    await shop.know("ana", viewed("tea"))
    shop.scenario(pins=(Pin(product="saw", place=3),))
    for user in ("ana", "bo"):
        found = by_id((await shop.recommend(user)).products)
        assert all(product.reason.sentence for product in found.values())
