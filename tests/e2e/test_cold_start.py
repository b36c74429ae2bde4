"""Who was never here before, and what nobody has bought yet, on real servers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from attune.events.v1.event_service_pb2 import Position
from attune.events.v1.shopper_event_pb2 import View
from attune.recommendations.v1 import recommendation_service_pb2 as pb

from deploy.local.topics import create_topics
from tests.recommendation_shop import POPULAR_FIRST, POPULARITY, VECTORS, Shop
from tests.storefront_parts import SECONDS, Storefront, knows, storefront
from tests.tiny_bundle import make_bundle
from tests.waiting import eventually
from tests.write_parts import viewed

CROWD = 12
LISTED_SECONDS = 30.0
"""For a new product to be served: the promise is 2 s, and a busy machine gets five times that."""


@pytest.fixture(scope="module")
def front(
    tmp_path_factory: pytest.TempPathFactory, kafka_servers: str, redis_url: str
) -> Iterator[Storefront]:
    """A shop whose model places a product of the category ``1`` where the lamp is."""
    folder, prefix = tmp_path_factory.mktemp("cold"), f"t{secrets.token_hex(3)}."
    make_bundle(folder / "bundle", VECTORS, popularity=POPULARITY, tower=True)
    asyncio.run(create_topics(kafka_servers, prefix=prefix))
    with storefront(folder, kafka_servers, redis_url, prefix) as front:
        yield front


def looks(front: Storefront, visitor_id: str, product_id: str) -> Position:
    """A visitor looks at a product; where that event is."""
    view = View(product_id=product_id)
    event = viewed(secrets.token_hex(8), user_id="", visitor_id=visitor_id, view=view)
    (result,) = front.door.write(event).results
    return result.position


def asked(front: Storefront, visitor_id: str, **request: Any) -> pb.RecommendResponse:
    return front.shop.recommend("", visitor_id=visitor_id, **request)


def shown(products: pb.RecommendResponse | pb.SimilarProductsResponse) -> list[str]:
    return [product.product_id for product in products.products]


def test_a_visitor_whom_nobody_knows(front: Storefront) -> None:
    """Popular at first, by the visit if the call tells it, and after the first look personal."""
    stranger = asked(front, "v-1")
    assert (stranger.source, shown(stranger)) == (pb.SOURCE_POPULAR, POPULAR_FIRST)
    assert stranger.fallback_cause == pb.FALLBACK_CAUSE_UNKNOWN_SHOPPER
    assert stranger.model_version == ""

    visit = asked(front, "v-1", context=pb.Context(recent_product_ids=["mug"]))
    assert (visit.source, visit.fallback_cause) == (
        pb.SOURCE_SESSION,
        pb.FALLBACK_CAUSE_UNKNOWN_SHOPPER,
    )
    assert set(shown(visit)[:2]) == {"mug", "cup"}
    assert asked(front, "v-1").source == pb.SOURCE_POPULAR, "what a call tells is not kept"

    position = looks(front, "v-1", "mug")
    known = eventually(
        lambda: (a := asked(front, "v-1", min_position=position)).position_reached and a,
        within=SECONDS,
    )
    assert isinstance(known, pb.RecommendResponse)
    assert (known.source, known.fallback_cause) == (
        pb.SOURCE_PERSONAL,
        pb.FALLBACK_CAUSE_UNSPECIFIED,
    )
    assert knows(known, "mug")
    assert set(shown(known)[:2]) == {"mug", "cup"}


def listed(shop: Shop, product_id: str, *path: str) -> None:
    """Put a product that the model has not learned into the catalogue."""
    shop.send("catalog", product_id, shop.product(product_id, categoryPath=list(path)))


def test_a_product_that_nobody_has_bought(front: Storefront) -> None:
    """It stands where its like stands, for those whom that suits, and far down for others."""
    shop = front.shop
    for visitor, product in (("v-lamp", "lamp"), ("v-rake", "rake")):
        position = looks(front, visitor, product)
        eventually(
            lambda: asked(front, visitor, min_position=position).position_reached,  # noqa: B023 - asked at once
            within=SECONDS,
        )
    listed(shop, "torch", "1")
    eventually(lambda: shown(shop.similar("lamp"))[:1] == ["torch"], within=LISTED_SECONDS)
    page = shop.similar("lamp")
    assert page.source == pb.SOURCE_SIMILAR
    fan = asked(front, "v-lamp")
    torch = next(each for each in fan.products if each.product_id == "torch")
    assert (torch.reason.kind, torch.reason.product_id) == (pb.Reason.KIND_VIEWED, "lamp")
    assert shown(fan).index("torch") < shown(fan).index("mug")
    other = asked(front, "v-rake")
    assert shown(other)[0] == "rake"
    assert next(each.score for each in other.products if each.product_id == "torch") < torch.score
    assert shown(shop.similar("torch"))[:2] == ["lamp", "bulb"], "and it is a start itself"


def test_what_trends_where_a_stranger_is(front: Storefront) -> None:
    """Of the page's category what many look at, then of the whole shop."""
    listed(front.shop, "spade", "garden", "tools")
    for number in range(CROWD):
        looks(front, f"crowd-{number}", "spade" if number % 2 else "mug")
    eventually(lambda: asked(front, "v-new").source == pb.SOURCE_TRENDING, within=SECONDS)
    garden = pb.Context(category_path=["garden"])

    def leads() -> bool:
        return shown(asked(front, "v-new", context=garden))[:1] == ["spade"]

    eventually(leads, within=SECONDS)
    answer = asked(front, "v-new", context=garden)
    assert answer.source == pb.SOURCE_TRENDING
    assert answer.products[0].reason.kind == pb.Reason.KIND_TRENDING
    assert answer.fallback_cause == pb.FALLBACK_CAUSE_UNKNOWN_SHOPPER
