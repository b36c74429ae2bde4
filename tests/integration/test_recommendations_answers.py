"""What a recommendations server answers: lists, reasons, fallbacks, profiles and refusals."""

from __future__ import annotations

import time

import grpc
import pytest
from attune.recommendations.v1 import recommendation_service_pb2 as pb
from attune.recommendations.v1 import recommendation_service_pb2_grpc as pb_grpc

from services.shared.profile import Link, Profile, Search, Touch
from services.shared.subject import trend_partitions_redis_key, trend_redis_key
from tests.recommendation_shop import (
    POPULAR_FIRST,
    SECONDS,
    VECTORS,
    Running,
    Shop,
    bought,
    refusal,
)
from tests.tiny_bundle import VERSION
from tests.waiting import eventually


def test_a_known_shopper_gets_a_personal_list_with_reasons(shop: Shop) -> None:
    """What was bought leads to what is like it; each product names a real event."""
    shop.list_products(*VECTORS)
    shop.know("u:ana", bought("mug"))
    answer = shop.recommend()
    assert answer.source == pb.SOURCE_PERSONAL
    assert answer.fallback_cause == pb.FALLBACK_CAUSE_UNSPECIFIED
    assert answer.model_version == VERSION
    assert len(answer.attribution_token) >= 16
    first, second = answer.products[:2]
    assert {first.product_id, second.product_id} == {"mug", "cup"}
    cup = next(each for each in answer.products if each.product_id == "cup")
    assert (cup.reason.kind, cup.reason.product_id) == (pb.Reason.KIND_BOUGHT, "mug")
    assert cup.reason.sentence == "Because you bought The mug"
    assert cup.reason.occurred_at.seconds > 0
    assert (cup.title, list(cup.category_path), cup.merchant_id) == ("The cup", ["home"], "acme")
    assert shop.recommend().attribution_token != answer.attribution_token


def test_the_same_call_twice_gives_the_same_list(shop: Shop) -> None:
    """Nothing but the token differs between two answers."""
    shop.list_products(*VECTORS)
    shop.know("u:ana", bought("mug", "lamp"))
    one, two = shop.recommend(), shop.recommend()
    one.attribution_token = two.attribution_token = ""
    assert one == two


def test_an_unknown_shopper_gets_popular_products(shop: Shop) -> None:
    """Who was never seen is answered, from what many buy."""
    shop.list_products(*VECTORS)
    answer = shop.recommend("nobody")
    assert [each.product_id for each in answer.products] == POPULAR_FIRST
    assert answer.source == pb.SOURCE_POPULAR
    assert answer.fallback_cause == pb.FALLBACK_CAUSE_UNKNOWN_SHOPPER
    assert answer.model_version == ""


def test_a_profile_without_anything_to_go_by_says_so(shop: Shop) -> None:
    """A profile of unknown products is EMPTY_PROFILE, not an error."""
    shop.list_products(*VECTORS)
    shop.know("u:ana", bought("never listed"))
    assert shop.recommend().fallback_cause == pb.FALLBACK_CAUSE_EMPTY_PROFILE


