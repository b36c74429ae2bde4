"""Writes records to Kafka, acknowledged by all in-sync replicas: what may not be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from services.shared.dead_letter import DeadLetter
from services.shared.errors import KafkaUnavailable

DEADLINE_SECONDS: Final = 30.0


class Producing:
    """An idempotent producer that connects when first sent to, and again after a failure."""

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def send(self, topic: str, records: Sequence[DeadLetter]) -> None:
        """Return once all are acknowledged. Raises KafkaUnavailable; then some may be kept.

        Raises MessageSizeTooLargeError where the topic takes less than a record has: trying
        again is of no use.
        """
        if not records:
            return
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                producer = await self._started()
                sent = [
                    await producer.send(topic, key=key, value=value, headers=headers)
                    for key, value, headers in records
                ]
                await asyncio.gather(*sent)
        except MessageSizeTooLargeError:
            raise  # never passes by itself: the topic takes less than was sent
        except (KafkaError, TimeoutError, OSError) as error:
            await self.close()
            raise KafkaUnavailable(
                f"records of {topic} were not acknowledged by {self._servers}: "
                f"{str(error) or type(error).__name__}"
            ) from error

    async def close(self) -> None:
        """Let go of Kafka; a later send connects again."""
        producer, self._producer = self._producer, None
        if producer:
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    await producer.stop()
            except (KafkaError, TimeoutError, OSError):
                return  # what it held was not acknowledged, and will be sent again

    async def _started(self) -> AIOKafkaProducer:
        """The producer; who comes while one is being started waits for that one."""
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._servers,
                    acks="all",
                    enable_idempotence=True,
                    request_timeout_ms=10_000,
                    max_request_size=2 * 1024 * 1024,
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer
