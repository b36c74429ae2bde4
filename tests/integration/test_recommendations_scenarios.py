"""Scenarios on a real server: those that come ready, and documents that change while it runs."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from attune.recommendations.v1 import recommendation_service_pb2 as pb

from deploy.local.services import EmbeddedService
from deploy.local.topics import create_topics
from services.attribution.adapters.stops import RedisStops
from services.shared.identity import add_key
from services.shared.profile import Cart, Profile, Purchase, Touch
from services.shared.redis_connection import RedisConnection
from services.shared.repeat import DAY
from services.shared.stopped_arms import StoppedArm
from tests.recommendation_shop import SCOPES, SECONDS, VECTORS, Shop, settings_of
from tests.stack import run_server
from tests.tiny_bundle import add_neighbours, make_bundle, seal, write_json
from tests.waiting import eventually

ROWS = {product_id: row for row, product_id in enumerate(VECTORS, start=1)}
TOGETHER = {
    ROWS["lamp"]: {ROWS["bulb"]: 0.5, ROWS["rake"]: 0.25},
    ROWS["mug"]: {ROWS["lamp"]: 0.25},
}
REPEAT = {
    "counts": [3],
    "recency_days": [6, 10, 30],
    "score": [[0.5, 0.75, 0.75, 0.25], [1.0, 3.0, 2.0, 0.5]],
}
DOCUMENT = "version: 1\nscenarios:\n  home:\n    sources: [popular]\n    filter: {condition}\n"


class Stage(NamedTuple):
    """A server that follows a folder of scenarios."""

    service: EmbeddedService
    shop: Shop
    folder: Path


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, kafka_servers: str, redis_url: str
) -> Iterator[Stage]:
    """With a model that knows what is bought together, and when it is bought again."""
    folder = tmp_path_factory.mktemp("server")
    bundle, documents = folder / "bundle", folder / "scenarios"
    documents.mkdir()
    popularity = {"mug": 1, "cup": 2, "lamp": 3, "bulb": 4, "rake": 5}
    blend = {"neighbours": 0.01, "repeat": 0.01}
    make_bundle(bundle, VECTORS, popularity=popularity, blend=blend)
    add_neighbours(bundle, TOGETHER, rows=len(VECTORS) + 1)
    write_json(bundle / "repeat.json", REPEAT)
    seal(bundle)
    prefix, name = f"t{secrets.token_hex(3)}.", f"shop-{secrets.token_hex(4)}"
    asyncio.run(create_topics(kafka_servers, prefix=prefix))
    key = add_key(folder / "keys.json", shop_id=name, scopes=SCOPES)
    settings = settings_of(folder, kafka_servers, redis_url, prefix, SCENARIOS=str(documents))
    with run_server(settings, folder / "server.log") as service:
        shop = Shop(name, key, service.port, kafka_servers, prefix, redis_url)
        shop.list_products(*VECTORS)
        shop.know("u:ana", ana())
        yield Stage(service, shop, documents)
        shop.channel.close()


def ana() -> Profile:
    """She buys mugs every week, the last a week ago; a cup yesterday; a lamp is in her cart."""
    now = time.time_ns() // 1_000
    days = [("mug", 8), ("mug", 15), ("mug", 22), ("cup", 1), ("cup", 8), ("cup", 15), ("rake", 90)]
    lines = tuple(
        sorted(
            Purchase(now - ago * DAY, place, 0, product_id, f"o{place}", 1, 0, "")
            for place, (product_id, ago) in enumerate(days, start=1)
        )
    )
    carts = (Cart(now - 60_000_000, 99, 0, "lamp", 1),)
    views = (Touch(now - 50_000_000, 98, 0, "bulb"),)
    return Profile(first_seen=1, last_seen=now, purchases=lines, carts=carts, views=views)


def shown(answer: pb.RecommendResponse) -> list[str]:
    return [product.product_id for product in answer.products]


def test_every_scenario_that_comes_ready_makes_its_list(stage: Stage) -> None:
    """Each from what it is meant to be made of, for a shopper who is known, and says so."""
    shop = stage.shop
    home = shop.recommend()
    assert (home.scenario, home.source) == ("home", pb.SOURCE_PERSONAL)
    assert sorted(shown(home)) == sorted(VECTORS)

    page = shop.similar("mug", user_id="ana")
    assert (page.scenario, page.source) == ("product-page", pb.SOURCE_SIMILAR)
    found = [product.product_id for product in page.products]
    assert found[0] == "cup"
    assert not {"mug", "lamp"} & set(found), "neither the page's own nor what is in the cart"

    cart = shop.recommend(scenario="cart")
    assert (cart.scenario, cart.source) == ("cart", pb.SOURCE_BOUGHT_TOGETHER)
    assert shown(cart)[:2] == ["bulb", "rake"]
    assert cart.products[0].reason.sentence == "Bought together with The lamp"
    assert "lamp" not in shown(cart)

    search = shop.rank("rake", "bulb", "cup", "mug")
    assert (search.scenario, search.source) == ("search", pb.SOURCE_PERSONAL)
    assert search.products[0].product_id != "rake"
    assert len(search.products) == 4

    again = shop.recommend(scenario="buy-again")
    assert (again.scenario, again.source) == ("buy-again", pb.SOURCE_BUY_AGAIN)
    assert shown(again) == ["mug", "cup", "rake"]
    assert [product.reason.kind for product in again.products] == [
        pb.Reason.KIND_BUY_AGAIN,
        pb.Reason.KIND_BOUGHT_BEFORE,
        pb.Reason.KIND_BOUGHT_BEFORE,
    ]

    (letter,) = shop.batch("ana").answers
    assert (letter.scenario, letter.source) == ("e-mail", pb.SOURCE_PERSONAL)
    assert "cup" not in shown(letter), "bought yesterday"
    assert "mug" in shown(letter), "bought more than a week ago"


def test_every_scenario_that_comes_ready_answers_a_stranger(stage: Stage) -> None:
    """From what comes instead, or with an empty list where nothing could be meant."""
    shop = stage.shop
    sources = {
        name: shop.recommend("nobody", scenario=name).source
        for name in ("home", "product-page", "cart", "e-mail")
    }
    assert set(sources.values()) == {pb.SOURCE_POPULAR}
    again = shop.recommend("nobody", scenario="buy-again")
    assert not again.products
    assert again.fallback_cause == pb.FALLBACK_CAUSE_UNKNOWN_SHOPPER
    assert shop.rank("mug", "cup", user_id="nobody").source == pb.SOURCE_GIVEN


def test_documents_change_while_the_server_runs(stage: Stage) -> None:
    """What is written counts within seconds; what is wrong is counted, and changes nothing."""
    shop, path = stage.shop, stage.folder / f"{stage.shop.name}.yaml"
    refused = "scenarios_refused_total"
    assert set(shop.shown()) == set(VECTORS)
    path.write_text(DOCUMENT.format(condition="product.id in ['mug', 'cup']"))
    eventually(lambda: shop.shown() == ["cup", "mug"], within=SECONDS)
    before = stage.service.metric(refused)
    path.write_text(DOCUMENT.format(condition="product.ident in ['lamp']"))
    eventually(lambda: stage.service.metric(refused) == before + 1, within=SECONDS)
    assert shop.shown() == ["cup", "mug"]
    assert "line 5, column 20" in stage.service.log_path.read_text()
    path.write_text(DOCUMENT.format(condition="product.id in ['lamp']"))
    eventually(lambda: shop.shown() == ["lamp"], within=SECONDS)
    path.unlink()
    eventually(lambda: set(shop.shown()) == set(VECTORS), within=SECONDS)


TRIED = """
version: 1
layers: [{name: pages, salt: s1}]
experiments:
  - name: ranking
    layer: pages
    salt: s2
    traffic: [0, 10000]
    arms: [{name: a, share: 0.00001}, {name: b, share: 0.99999}]
    hypothesis: rakes are bought
    metric: {outcome: conversion}
    window_days: 7
    planned_shoppers: 1000