def test_trending_products_come_from_the_counts_in_redis(shop: Shop) -> None:
    """What the worker counted this hour is what an unknown shopper sees first."""
    shop.list_products(*VECTORS)
    hour = int(time.time() // 3600)
    shop.ask_redis(
        ("HSET", trend_redis_key(shop.name, 2, hour), "mug", 9),
        ("HSET", trend_redis_key(shop.name, 0, hour - 24), "cup", 10),
        ("SADD", trend_partitions_redis_key(shop.name), 0, 2),
    )
    eventually(lambda: shop.recommend("x").source == pb.SOURCE_TRENDING, within=SECONDS)
    answer = shop.recommend("x")
    assert [each.product_id for each in answer.products[:2]] == ["mug", "cup"]
    assert [each.score for each in answer.products[:2]] == [9.0, 5.0]
    assert answer.products[0].reason.kind == pb.Reason.KIND_TRENDING


def test_a_search_of_a_moment_ago_leads_the_list(shop: Shop) -> None:
    """Words that were searched for count at once, and are named."""
    shop.list_products(*VECTORS)
    search = Search(time.time_ns() // 1000, 1, 0, "rakes")
    shop.know("u:ana", Profile(first_seen=1, last_seen=1, searches=(search,)))
    answer = shop.recommend()
    assert answer.source == pb.SOURCE_PERSONAL
    assert answer.products[0].product_id == "rake"
    assert answer.products[0].reason.query == "rakes"
    assert len(answer.products) == len(VECTORS)


def test_similar_products_and_products_nobody_knows(shop: Shop) -> None:
    """Likeness goes by the model; a product the catalogue lacks is NOT_FOUND."""
    shop.list_products(*VECTORS)
    answer = shop.similar("mug")
    assert answer.products[0].product_id == "cup"
    assert "mug" not in [each.product_id for each in answer.products]
    assert (answer.source, answer.model_version) == (pb.SOURCE_SIMILAR, VERSION)
    assert answer.attribution_token
    code, reason, _ = refusal(lambda: shop.similar("nothing"))
    assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "PRODUCT_UNKNOWN")


def test_excluded_and_unwanted_products_are_not_shown(shop: Shop) -> None:
    """What the caller excludes, and what the shopper does not want, is left out."""
    shop.list_products(*VECTORS)
    unwanted = (Touch(5, 1, 0, "cup"),)
    profile = bought("mug")
    shop.know(
        "u:ana",
        Profile(first_seen=1, last_seen=9, purchases=profile.purchases, not_interested=unwanted),
    )
    shown = shop.shown(exclude_product_ids=["lamp", "not in the catalogue"])
    assert sorted(shown) == ["bulb", "mug", "rake"]


def test_a_shop_without_products_gets_an_empty_list(shop: Shop) -> None:
    """No products is an answer, not an error."""
    answer = shop.recommend()
    assert list(answer.products) == []
    assert answer.attribution_token


def test_bad_requests_name_their_fields(shop: Shop) -> None:
    """Limits of the contract are told by field, with the index in a list."""
    code, reason, fields = refusal(lambda: shop.recommend(limit=101))
    assert (code, reason, fields) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        ["limit"],
    )
    _, _, fields = refusal(lambda: shop.recommend(exclude_product_ids=["a", ""]))
    assert fields == ["exclude_product_ids[1]"]
    _, _, fields = refusal(lambda: shop.recommend(""))
    assert fields == [""]


def test_a_call_without_a_key_is_refused(running: Running, shop: Shop) -> None:
    """Without a key nothing is answered; the shop of a key is the only one it opens."""
    stub = pb_grpc.RecommendationServiceStub(shop.channel)
    code, reason, _ = refusal(lambda: stub.Recommend(pb.RecommendRequest(user_id="a"), timeout=5))
    assert (code, reason) == (grpc.StatusCode.UNAUTHENTICATED, "API_KEY_INVALID")
    shop.list_products("mug")
    assert running.new_shop().shown() == []


def test_get_profile_merges_user_and_visitor_until_logout(shop: Shop) -> None:
    """A linked visitor's events are the user's; after a logout they are not."""
    shop.list_products("mug")
    views = (Touch(7_000_000, 1, 0, "lamp"),)
    shop.know("v:phone", Profile(first_seen=7_000_000, last_seen=7_000_000, views=views))
    purchases = bought("mug", at=5_000_000).purchases
    signed_in = (Link(6_000_000, 1, 0, "phone", True),)
    shop.know(
        "u:ana",
        Profile(first_seen=5_000_000, last_seen=6_000_000, purchases=purchases, links=signed_in),
    )
    for visitor in ("phone", ""):
        profile = shop.profile("ana", visitor)
        assert [each.product_id for each in profile.views] == ["lamp"]
        (purchase,) = profile.purchases
        assert (purchase.title, purchase.quantity) == ("The mug", 2)
        assert (purchase.unit_price.units, purchase.unit_price.nanos) == (3, 500_000_000)
        assert (profile.first_seen.seconds, profile.last_seen.seconds) == (5, 7)
    signed_out = (*signed_in, Link(8_000_000, 2, 0, "phone", False))
    shop.know(
        "u:bob",
        Profile(first_seen=5_000_000, last_seen=8_000_000, purchases=purchases, links=signed_out),
    )
    assert not shop.profile("bob", "phone").views
    code, reason, _ = refusal(lambda: shop.profile("nobody"))
    assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "SHOPPER_UNKNOWN")


@pytest.mark.parametrize(("pause", "is_program"), [(1_000_000, True), (2_000_000, False)])
def test_get_profile_tells_programs(shop: Shop, pause: int, is_program: bool) -> None:
    """Fifty products in 49 seconds, or in 98."""
    views = tuple(Touch(at * pause, at, 0, "lamp") for at in range(1, 51))
    shop.know("u:crawler", Profile(first_seen=1, last_seen=9, views=views))
    assert shop.profile("crawler").automated is is_program
