"""Where the products of a list come from, source by source, and what the answer says of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from attune.recommendations.v1 import recommendation_service_pb2 as pb

from services.recommendations.adapters.model import Model
from services.recommendations.domain.scenario import SourceName, Variety
from services.shared.profile import Cart, Profile
from services.shared.repeat import DAY, MASKED
from tests.storefront import (
    GONE,
    NOW,
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

TOGETHER = {
    "tea": {"mug": 0.5, "pot": 0.25},
    "sock": {"shoe": 0.5, "mug": 0.125, "tea": 0.0625},
}
REPEAT = {
    "counts": [3],
    "recency_days": [6, 10, 30],
    "score": [[1.0, 1.5, 1.5, 0.5], [2.0, 6.0, 4.0, 1.0]],
}
"""Who bought something three times buys it again after a week or so."""
PLAIN = Variety(strength=0.0, category=1.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("model") / "bundle"
    return model_of(folder, together=TOGETHER, repeat=REPEAT)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model that knows neither what is bought together nor when it is bought again."""
    return model_of(tmp_path_factory.mktemp("bare") / "bundle")


def shop_from(model: Model, *sources: SourceName, new: tuple[str, ...] = ()) -> Storefront:
    """A shop whose home page is made from these sources, without variety."""
    shop = shop_of(model, *new)
    shop.scenario(sources=sources, variety=PLAIN)
    return shop


def cosine(one: str, other: str) -> float:
    """Of two products' vectors."""
    left, right = np.array(VECTORS[one]), np.array(VECTORS[other])
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))


async def test_a_visit_that_the_caller_tells_of_is_read_by_the_model(model: Model) -> None:
    """Where nothing is known of a visitor, what was looked at in this visit leads to the list."""
    shop = shop_from(model, "personal", "session", "popular")
    recent = pb.Context(recent_product_ids=["saw", "unheard-of", "shoe"])
    answer = await shop.recommend("nobody", context=recent)
    assert ids(answer.products)[:3] == ["saw", "shoe", "sock"]
    assert answer.source == pb.SOURCE_SESSION
    assert answer.fallback_cause == pb.FALLBACK_CAUSE_UNKNOWN_SHOPPER
    assert answer.model_version == model.version
    sock = by_id(answer.products)["sock"].reason
    assert (sock.kind, sock.product_id) == (Kind.KIND_VIEWED, "shoe")


async def test_a_visit_of_unknown_products_leads_nowhere(model: Model) -> None:
    """The next source answers, and the cause is that of the first."""
    shop = shop_from(model, "session", "popular")
    answer = await shop.recommend(context=pb.Context(recent_product_ids=["unheard-of"]))
    assert answer.source == pb.SOURCE_POPULAR
    assert answer.fallback_cause == pb.FALLBACK_CAUSE_NOT_ASKED


async def test_similar_products_go_by_the_model(model: Model) -> None:
    """A learned product is compared by its vector; itself is left out."""
    answer = await shop_of(model).similar("tea", limit=3)
    assert ids(answer.products) == ["pot", "mug", "saw"]
    assert answer.source == pb.SOURCE_SIMILAR
    assert answer.products[0].score == pytest.approx(cosine("tea", "pot"))
    reason = answer.products[0].reason
    assert (reason.kind, reason.product_id, reason.sentence) == (
        Kind.KIND_SIMILAR,
        "tea",
        "Like The tea",
    )


async def test_a_product_is_like_the_nearest_of_several_anchors(model: Model) -> None:
    """Products like any of them come up, each with the anchor that it is most like."""
    shop = shop_from(model, "similar", "popular")
    answer = await shop.recommend(anchor_product_ids=["tea", "sock", "tea", "unheard-of"])
    assert answer.source == pb.SOURCE_SIMILAR
    likeness = {name: cosine(name, "tea") + cosine(name, "sock") for name in VECTORS}
    others = [name for name in VECTORS if name not in ("tea", "sock")]
    assert ids(answer.products) == sorted(others, key=lambda name: -likeness[name])
    found = by_id(answer.products)
    assert {name: found[name].reason.product_id for name in ("mug", "shoe", "pot")} == {
        "mug": "tea",
        "shoe": "sock",
        "pot": "tea",
    }
    assert not {"tea", "sock"} & found.keys(), "what the list belongs to is not in it"


async def test_products_like_a_new_one_go_by_category_then_popularity(model: Model) -> None:
    """Where the model has not learned a product, the narrowest shared category comes first."""
    shop = shop_of(model)
    shop.offer("flask", "kitchen", "cups")
    shop.offer("mug", "kitchen", "cups")
    shop.offer("saw", "kitchen", "cups")
    shop.offer("pot", "kitchen")
    answer = await shop.similar("flask", limit=3)
    assert ids(answer.products) == ["mug", "saw", "pot"]
    assert (answer.source, answer.model_version) == (pb.SOURCE_POPULAR, "")
    assert {each.reason.sentence for each in answer.products} == {"Like The flask"}


