"""A shop to ask: two products, and a server that recommends them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import grpc
from aiokafka import AIOKafkaProducer
from attune.recommendations.v1 import recommendation_service_pb2 as api
from attune.recommendations.v1 import recommendation_service_pb2_grpc as services

from services.shared.identity import add_key
from services.shared.subject import product_key
from tests.stack import run_server
from tests.tiny_bundle import make_bundle
from tests.waiting import eventually_async

SHOP: Final = "demo"
PRODUCTS: Final = {"mug": (1.0, 0.0), "lamp": (0.0, 1.0)}
ASK_SECONDS: Final = 5.0
LOAD_SECONDS: Final = 30.0
SEEN_WITHIN_SECONDS: Final = 60.0
LEAST_PAUSE_SECONDS: Final = 0.003


class Shop:
    """Asks what to show."""

    def __init__(self, channel: grpc.aio.Channel, key: str) -> None:
        self._recommend = services.RecommendationServiceStub(channel).Recommend
        self._metadata = (("authorization", f"Bearer {key}"),)

    async def ask(self, user: str) -> api.RecommendResponse:
        """What to show a user."""
        request = api.RecommendRequest(user_id=user)
        answer: api.RecommendResponse = await self._recommend(
            request, timeout=ASK_SECONDS, metadata=self._metadata
        )
        return answer

    async def seen(self, user: str) -> float:
        """When an answer was first made from the user's profile; asks until one is.

        The longer it takes the less often, so that asking does not itself hold up an answer;
        no figure is finer than a twentieth of itself. Raises TimeoutError where none ever is.
        """
        begun = time.perf_counter()
        async with asyncio.timeout(SEEN_WITHIN_SECONDS):
            while (await self.ask(user)).source != api.SOURCE_PERSONAL:
                taken = time.perf_counter() - begun
                await asyncio.sleep(max(LEAST_PAUSE_SECONDS, taken / 20))
        return time.perf_counter()


@asynccontextmanager
async def shop(settings: dict[str, str], folder: Path) -> AsyncIterator[Shop]:
    """A server with its catalogue read; ``settings`` say where Kafka and Redis are."""
    key = add_key(folder / "keys.json", shop_id=SHOP, scopes=["recommendations.read"])
    bundle = make_bundle(folder / "bundle", PRODUCTS)
    told = {**settings, "BUNDLE": str(bundle), "API_KEYS_FILE": str(folder / "keys.json")}
    await _list_products(settings["KAFKA_SERVERS"])
    with run_server(told, folder / "recommendations.log") as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            shop = Shop(channel, key)

            async def has_products() -> bool:
                return len((await shop.ask("nobody")).products) == len(PRODUCTS)

            await eventually_async(has_products, within=LOAD_SECONDS)
            yield shop


async def _list_products(servers: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer:
        for product in PRODUCTS:
            value = {
                "shopId": SHOP,
                "productId": product,
                "merchantId": "acme",
                "title": product.capitalize(),
                "categoryPath": ["Household"],
            }
            key = product_key(SHOP, product)
            await producer.send_and_wait("catalog", json.dumps(value).encode(), key=key)
