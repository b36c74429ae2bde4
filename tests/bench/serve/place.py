"""Where a case is measured: Kafka with the catalogue, Redis with the shoppers, and a server."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from deploy.local.demo.sending import producer, send_all
from deploy.local.kafka import EmbeddedKafka
from deploy.local.redis import EmbeddedRedis
from deploy.local.services import EmbeddedService, recommendations_server
from deploy.local.topics import create_topics
from services.shared.identity import add_key
from tests.bench.report import TARGET
from tests.bench.serve.measuring import OTHERS, pin
from tests.bench.serve.world import SHOP, World, fold_profiles, records, world


class Place(NamedTuple):
    """Where a case's servers are."""

    world: World
    kafka: str
    redis: str
    key: str
    folder: Path


@asynccontextmanager
async def place(products: int, folder: Path) -> AsyncIterator[Place]:
    """Kafka with the catalogue and Redis with the shoppers."""
    made = world(products, TARGET / "serve")
    kafka, redis = EmbeddedKafka(folder / "kafka"), EmbeddedRedis(folder / "redis")
    try:
        kafka.start()
        redis.start()
        for process in (kafka.process, redis.process):
            pin(process.pid, OTHERS)
        await create_topics(kafka.servers)
        await fold_profiles(redis.url, time.time_ns() // 1_000)
        async with producer(kafka.servers) as sender:
            for topic, grouped in itertools.groupby(
                sorted(records(made.products), key=lambda each: each[0]), key=lambda each: each[0]
            ):
                await send_all(sender, topic, (each for _, each in grouped), lambda _: None)
        key = add_key(folder / "keys.json", shop_id=SHOP, scopes=["recommendations.read"])
        yield Place(made, kafka.servers, redis.url, key, folder)
    finally:
        kafka.kill()
        redis.kill()


def served(at: Place, *, name: str = "server", **told: str) -> EmbeddedService:
    """A server of the place, not started."""
    settings = {
        "KAFKA_SERVERS": at.kafka,
        "REDIS_URL": at.redis,
        "BUNDLE": str(at.world.bundle),
        "API_KEYS_FILE": str(at.folder / "keys.json"),
        **told,
    }
    return recommendations_server(settings, at.folder / f"{name}.log")
