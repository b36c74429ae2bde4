"""The whole path with real processes: an event goes in, another recommendation comes out."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from attune.recommendations.v1 import recommendation_service_pb2 as api

from deploy.local.demo.records import event_record, money
from deploy.local.demo.storefront import Storefront
from deploy.local.topics import create_topics
from services.shared.identity import add_key
from services.shared.subject import product_key
from tests.stack import run_server, run_worker
from tests.tiny_bundle import make_bundle
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
SHOP = "corner-shop"
VECTORS = {
    "mug": (1.0, 0.0, 0.0),
    "cup": (1.0, 0.25, 0.0),
    "lamp": (0.0, 1.0, 0.0),
    "bulb": (0.0, 1.0, 0.25),
    "rake": (0.0, 0.0, 1.0),
}
POPULARITY = {"rake": 50, "lamp": 40, "bulb": 30, "cup": 20, "mug": 10}
SECONDS = 60.0


class Shop:
    """A shop whose events, catalogue and questions go through real servers."""

    def __init__(self, servers: str, prefix: str, storefront: Storefront, folder: Path) -> None:
        self.folder = folder
        self._servers = servers
        self._prefix = prefix
        self.storefront = storefront

    def send(self, topic: str, *records: tuple[bytes, bytes | None]) -> None:
        """Send records and wait until the broker has them."""

        async def send() -> None:
            async with AIOKafkaProducer(bootstrap_servers=self._servers, acks="all") as producer:
                for key, value in records:
                    await producer.send_and_wait(self._prefix + topic, value, key=key)

        asyncio.run(send())

    def list_product(self, product_id: str, title: str) -> None:
        """Put a product into the catalogue."""
        value = {
            "shopId": SHOP,
            "productId": product_id,
            "merchantId": "acme",
            "title": title,
            "categoryPath": ["Household"],
        }
        self.send("catalog", (product_key(SHOP, product_id), json.dumps(value).encode()))

    def offer(self, product_id: str, *, stock: int) -> None:
        """Say how many of a product are left."""
        value = {
            "shopId": SHOP,
            "productId": product_id,
            "status": "OFFER_STATUS_ACTIVE",
            "price": money(499),
            "stock": stock,
        }
        self.send("offers", (product_key(SHOP, product_id), json.dumps(value).encode()))

    def event(self, user_id: str, **action: dict[str, object]) -> None:
        """A user does something now."""
        at = time.time_ns() // 1000
        self.send(
            "shopper-events", event_record(SHOP, user_id, f"e-{at}", at=at, action=dict(action))
        )

    def shown(self, user_id: str) -> list[str]:
        """The ids of what is recommended, best first."""
        return [product.product_id for product in self.storefront.recommend(user_id).products]


@pytest.fixture(scope="module")
def shop(
    kafka_servers: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """A shop with five products, a worker and a server of its own."""
    folder = tmp_path_factory.mktemp("path")
    prefix = "path."
    asyncio.run(create_topics(kafka_servers, prefix=prefix))
    (folder / "key").write_text(
        add_key(
            folder / "keys.json", shop_id=SHOP, scopes=["recommendations.read", "profiles.read"]
        )
    )
    common = {"KAFKA_SERVERS": kafka_servers, "REDIS_URL": redis_url, "TOPIC_PREFIX": prefix}
    serving = {
        **common,
        "BUNDLE": str(make_bundle(folder / "bundle", VECTORS, popularity=POPULARITY)),
        "API_KEYS_FILE": str(folder / "keys.json"),
    }
    with (
        run_worker({**common, "GROUP": "path"}, folder / "profiles.log"),
        run_server(serving, folder / "recommendations.log") as server,
    ):
        storefront = Storefront(server.address, folder / "key")
        shop = Shop(kafka_servers, prefix, storefront, folder)
        for product_id in VECTORS:
            shop.list_product(product_id, product_id.capitalize())
        eventually(lambda: len(shop.shown("nobody")) == len(VECTORS), within=SECONDS)
        yield shop
        storefront.close()


def test_unknown_shopper_is_shown_what_is_popular(shop: Shop) -> None:
    """Nothing is known of a new shopper: best sellers first, and the answer says so."""
    answer = shop.storefront.recommend("a-stranger")
    assert answer.source in {api.SOURCE_POPULAR, api.SOURCE_TRENDING}
    assert answer.fallback_cause == api.FALLBACK_CAUSE_UNKNOWN_SHOPPER
    assert len(answer.products) == len(VECTORS)
    assert all(product.reason.sentence for product in answer.products)


def test_event_changes_the_recommendation(shop: Shop) -> None:
    """Who looks at a mug is shown a cup, because of the mug."""
    shop.event("ana", view={"productId": "mug"})
    answer = eventually(
        lambda: (a := shop.storefront.recommend("ana")).source == api.SOURCE_PERSONAL and a,
        within=SECONDS,
    )
    assert isinstance(answer, api.RecommendResponse)
    cup = next(product for product in answer.products if product.product_id == "cup")
    assert cup.reason.kind == api.Reason.KIND_VIEWED
    assert cup.reason.product_id == "mug"
    assert [product.product_id for product in answer.products][:2] in (
        ["mug", "cup"],
        ["cup", "mug"],
    )


def test_each_shopper_has_a_list_of_their_own(shop: Shop) -> None:
    """What one buys does not change what another is shown."""
    line = {"productId": "lamp", "quantity": 1}
    shop.event("bo", purchase={"orderId": "o-1", "lines": [line]})
    eventually(lambda: "bulb" in shop.shown("bo")[:2], within=SECONDS)
    shop.event("cy", view={"productId": "rake"})
    eventually(lambda: shop.shown("cy")[0] == "rake", within=SECONDS)
    assert "bulb" in shop.shown("bo")[:2]


def test_profile_tells_what_was_done_in_words(shop: Shop) -> None:
    """A profile names the bought product by its title, with quantity."""
    line = {"productId": "rake", "quantity": 2}
    shop.event("di", purchase={"orderId": "o-2", "lines": [line]})
    eventually(
        lambda: shop.storefront.recommend("di").source == api.SOURCE_PERSONAL, within=SECONDS
    )
    (purchase,) = shop.storefront.profile("di").purchases
    assert (purchase.product_id, purchase.title, purchase.quantity) == ("rake", "Rake", 2)


def test_sold_out_product_leaves_the_list_and_comes_back(shop: Shop) -> None:
    """A product that sells out while we serve is not recommended until there is more."""
    shop.offer("bulb", stock=0)
    eventually(lambda: "bulb" not in shop.shown("nobody"), within=SECONDS)
    shop.offer("bulb", stock=3)
    eventually(lambda: "bulb" in shop.shown("nobody"), within=SECONDS)


def test_new_product_can_be_found_at_once(shop: Shop) -> None:
    """A product the model has never seen is shown to who searches for it."""
    shop.list_product("kettle", "Copper kettle")
    shop.event("eve", search={"query": "copper kettle"})
    eventually(lambda: "kettle" in shop.shown("eve"), within=SECONDS)


def test_removed_product_is_gone(shop: Shop) -> None:
    """A null in the catalogue removes the product."""
    shop.list_product("cup", "Cup")
    eventually(lambda: "cup" in shop.shown("nobody"), within=SECONDS)
    shop.send("catalog", (product_key(SHOP, "cup"), None))
    eventually(lambda: "cup" not in shop.shown("nobody"), within=SECONDS)
    shop.list_product("cup", "Cup")
    eventually(lambda: "cup" in shop.shown("nobody"), within=SECONDS)


def test_the_readmes_client_works_as_it_stands(shop: Shop, tmp_path: Path) -> None:
    """Its ten lines of Python, with this server's address and key in place of the demo's."""
    (client,) = re.findall(r"```python\n(.+?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    for demos, ours in (
        ("build/stack/api-key", str(shop.folder / "key")),
        ("127.0.0.1:50051", shop.storefront.address),
    ):
        assert demos in client
        client = client.replace(demos, ours)
    (tmp_path / "client.py").write_text(client)
    said = subprocess.run(
        [sys.executable, tmp_path / "client.py"],
        env={"PYTHONPATH": str(ROOT / "build/gen")},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout
    assert len(said.splitlines()) == len(shop.shown("841"))
    assert "Rake  (" in said


@pytest.mark.parametrize("service", ["profiles", "recommendations"])
def test_logs_are_for_machines_and_name_nobody(shop: Shop, service: str) -> None:
    """Each line is one JSON object that says what, how bad, who and when; no shopper's id."""
    shop.event("someone-private", view={"productId": "mug"}, search={"query": "two at once"})
    shop.event("someone-private", view={"productId": "mug"})
    eventually(
        lambda: shop.storefront.recommend("someone-private").source == api.SOURCE_PERSONAL,
        within=SECONDS,
    )
    lines = (shop.folder / f"{service}.log").read_text().splitlines()
    assert lines
    for line in lines:
        said = json.loads(line)
        assert said.keys() >= {"event", "level", "service", "timestamp"}
        assert said["service"] == service
        assert "someone-private" not in line


def test_what_many_look_at_is_trending(shop: Shop) -> None:
    """Views of many shoppers lift a product for one we do not know."""
    for number in range(12):
        shop.event(f"crowd-{number}", view={"productId": "mug"})
    eventually(lambda: shop.shown("passer-by")[:1] == ["mug"], within=SECONDS)
    assert shop.storefront.recommend("passer-by").source == api.SOURCE_TRENDING
