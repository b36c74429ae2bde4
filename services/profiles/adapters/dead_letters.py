"""Where refused records go: a port, its fake, and Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from services.profiles.domain.dead_letter import DeadLetter
from services.shared.errors import KafkaUnavailable

DEADLINE_SECONDS: Final = 30.0


class DeadLetters(Protocol):
    """Keeps dead letters for people to look at."""

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """Return once all are kept. Raises KafkaUnavailable; then some may be kept.

        Raises MessageSizeTooLargeError where the topic takes less than a dead letter may
        hold: trying again is of no use, and the batch must not be committed.
        """
        ...


class MemoryDeadLetters:
    """The fake: dead letters in a list."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """See :class:`DeadLetters`."""
        self.letters.extend(letters)


class KafkaDeadLetters:
    """Dead letters in a topic, acknowledged by all its in-sync replicas."""

    def __init__(self, servers: str, topic: str) -> None:
        """Connects when first sent to."""
        self._servers = servers
        self._topic = topic
        self._producer: AIOKafkaProducer | None = None

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """See :class:`DeadLetters`."""
        if not letters:
            return
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                producer = await self._started()
                sent = [
                    await producer.send(
                        self._topic, key=letter.key, value=letter.value, headers=letter.headers
                    )
                    for letter in letters
                ]
                await asyncio.gather(*sent)
        except MessageSizeTooLargeError:
            raise  # never passes by itself: the topic takes less than the worker sends
        except (KafkaError, TimeoutError, OSError) as error:
            await self.close()
            raise KafkaUnavailable(
                f"dead letters were not acknowledged by {self._servers}: "
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
