"""How soon an event that was sent is in its shopper's profile: ``make bench-freshness``.

Kafka, Redis, the worker and the load share the machine. Every event is another shopper's, so
each can be looked for by its profile's key. Beside the steady rates: the first events of a
worker's partitions, which are slow where something is only asked for once they come.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from aiokafka import AIOKafkaProducer
from rich.progress import track

from deploy.local.kafka import EmbeddedKafka
from deploy.local.redis import EmbeddedRedis
from deploy.local.services import profiles_worker
from deploy.local.topics import create_topics
from services.shared.redis_connection import RedisConnection
from services.shared.subject import event_key, profile_redis_key
from tests.bench.report import Row, publish
from tests.profile_events import key_of, view

RATES: Final = (500, 5_000)
GATE_MS: Final = 50.0
AIM_MS: Final = 15.0
FIRST: Final = 16
LOOKED_FOR: Final = 500
"""Keys in one look, the oldest first."""

EACH_MS: Final = 1.0
"""Between two looks: no figure is finer."""


class Run(NamedTuple):
    """Milliseconds from sending to being there: of the first events, and at each rate."""

    first: Sequence[float]
    steady: dict[int, np.ndarray]


class Load:
    """Sends views, each of a shopper of its own, and looks for their profiles."""

    def __init__(self, producer: AIOKafkaProducer, redis: RedisConnection) -> None:
        self._producer = producer
        self._redis = redis
        self._sent: dict[str, float] = {}
        self._taken: list[float] = []
        self._none_left = asyncio.Event()

    async def at(self, rate: int, seconds: int) -> np.ndarray:
        """Send ``rate`` events a second; how many milliseconds each took, [n]."""
        self._taken = []
        looking = asyncio.create_task(self._look())
        begun = time.perf_counter()
        for number in range(rate * seconds):
            wait = begun + number / rate - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            await self._send(f"{rate}-{number}-{time.time_ns()}")
        self._none_left.clear()
        async with asyncio.timeout(60):
            await self._none_left.wait()
        looking.cancel()
        return np.array(self._taken)

    async def _send(self, user: str) -> None:
        one = view(user, user=user, at=datetime.now(UTC))
        self._sent[user] = time.perf_counter()
        await self._producer.send("shopper-events", json.dumps(one).encode(), key=key_of(one))

    async def _look(self) -> None:
        while True:
            users = list(self._sent)[:LOOKED_FOR]
            keys = [profile_redis_key(event_key("demo", f"u:{user}")) for user in users]
            there = await self._redis.ask([("EXISTS", key) for key in keys]) if keys else []
            now = time.perf_counter()
            for user, is_there in zip(users, there, strict=True):
                if is_there:
                    self._taken.append((now - self._sent.pop(user)) * 1000)
            if not self._sent:
                self._none_left.set()
            await asyncio.sleep(EACH_MS / 1000)


async def run(seconds: int) -> Run:
    """One run on servers of its own."""
    with tempfile.TemporaryDirectory() as folder:
        kafka, redis = EmbeddedKafka(Path(folder) / "kafka"), EmbeddedRedis(Path(folder) / "redis")
        kafka.start()
        redis.start()
        await create_topics(kafka.servers)
        told = {"KAFKA_SERVERS": kafka.servers, "REDIS_URL": redis.url}
        worker = profiles_worker(told, Path(folder) / "worker.log")
        worker.start()
        connection = RedisConnection(redis.url)
        try:
            await asyncio.to_thread(worker.wait_ready)
            async with AIOKafkaProducer(bootstrap_servers=kafka.servers, acks="all") as producer:
                load = Load(producer, connection)
                first = [float((await load.at(1, 1))[0]) for _ in range(FIRST)]
                return Run(first, {rate: await load.at(rate, seconds) for rate in RATES})
        finally:
            await connection.close()
            worker.stop()
            kafka.kill()
            redis.kill()


def rows(runs: Sequence[Run]) -> list[Row]:
    """The median over the runs of each figure."""

    def row(measure: str, values: Sequence[float], *held: float) -> Row:
        value = statistics.median(values)
        return Row(measure, value, "ms", (min(values), max(values)), *held)

    made = [row("slowest of a worker's first events", [max(each.first) for each in runs])]
    for rate in RATES:
        taken = [each.steady[rate] for each in runs]
        made.append(row(f"{rate:,}/s, p50", [float(np.percentile(t, 50)) for t in taken]))
        p99 = [float(np.percentile(t, 99)) for t in taken]
        made.append(row(f"{rate:,}/s, p99", p99, GATE_MS, AIM_MS))
        made.append(row(f"{rate:,}/s, slowest", [float(t.max()) for t in taken]))
    return made


def main() -> None:
    """Measure, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.freshness", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short run, coarser")
    quick = parser.parse_args().quick
    runs = [
        asyncio.run(run(5 if quick else 20)) for _ in track(range(1 if quick else 5), "freshness")
    ]
    publish("freshness", rows(runs))


if __name__ == "__main__":
    main()