scenarios:
  home: {sources: [popular], filter: "product.id == 'cup'", arms: {ranking: {b: home-b}}}
  home-b: {sources: [popular], filter: "product.id == 'rake'"}
"""


def test_an_arm_is_stopped_while_the_server_runs(stage: Stage, redis_url: str) -> None:
    """Once attribution says so; its shoppers get the control's list and stay in their arm."""
    shop, path = stage.shop, stage.folder / f"{stage.shop.name}.yaml"
    path.write_text(TRIED)
    eventually(lambda: shop.shown() == ["rake"], within=SECONDS)
    stopped = StoppedArm(experiment="ranking", arm="b", harm="late", at=datetime.now(UTC))

    async def stop() -> None:
        redis = RedisConnection(redis_url)
        assert await RedisStops(redis).add(shop.name, stopped)
        await redis.close()

    asyncio.run(stop())
    eventually(lambda: shop.shown() == ["cup"], within=SECONDS)
    assert [(each.experiment, each.arm) for each in shop.recommend().arms] == [("ranking", "b")]
    assert stage.service.metric("experiment_arms_stopped") == 1
    path.unlink()
    eventually(lambda: set(shop.shown()) == set(VECTORS), within=SECONDS)


def test_the_default_document_is_that_of_shops_without_one(stage: Stage) -> None:
    """A shop's own replaces it as a whole."""
    shop, own = stage.shop, stage.folder / f"{stage.shop.name}.yaml"
    default = stage.folder / "default.yaml"
    default.write_text(DOCUMENT.format(condition="product.id == 'rake'"))
    eventually(lambda: shop.shown() == ["rake"], within=SECONDS)
    own.write_text("version: 1")
    eventually(lambda: set(shop.shown()) == set(VECTORS), within=SECONDS)
    own.unlink()
    eventually(lambda: shop.shown() == ["rake"], within=SECONDS)
    default.unlink()
    eventually(lambda: set(shop.shown()) == set(VECTORS), within=SECONDS)
