"""Reads dead letters from a moment on to the present end, and puts events back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from services.shared.errors import KafkaUnavailable
from services.shared.kafka import describe_topics

DEADLINE_SECONDS: Final = 30.0
FETCHED: Final = 500
"""Records at once."""


class Letter(NamedTuple):
    """A record of ``dead-letters``."""

    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes]]


class Again(NamedTuple):
    """A record to put back where it came from."""

    topic: str
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]


async def letters(servers: str, topic: str, *, since: int) -> AsyncIterator[list[Letter]]:
    """All letters that came at ``since`` (milliseconds since 1970) or later, some at a time.

    Those that come while this reads are left for the next time. Raises KafkaUnavailable.
    """
    described = await describe_topics(servers, [topic])
    partitions = [TopicPartition(topic, number) for number in range(described[topic].partitions)]
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False)
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await consumer.start()
            left = await _seek(consumer, partitions, since)
        while left:
            async with asyncio.timeout(DEADLINE_SECONDS):
                fetched = await consumer.getmany(*left, timeout_ms=1000, max_records=FETCHED)
                positions = {tp: await consumer.position(tp) for tp in left}
            for tp, records in fetched.items():
                yield [_letter(record) for record in records if record.offset < left[tp]]
            left = {tp: end for tp, end in left.items() if positions[tp] < end}
    except (KafkaError, OSError, TimeoutError) as error:
        raise KafkaUnavailable(f"{topic} cannot be read: {error!r}") from error
    finally:
        await consumer.stop()


async def _seek(
    consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition], since: int
) -> dict[TopicPartition, int]:
    """Go to ``since`` in every partition; answers where those end that have something."""
    consumer.assign(partitions)
    ends = await consumer.end_offsets(partitions)
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, since))
    left = {}
    for tp in partitions:
        if found[tp] is not None and found[tp].offset < ends[tp]:
            consumer.seek(tp, found[tp].offset)
            left[tp] = ends[tp]
    return left


def _letter(record: Any) -> Letter:
    return Letter(record.key, record.value or b"", record.headers)


class Putting:
    """Puts records back, each acknowledged by all in-sync replicas; an async context manager."""

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self._producer = AIOKafkaProducer(
            bootstrap_servers=servers, acks="all", enable_idempotence=True
        )

    async def __aenter__(self) -> Putting:
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await self._producer.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await self._producer.stop()
            raise KafkaUnavailable(f"Kafka at {self._servers}: {error!r}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def put(self, records: Sequence[Again]) -> None:
        """Return once all are acknowledged. Raises KafkaUnavailable; then some may be."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                sent = [
                    await self._producer.send(
                        each.topic, key=each.key, value=each.value, headers=list(each.headers)
                    )
                    for each in records
                ]
                await asyncio.gather(*sent)
        except (KafkaError, OSError, TimeoutError) as error:
            raise KafkaUnavailable(f"events were not acknowledged: {error!r}") from error
