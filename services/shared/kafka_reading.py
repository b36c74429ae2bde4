"""Read what a topic holds up to the present, once, outside of any consumer group."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.shared.errors import KafkaUnavailable
from services.shared.kafka import describe_topics

DEADLINE_SECONDS: Final = 30.0
FETCHED: Final = 2_000
"""Records at once."""


class Span(NamedTuple):
    """Offsets of one partition: from ``first`` on, before ``end``."""

    first: int
    end: int


async def spans_of(servers: str, topic: str) -> dict[int, Span]:
    """What each partition of ``topic`` holds now. Raises KafkaUnavailable."""
    async with _Reading(servers, topic) as reading:
        firsts = await reading.consumer.beginning_offsets(reading.partitions)
        ends = await reading.consumer.end_offsets(reading.partitions)
        return {tp.partition: Span(firsts[tp], ends[tp]) for tp in reading.partitions}


async def spans_since(servers: str, topic: str, since: int) -> dict[int, Span]:
    """What came at ``since`` (milliseconds since 1970) or later, of partitions that have some.

    Raises KafkaUnavailable.
    """
    async with _Reading(servers, topic) as reading:
        ends = await reading.consumer.end_offsets(reading.partitions)
        asked = dict.fromkeys(reading.partitions, since)
        found = await reading.consumer.offsets_for_times(asked)
        return {
            tp.partition: Span(at.offset, ends[tp])
            for tp, at in found.items()
            if at is not None and at.offset < ends[tp]
        }


async def read_spans(
    servers: str, topic: str, spans: Mapping[int, Span]
) -> AsyncGenerator[tuple[int, list[Any]], None]:
    """The records of these spans: a partition and some that follow one another, in order.

    Whoever may stop before the end closes it. Raises KafkaUnavailable.
    """
    async with _Reading(servers, topic) as reading:
        ends = {TopicPartition(topic, number): span.end for number, span in spans.items()}
        left = {tp: end for tp, end in ends.items() if spans[tp.partition].first < end}
        reading.consumer.assign(list(left))
        for tp in left:
            reading.consumer.seek(tp, spans[tp.partition].first)
        while left:
            async with asyncio.timeout(DEADLINE_SECONDS):
                fetched = await reading.consumer.getmany(
                    *left, timeout_ms=1000, max_records=FETCHED
                )
                positions = {tp: await reading.consumer.position(tp) for tp in left}
            for tp, records in fetched.items():
                some = [record for record in records if record.offset < left[tp]]
                if some:
                    yield tp.partition, some
            left = {tp: end for tp, end in left.items() if positions[tp] < end}


class _Reading:
    """A consumer of all partitions, while the block runs; its errors become KafkaUnavailable."""

    def __init__(self, servers: str, topic: str) -> None:
        self._servers = servers
        self._topic = topic
        self.partitions: list[TopicPartition] = []

    async def __aenter__(self) -> _Reading:
        described = await describe_topics(self._servers, [self._topic])
        numbers = range(described[self._topic].partitions)
        self.partitions = [TopicPartition(self._topic, number) for number in numbers]
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await self.consumer.start()
        except BaseException as error:
            await self.__aexit__(type(error), error, None)
            raise
        self.consumer.assign(self.partitions)
        await asyncio.sleep(0)  # aiokafka cannot stop before a task of its own has begun
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, _: object) -> None:
        await self.consumer.stop()
        if isinstance(error, KafkaError | OSError | TimeoutError):
            raise KafkaUnavailable(f"{self._topic} cannot be read: {error!r}") from error
