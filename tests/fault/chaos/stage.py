"""Where a story is played: servers that stories share, and what belongs to this one alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from deploy.local.kafka import EmbeddedKafka
from deploy.local.redis import EmbeddedRedis
from deploy.local.services import master_key
from services.shared.redis_connection import RedisConnection
from tests.fault.chaos.crew import Crew
from tests.fault.chaos.sending import Sender
from tests.waiting import eventually_async
from tests.worker_kafka import PARTITIONS, committed, group_of, producer

SESSION_SECONDS = 2
"""A worker that says nothing for so long loses its partitions."""

EMPTY_WITHIN = 60.0
"""So soon a group has no member after the last one ended."""

EVENTS = "shopper-events"
LETTERS = "dead-letters"


class Servers(NamedTuple):
    """A Kafka and a Redis that run, and that stories may kill."""

    kafka: EmbeddedKafka
    redis: EmbeddedRedis
    folder: Path
    """What Redis keeps."""


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Servers of one's own in ``folder``, for any number of stories, one after the other."""
    made = Servers(EmbeddedKafka(folder / "kafka"), EmbeddedRedis(folder / "redis"), folder)
    try:
        made.kafka.start()
        made.redis.start()
        yield made
    finally:
        made.kafka.kill()
        made.redis.kill()


class Stage:
    """One story's topics, group and workers, and its hold on the servers."""

    def __init__(self, on: Servers, prefix: str, crew: Crew, sender: Sender) -> None:
        self.kafka = on.kafka
        self.redis = on.redis
        self.prefix = prefix
        self.crew = crew
        self.sender = sender
        self.kafka_held = asyncio.Lock()
        """Held by whoever takes Kafka away, or needs it to be there; before :attr:`redis_held`."""
        self.redis_held = asyncio.Lock()
        self._folder = on.folder

    @property
    def appended(self) -> Path:
        """The file that Redis appends its writes to."""
        return max((self._folder / "redis/appendonlydir").glob("*.incr.aof"))

    async def set_redis(self, name: str, value: str) -> None:
        """Change a setting of Redis while it runs."""
        connection = RedisConnection(self.redis.url)
        await connection.ask([("CONFIG", "SET", name, value)])
        await connection.close()

    async def ends(self) -> dict[TopicPartition, int]:
        """The offset after the last record of each partition of the events."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka.servers)
        await consumer.start()
        try:
            return dict(await consumer.end_offsets(self.partitions()))
        finally:
            await consumer.stop()

    async def committed(self) -> int:
        """How many events are committed, over all partitions."""
        return await committed(self.kafka.servers, self.prefix)

    async def set_group_back(self, share: float) -> None:
        """Set the group's offsets to this share of the topic; it must have no member."""
        places = {tp: int(end * share) for tp, end in (await self.ends()).items()}
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.kafka.servers,
            group_id=group_of(self.prefix),
            enable_auto_commit=False,
        )
        await consumer.start()
        consumer.assign(self.partitions())

        async def is_done() -> bool:
            with contextlib.suppress(KafkaError):  # as long as the last member has not gone
                await consumer.commit(places)
            return await self.committed() == sum(places.values())

        try:
            await eventually_async(is_done, within=EMPTY_WITHIN)
        finally:
            await consumer.stop()

    def partitions(self) -> list[TopicPartition]:
        """Those of the events."""
        return [TopicPartition(self.prefix + EVENTS, number) for number in PARTITIONS]


@asynccontextmanager
async def stage(
    on: Servers, prefix: str, folder: Path, *, module: str, static: bool
) -> AsyncIterator[Stage]:
    """A stage whose topics exist; logs go to ``folder``. No process of it stays."""
    told = {
        "KAFKA_SERVERS": on.kafka.servers,
        "REDIS_URL": on.redis.url,
        "TOPIC_PREFIX": prefix,
        "GROUP": group_of(prefix),
        "SESSION_TIMEOUT_SECONDS": str(SESSION_SECONDS),
        "MASTER_KEY_FILE": str(master_key(folder)),
    }
    crew = Crew(module, told | ({"INSTANCE_ID": "worker-"} if static else {}), folder)
    try:
        async with producer(on.kafka.servers) as to:
            yield Stage(on, prefix, crew, Sender(to, prefix + EVENTS))
    finally:
        crew.kill_all()