async def test_products_like_one_of_no_category_do_not_claim_a_likeness(model: Model) -> None:
    """With nothing to go by, the most bought come."""
    shop = shop_of(model)
    shop.offer("oddity")
    answer = await shop.similar("oddity", limit=2)
    assert ids(answer.products) == ["tea", "pot"]
    assert {product.reason.kind for product in answer.products} == {Kind.KIND_POPULAR}


async def test_a_list_of_similar_products_says_why_it_is_none(model: Model) -> None:
    """As any other answer does; where the likeness made it, there is nothing to say."""
    shop = shop_of(model)
    assert (await shop.similar("tea")).fallback_cause == pb.FALLBACK_CAUSE_UNSPECIFIED
    shop.scenario(sources=("personal", "popular"))
    answer = await shop.similar("tea", scenario="home")
    assert answer.source == pb.SOURCE_POPULAR
    assert answer.fallback_cause == pb.FALLBACK_CAUSE_UNKNOWN_SHOPPER
    assert shop.logged[-1].fallback_cause == answer.fallback_cause


async def test_what_is_bought_together_names_the_product_it_goes_with(model: Model) -> None:
    """Weights add up over the anchors; the reason is the anchor with the most of it."""
    shop = shop_from(model, "bought-together")
    answer = await shop.recommend(anchor_product_ids=["sock", "tea"])
    assert ids(answer.products) == ["mug", "shoe", "pot"]
    assert [each.score for each in answer.products] == [0.625, 0.5, 0.25]
    assert [each.reason.product_id for each in answer.products] == ["tea", "sock", "tea"]
    assert answer.products[0].reason.kind == Kind.KIND_BOUGHT_TOGETHER
    assert answer.products[0].reason.sentence == "Bought together with The tea"
    assert (answer.source, answer.model_version) == (pb.SOURCE_BOUGHT_TOGETHER, "")


async def test_without_anchors_it_is_the_cart_that_a_list_starts_from(model: Model) -> None:
    """What was put in since the last order, and not taken out again."""
    carts = (
        Cart(NOW - 3 * DAY, number("1"), 0, "saw", 1),
        Cart(NOW - DAY, number("2"), 0, "sock", 1),
        Cart(NOW - DAY, number("3"), 0, "tea", 2),
        Cart(NOW, number("4"), 0, "sock", -1),
    )
    shop = shop_from(model, "bought-together")
    await shop.know("ana", bought(("saw", 2), carts=carts))
    assert ids((await shop.recommend()).products) == ["mug", "pot"]
    answer = await shop.recommend(anchor_product_ids=["saw"])
    assert not answer.products, "the caller's anchors count, and not the cart's"
    both = tuple(Cart(NOW, number(each), 0, each, 1) for each in ("sock", "tea"))
    await shop.know("bo", Profile(first_seen=1, last_seen=NOW, carts=both))
    assert ids((await shop.recommend("bo")).products) == ["mug", "shoe", "pot"]


@pytest.mark.parametrize(
    ("anchors", "cause"),
    [
        ([], pb.FALLBACK_CAUSE_NOT_ASKED),
        (["unheard-of"], pb.FALLBACK_CAUSE_NOT_ASKED),
        (["novel"], pb.FALLBACK_CAUSE_NOT_LEARNED),
        (["saw"], pb.FALLBACK_CAUSE_NOTHING_LEFT),
    ],
)
async def test_why_nothing_is_bought_together(model: Model, anchors: list[str], cause: int) -> None:
    """No anchor, one that the model has not learned, or one that goes with nothing."""
    shop = shop_from(model, "bought-together", "popular", new=("novel",))
    answer = await shop.recommend(anchor_product_ids=anchors)
    assert (answer.source, answer.fallback_cause) == (pb.SOURCE_POPULAR, cause)


async def test_what_is_due_is_bought_again_first(model: Model) -> None:
    """Bought every week and eight days ago comes before bought yesterday, by the table."""
    weekly = [("tea", days) for days in (8, 15, 22)]
    lately = [("mug", days) for days in (1, 8, 15)]
    shop = shop_from(model, "buy-again")
    await shop.know("ana", bought(*weekly, *lately, ("saw", 90)))
    answer = await shop.recommend()
    assert ids(answer.products) == ["tea", "mug", "saw"]
    assert [each.score for each in answer.products] == [6.0, 2.0, 0.5]
    assert (answer.source, answer.fallback_cause) == (pb.SOURCE_BUY_AGAIN, 0)


