"""Kafka and Redis of a bench, on all cores but the last; contenders have that one alone."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import psutil
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.kafka import EmbeddedKafka
from deploy.local.redis import EmbeddedRedis
from services.shared.redis_connection import Command, RedisConnection
from services.shared.subject import trend_fence_redis_key
from tests.bench.stream.load import SHOP
from tests.waiting import eventually_async

PARTITIONS = range(4)
SETTLE_SECONDS = 30.0


class Memory(NamedTuple):
    """What Redis says of its memory, in bytes."""

    used: int
    dataset: int


@contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """What is started meanwhile runs on ``cores``, and so do we."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Servers:
    """Both servers, and what a bench asks of them."""

    def __init__(self, kafka: EmbeddedKafka, redis: EmbeddedRedis) -> None:
        self.kafka = kafka
        self.redis = redis

    @property
    def settings(self) -> dict[str, str]:
        """Where they are, as contenders are told."""
        return {"KAFKA_SERVERS": self.kafka.servers, "REDIS_URL": self.redis.url}

    def processor_seconds(self) -> tuple[float, float]:
        """What Kafka and Redis have used."""
        pids = self.kafka.process.pid, self.redis.process.pid
        kafka, redis = (processor_seconds(pid) for pid in pids)
        return kafka, redis

    async def empty(self, *, append_only: bool) -> None:
        """Have Redis hold nothing, in memory and on disk, and keep an append-only file or none."""
        async with connection(self.redis.url) as redis:
            await redis.ask(
                [
                    ("CONFIG", "SET", "appendonly", "no"),
                    ("CONFIG", "SET", "appendfsync", "everysec"),
                    ("CONFIG", "SET", "auto-aof-rewrite-percentage", 0),
                    ("FLUSHALL", "SYNC"),
                    ("CONFIG", "SET", "appendonly", "yes" if append_only else "no"),
                ]
            )

            async def settled() -> bool:
                (told,) = await redis.ask([("INFO", "persistence")])
                return b"aof_rewrite_in_progress:0" in cast("bytes", told)

            await eventually_async(settled, within=SETTLE_SECONDS)

    async def memory(self) -> Memory:
        """What Redis uses now."""
        async with connection(self.redis.url) as redis:
            (told,) = await redis.ask([("INFO", "memory")])
        lines = cast("bytes", told).decode().splitlines()
        numbers = dict(line.split(":", 1) for line in lines if ":" in line)
        return Memory(int(numbers["used_memory"]), int(numbers["used_memory_dataset"]))

    async def committed(self, group: str, topic: str) -> int:
        """How many events of ``topic`` the group has committed."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka.servers)
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(group)
        finally:
            await admin.close()
        return sum(max(at.offset, 0) for tp, at in offsets.items() if tp.topic == topic)


async def counted(redis: RedisConnection) -> int:
    """Up to which events all partitions' trends are counted: profiles are written just after."""
    commands: list[Command] = [
        ("GET", trend_fence_redis_key(SHOP, partition)) for partition in PARTITIONS
    ]
    fences = cast("list[bytes | None]", await redis.ask(commands))
    return sum(int(fence.rpartition(b":")[2]) for fence in fences if fence)


def processor_seconds(pid: int) -> float:
    """User and system time of a process, all its threads."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


@asynccontextmanager
async def connection(url: str) -> AsyncIterator[RedisConnection]:
    """A connection to Redis for a while."""
    redis = RedisConnection(url)
    try:
        yield redis
    finally:
        await redis.close()


@contextmanager
def servers(folder: Path, cores: set[int]) -> Iterator[Servers]:
    """Both, started on ``cores``, and ended."""
    kafka, redis = EmbeddedKafka(folder / "kafka"), EmbeddedRedis(folder / "redis")
    try:
        with pinned(cores):
            kafka.start()
            redis.start()
        yield Servers(kafka, redis)
    finally:
        kafka.kill()
        redis.kill()
