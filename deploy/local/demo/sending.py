"""Send records to Kafka, and see how far behind the worker is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.demo.narration import Advance
from deploy.local.demo.records import Record
from deploy.local.supervised import StackFailed

GROUP: Final = "attune-profiles"
EVENTS: Final = "shopper-events"
UNCONFIRMED: Final = 4000
"""Records sent whose acknowledgement was not awaited yet."""


def producer(servers: str, *, linger_ms: int = 20) -> AIOKafkaProducer:
    """A producer that loses nothing: a broker confirms each batch, a retry is not a repeat."""
    return AIOKafkaProducer(
        bootstrap_servers=servers,
        acks="all",
        enable_idempotence=True,
        linger_ms=linger_ms,
        max_batch_size=256 * 1024,
        request_timeout_ms=30_000,
    )


async def send_all(
    sender: AIOKafkaProducer, topic: str, records: Iterable[Record], advance: Callable[[int], None]
) -> int:
    """Send in order; answers how many once all are acknowledged."""
    waiting: list[Awaitable[object]] = []
    sent = 0
    for key, value in records:
        waiting.append(await sender.send(topic, value, key=key))
        sent += 1
        if len(waiting) == UNCONFIRMED:
            await asyncio.gather(*waiting)
            waiting.clear()
            advance(sent)
    await asyncio.gather(*waiting)
    advance(sent)
    return sent


class Lag:
    """How many events the worker's group has not confirmed yet."""

    def __init__(self, servers: str) -> None:
        self._admin = AIOKafkaAdminClient(bootstrap_servers=servers)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=servers)

    async def __aenter__(self) -> Lag:
        """Connect."""
        await self._admin.start()
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._consumer.stop()
        await self._admin.close()

    async def events(self) -> int:
        """Appended to the topic, less confirmed by the group."""
        topics = await self._admin.describe_topics([EVENTS])
        parts = [TopicPartition(EVENTS, part["partition"]) for part in topics[0]["partitions"]]
        ends = await self._consumer.end_offsets(parts)
        confirmed = await self._admin.list_consumer_group_offsets(GROUP, partitions=parts)
        return sum(ends[part] - max(0, confirmed[part].offset) for part in parts)

    async def until_none(self, advance: Advance, *, within: float) -> None:
        """Return once all are confirmed. Raises StackFailed after ``within`` seconds."""
        start = time.monotonic()
        first = await self.events()
        while (lag := await self.events()) > 0:
            if time.monotonic() - start > within:
                raise StackFailed(f"the worker is still {lag:,} events behind after {within:.0f} s")
            advance(max(0, first - lag), f"lag {lag:,}")
            await asyncio.sleep(0.1)
        advance(first, "lag 0")
