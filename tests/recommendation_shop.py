"""Shops of a real recommendations server, with real Kafka and Redis and a tiny model."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from aiokafka import AIOKafkaProducer
from attune.profiles.v1 import profile_service_pb2, profile_service_pb2_grpc
from attune.recommendations.v1 import recommendation_service_pb2 as pb
from attune.recommendations.v1 import recommendation_service_pb2_grpc as pb_grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from deploy.local.services import EmbeddedService
from services.shared.profile import Profile, Purchase
from services.shared.profile_codec import encode
from services.shared.profile_store import NOTHING, RedisProfileStore, Write
from services.shared.redis_cluster import connect
from services.shared.redis_connection import RedisConnection
from services.shared.subject import event_key
from tests.tiny_bundle import make_bundle
from tests.waiting import eventually

VECTORS = {
    "mug": (1.0, 0.0, 0.0),
    "cup": (1.0, 0.25, 0.0),
    "lamp": (0.0, 1.0, 0.0),
    "bulb": (0.25, 1.0, 0.0),
    "rake": (0.0, 0.0, 1.0),
}
POPULARITY = {"mug": 1, "cup": 2, "lamp": 3, "bulb": 4, "rake": 5}
POPULAR_FIRST = ["rake", "bulb", "lamp", "cup", "mug"]
SCOPES = ("recommendations.read", "profiles.read")
SECONDS = 60.0


class Shop:
    """One shop of a running server, with its key."""

    def __init__(self, name: str, key: str, port: int, kafka: str, prefix: str, redis: str) -> None:
        self.name = name
        self.key = key
        self._metadata = (("authorization", f"Bearer {key}"),)
        self._kafka, self._prefix, self._redis = kafka, prefix, redis
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._recommendations = pb_grpc.RecommendationServiceStub(self.channel)
        self._profiles = profile_service_pb2_grpc.ProfileServiceStub(self.channel)

    def recommend(
        self, user_id: str = "ana", *, within: float = 5, **request: Any
    ) -> pb.RecommendResponse:
        asked = pb.RecommendRequest(user_id=user_id, **request)
        return self._recommendations.Recommend(asked, metadata=self._metadata, timeout=within)

    def similar(self, product_id: str, **request: Any) -> pb.SimilarProductsResponse:
        return self._recommendations.SimilarProducts(
            pb.SimilarProductsRequest(product_id=product_id, **request),
            metadata=self._metadata,
            timeout=5,
        )

    def rank(
        self, *product_ids: str, user_id: str = "ana", **request: Any
    ) -> pb.RankProductsResponse:
        return self._recommendations.RankProducts(
            pb.RankProductsRequest(user_id=user_id, product_ids=product_ids, **request),
            metadata=self._metadata,
            timeout=5,
        )

    def batch(
        self, *user_ids: str, within: float = 10, **request: Any
    ) -> pb.RecommendBatchResponse:
        shoppers = [pb.Shopper(user_id=user_id) for user_id in user_ids]
        return self._recommendations.RecommendBatch(
            pb.RecommendBatchRequest(shoppers=shoppers, **request),
            metadata=self._metadata,
            timeout=within,
        )

    def profile(self, user_id: str, visitor_id: str = "") -> profile_service_pb2.Profile:
        request = profile_service_pb2.GetProfileRequest(user_id=user_id, visitor_id=visitor_id)
        return self._profiles.GetProfile(request, metadata=self._metadata, timeout=5).profile

    def shown(self, **request: Any) -> list[str]:
        return [product.product_id for product in self.recommend(**request).products]

    def send(
        self, topic: str, product_id: str, value: bytes | None, *, binary: bool = False
    ) -> None:
        headers = [("content-type", b"application/protobuf")] if binary else []

        async def send() -> None:
            async with AIOKafkaProducer(bootstrap_servers=self._kafka) as producer:
                key = f"{self.name}/{product_id}".encode()
                await producer.send_and_wait(self._prefix + topic, value, key=key, headers=headers)

        asyncio.run(send())

    def list_products(self, *product_ids: str) -> None:
        for product_id in product_ids:
            self.send("catalog", product_id, self.product(product_id))
        eventually(lambda: set(product_ids) <= set(self.shown(limit=100)), within=SECONDS)

    def product(self, product_id: str, **fields: Any) -> bytes:
        record = {
            "shopId": self.name,
            "productId": product_id,
            "merchantId": "acme",
            "title": f"The {product_id}",
            "categoryPath": ["home"],
            **fields,
        }
        return json.dumps(record).encode()

    def offer(self, product_id: str, **fields: Any) -> bytes:
        record = {"shopId": self.name, "productId": product_id, "status": "OFFER_STATUS_ACTIVE"}
        return json.dumps({**record, **fields}).encode()

    def know(self, subject: str, profile: Profile) -> None:
        async def write() -> None:
            redis = connect(self._redis)
            write = Write(event_key(self.name, subject), NOTHING, encode(profile))
            assert await RedisProfileStore(redis).save([write], retention=timedelta(days=1)) == [
                True
            ]
            await redis.close()

        asyncio.run(write())

    def ask_redis(self, *commands: tuple[str | int, ...]) -> None:
        async def ask() -> None:
            redis = RedisConnection(self._redis)
            await redis.ask(list(commands))
            await redis.close()

        asyncio.run(ask())


class Running(NamedTuple):
    """A server and what belongs to it."""

    service: EmbeddedService
    new_shop: Callable[[], Shop]


def settings_of(folder: Path, kafka: str, redis: str, prefix: str, **more: str) -> dict[str, str]:
    """Settings of a server with the tiny bundle and a keys file in ``folder``."""
    if not (folder / "bundle").exists():
        make_bundle(folder / "bundle", VECTORS, popularity=POPULARITY)
    return {
        "KAFKA_SERVERS": kafka,
        "REDIS_URL": redis,
        "TOPIC_PREFIX": prefix,
        "BUNDLE": str(folder / "bundle"),
        "API_KEYS_FILE": str(folder / "keys.json"),
        "PROFILE_DEADLINE_MS": "500",
        **more,
    }


def refusal(call: Callable[[], object]) -> tuple[grpc.StatusCode, str, list[str]]:
    """Status, reason and named fields of a call that fails."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    status = rpc_status.from_call(raised.value)  # type: ignore[arg-type]  # it is a Call as well
    assert status is not None
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details:
        _ = detail.Unpack(info) or detail.Unpack(bad)
    fields = [violation.field for violation in bad.field_violations]
    code: grpc.StatusCode = raised.value.code()
    return code, info.reason, fields


def bought(*product_ids: str, at: int | None = None) -> Profile:
    """A shopper who bought products, a minute ago."""
    at = at or time.time_ns() // 1000 - 60_000_000
    lines = (
        Purchase(at, 101, line, product_id, "o", 2, 3_500_000, "USD")
        for line, product_id in enumerate(product_ids)
    )
    return Profile(first_seen=at, last_seen=at, purchases=tuple(lines))