async def test_only_what_is_due_says_so(model: Model) -> None:
    """What is worth less now than at another time was bought before, no more."""
    weekly = [("tea", days) for days in (8, 15, 22)]
    lately = [("mug", days) for days in (1, 8, 15)]
    shop = shop_from(model, "buy-again")
    await shop.know("ana", bought(*weekly, *lately))
    found = by_id((await shop.recommend()).products)
    tea, mug = found["tea"].reason, found["mug"].reason
    assert (tea.kind, tea.product_id) == (Kind.KIND_BUY_AGAIN, "tea")
    assert tea.occurred_at.seconds == (NOW - 8 * DAY) // 10**6
    assert tea.sentence == "It may be time to buy it again"
    assert (mug.kind, mug.product_id) == (Kind.KIND_BOUGHT_BEFORE, "mug")


async def test_what_is_never_bought_again_is_left_out(tmp_path: Path) -> None:
    """A table may say so of what was bought but once."""
    never = {**REPEAT, "score": [[MASKED] * 4, [2.0, 6.0, 4.0, 1.0]]}
    shop = shop_from(model_of(tmp_path / "bundle", repeat=never), "buy-again")
    await shop.know("ana", bought(("saw", 9), ("tea", 1), ("tea", 2), ("tea", 3)))
    assert ids((await shop.recommend()).products) == ["tea"]


@pytest.mark.parametrize(
    ("profile", "cause"),
    [
        (Profile(), pb.FALLBACK_CAUSE_UNKNOWN_SHOPPER),
        (viewed("tea"), pb.FALLBACK_CAUSE_EMPTY_PROFILE),
        (bought(("tea", 8)), pb.FALLBACK_CAUSE_NOT_LEARNED),
    ],
)
async def test_a_bundle_without_a_table_says_so(bare: Model, profile: Profile, cause: int) -> None:
    """Nothing is bought again where nothing was bought; else it is the model that does not know."""
    shop = shop_from(bare, "buy-again", "popular")
    await shop.know("ana", profile)
    answer = await shop.recommend()
    assert (answer.source, answer.fallback_cause) == (pb.SOURCE_POPULAR, cause)


async def test_what_trends_in_the_pages_category_comes_before_what_trends_anywhere(
    model: Model,
) -> None:
    """The page's path, or without one that of the first anchor; narrower paths are within it."""
    shop = shop_from(model, "trending-in-category", "trending")
    shop.offer("mug", "kitchen", "cups")
    shop.offer("pot", "kitchen")
    shop.trends.leaders = [("saw", 9.0), ("mug", 5.0), ("pot", 4.0), ("sock", 1.0)]
    page = pb.Context(category_path=["kitchen"])
    answer = await shop.recommend("nobody", context=page)
    assert ids(answer.products) == ["mug", "pot", "saw", "sock"]
    assert (answer.source, answer.fallback_cause) == (pb.SOURCE_TRENDING, 0)
    page = pb.Context(category_path=["kitchen", "cups"])
    assert ids((await shop.recommend("nobody", context=page)).products) == [
        "mug",
        "saw",
        "pot",
        "sock",
    ]
    anchored = await shop.recommend("nobody", anchor_product_ids=["pot"])
    assert ids(anchored.products) == ["mug", "saw", "sock"]
    anywhere = await shop.recommend("nobody")
    assert ids(anywhere.products)[0] == "saw"
    assert anywhere.fallback_cause == pb.FALLBACK_CAUSE_NOT_ASKED


async def test_the_first_source_that_has_something_names_the_list(model: Model) -> None:
    """Where it is not the first of the scenario, the cause says what became of that one."""
    shop = shop_from(model, "personal", "trending", "popular")
    await shop.know("ana", viewed("tea"))
    shop.trends.leaders = [("gone", 3.0), ("saw", 2.0)]
    for product_id in VECTORS:
        if product_id != "saw":
            shop.catalog.put_offer(product_id, GONE)
    everything = await shop.recommend(exclude_product_ids=["saw"])
    assert everything.fallback_cause == pb.FALLBACK_CAUSE_NOTHING_LEFT
    answer = await shop.recommend()
    assert (answer.source, answer.fallback_cause) == (pb.SOURCE_PERSONAL, 0)
    assert ids(answer.products) == ["saw"]


async def test_a_product_stands_in_a_list_once(model: Model) -> None:
    """Whatever sources know it."""
    shop = shop_from(model, "bought-together", "similar", "trending", "popular")
    shop.trends.leaders = [("mug", 9.0), ("saw", 5.0)]
    answer = await shop.recommend(anchor_product_ids=["tea"])
    assert sorted(ids(answer.products)) == ["mug", "pot", "saw", "shoe", "sock"]
    assert ids(answer.products)[:2] == ["mug", "pot"]
    scores = [product.score for product in answer.products]
    assert scores == sorted(scores, reverse=True)
