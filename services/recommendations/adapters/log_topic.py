"""The topic that answers are logged to: a port, its fake, and Kafka."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from services.shared.errors import KafkaUnavailable
from services.shared.sealed_answers import AnswerRecord

DEADLINE_SECONDS: Final = 15.0
CLOSE_SECONDS: Final = 3.0
BATCH_BYTES: Final = 256 * 1024


class LogTopic(Protocol):
    """Keeps records of the recommendation log."""

    async def write(self, records: Sequence[AnswerRecord]) -> None:
        """Return once all are on all in-sync replicas. Raises KafkaUnavailable; some may be."""
        ...

    async def close(self) -> None:
        """Let go of Kafka; a later write connects again."""
        ...


class MemoryLogTopic:
    """The fake: a list; ``away`` makes it fail."""

    def __init__(self) -> None:
        self.records: list[AnswerRecord] = []
        self.away = False

    async def write(self, records: Sequence[AnswerRecord]) -> None:
        """See :class:`LogTopic`."""
        if self.away:
            raise KafkaUnavailable("away")
        self.records.extend(records)

    async def close(self) -> None:
        """See :class:`LogTopic`."""


class KafkaLogTopic:
    """Kafka, by an idempotent producer; records of one partition go in one batch.

    Batches are made here, as a record's partition follows from who asked, whom its key does not
    name; and a batch costs the producer as little as a single record would.
    """

    def __init__(self, servers: str, topic: str) -> None:
        """Connects when first written to."""
        self._servers = servers
        self._topic = topic
        self._producer: Any = None

    async def write(self, records: Sequence[AnswerRecord]) -> None:
        """See :class:`LogTopic`."""
        if not records:
            return
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                producer = await self._started()
                partitions = await producer.partitions_for(self._topic)
                sent = await self._sent(producer, records, len(partitions))
                await asyncio.wait(sent)  # who is cancelled here leaves the batches to Kafka
            for batch in sent:
                batch.result()
        except (KafkaError, TimeoutError, OSError) as error:
            await self.close()  # a producer whose batch has failed is of no more use
            raise KafkaUnavailable(
                f"answers were not acknowledged by {self._servers}: "
                f"{str(error) or type(error).__name__}"
            ) from error

    async def close(self) -> None:
        """See :class:`LogTopic`."""
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await producer.stop()
            except (KafkaError, TimeoutError, OSError):
                return  # what it held was not acknowledged, and is still waiting

    async def _sent(
        self, producer: Any, records: Sequence[AnswerRecord], partitions: int
    ) -> list[asyncio.Future[Any]]:
        placed = defaultdict(list)
        for record in records:
            placed[partition_of(record.placed_by, partitions)].append(record)
        sent, now = [], time.time_ns() // 1_000_000
        for partition, some in placed.items():
            batch = producer.create_batch()
            for _, key, value, headers in some:
                while batch.append(timestamp=now, key=key, value=value, headers=headers) is None:
                    sent.append(await producer.send_batch(batch, self._topic, partition=partition))
                    batch = producer.create_batch()
            sent.append(await producer.send_batch(batch, self._topic, partition=partition))
        return sent

    async def _started(self) -> Any:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._servers,
                acks="all",
                enable_idempotence=True,
                request_timeout_ms=10_000,
                max_batch_size=BATCH_BYTES,
            )
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer


def partition_of(key: bytes, partitions: int) -> int:
    """Where Kafka's own client puts a record of this key, of so many partitions."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions
