"""What tests of the running worker do with Kafka: send, read back, see what is committed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from kafka import KafkaProducer

from services.shared.profile import Profile
from services.shared.profile_store import RedisProfileStore, read_profiles
from services.shared.redis_cluster import RedisCluster, connect
from services.shared.redis_connection import Connection
from tests.profile_events import Event, key_of, plain
from tests.profile_oracle import micros, recompute
from tests.waiting import eventually_async

PARTITIONS = range(4)


@asynccontextmanager
async def producer(servers: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that waits for the broker's word."""
    made = AIOKafkaProducer(
        bootstrap_servers=servers, acks="all", linger_ms=5, max_request_size=8 * 2**20
    )
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def send(servers: str, prefix: str, events: Iterable[Event]) -> int:
    """Send events as JSON; answers how many."""
    async with producer(servers) as to:
        sent = [
            await to.send(prefix + "shopper-events", json.dumps(one).encode(), key_of(one))
            for one in events
        ]
        for one in sent:
            await one
    return len(sent)


async def records(servers: str, topic: str) -> list[ConsumerRecord[Any, Any]]:
    """All that a topic holds now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, partition) for partition in PARTITIONS]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[ConsumerRecord[Any, Any]] = []
        while len(found) < sum(ends.values()):
            for some in (await consumer.getmany(timeout_ms=500)).values():
                found.extend(some)
        return found
    finally:
        await consumer.stop()


def group_of(prefix: str) -> str:
    """A consumer group of one test, so that no member of another's keeps it waiting."""
    return prefix + "workers"


async def committed(servers: str, prefix: str) -> int:
    """How many events are committed, over all partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group_of(prefix))
    finally:
        await admin.close()
    return sum(at.offset for tp, at in offsets.items() if tp.topic == prefix + "shopper-events")


@asynccontextmanager
async def redis_of(url: str) -> AsyncIterator[Connection]:
    """A connection to the server or the cluster."""
    connection = connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def profiles(url: str, subjects: Sequence[tuple[str, str]]) -> list[Profile]:
    """What Redis keeps."""
    async with redis_of(url) as connection:
        return await read_profiles(RedisProfileStore(connection), subjects)


async def profiles_as_the_oracle_says(url: str, events: list[Event]) -> bool:
    """Whether each shopper's profile is what the oracle makes of the shopper's events."""
    of: dict[tuple[str, str], list[Event]] = {}
    for one in events:
        of.setdefault((one["shopId"], "u:" + one["userId"]), []).append(one)
    kept = await profiles(url, list(of))
    return all(
        plain(profile) == recompute(some) for profile, some in zip(kept, of.values(), strict=True)
    )


async def trend_counts_kept(url: str, shop_id: str) -> dict[tuple[str, int, str], int]:
    """The counts in Redis by (shop, hour, product), over all partitions."""
    found: dict[tuple[str, int, str], int] = {}
    async with redis_of(url) as connection:
        keys = await _keys(connection, f"attune:trend:{{{shop_id}/*}}:*")
        buckets = [key for key in keys if not key.endswith(b":fence")]
        for key in buckets:
            (pairs,) = await connection.ask([("HGETALL", key)])
            flat = pairs if isinstance(pairs, list) else [x for two in pairs.items() for x in two]  # type: ignore[attr-defined]  # RESP3 answers a map
            hour = int(key.rpartition(b":")[2])
            for product, count in zip(flat[::2], flat[1::2], strict=True):
                name = (shop_id, hour, product.decode())
                found[name] = found.get(name, 0) + int(count)
    return found


async def _keys(connection: Connection, pattern: str) -> list[bytes]:
    """The keys of one server, or of all primaries of a cluster."""
    servers: list[Connection] = [connection]
    if isinstance(connection, RedisCluster):
        await connection.slots.load()
        servers = [connection.to(node) for node in connection.slots.primaries]
    found: list[bytes] = []
    for server in servers:
        (keys,) = await server.ask([("KEYS", pattern)])
        assert isinstance(keys, list)
        found += keys
    return found


async def until_committed(servers: str, prefix: str, count: int, *, within: float = 60) -> None:
    """Wait until ``count`` events are committed."""

    async def enough() -> bool:
        return await committed(servers, prefix) >= count

    await eventually_async(enough, within=within)


def now() -> datetime:
    """The present, as events that are to be accepted need it."""
    return datetime.now(UTC)


def appended(events: Iterable[Event]) -> list[tuple[Event, int]]:
    """Events with the present as their time of append, for the oracle."""
    return [(one, micros(now().isoformat())) for one in events]


class Untextual(str):
    """A header name that encodes to bytes which are no UTF-8, as a client in C may send."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """Two bytes: one that is no text, and an A."""
        return b"\xffA"


def write_untextual(servers: str, topic: str, key: bytes, value: bytes) -> None:
    """Send one record with such a header, by a client that checks nothing."""
    producer = KafkaProducer(bootstrap_servers=servers)
    producer.send(topic, value, key=key, headers=[(Untextual(), b"x")]).get(15)
    producer.close(15)
