"""Reads dead letters from a moment on to the present end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.shared.dead_letter import DeadLetter
from services.shared.errors import KafkaUnavailable
from services.shared.kafka import describe_topics

DEADLINE_SECONDS: Final = 30.0
FETCHED: Final = 500
"""Records at once."""


async def letters(
    servers: str, topic: str, *, since: int
) -> AsyncGenerator[list[DeadLetter], None]:
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


def _letter(record: Any) -> DeadLetter:
    return DeadLetter(record.key, record.value or b"", list(record.headers))
