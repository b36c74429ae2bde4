"""Where refused records go: a port, its fake, and Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from services.profiles.adapters.producing import Producing
from services.profiles.domain.dead_letter import DeadLetter


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
        self._topic = topic
        self._producing = Producing(servers)

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """See :class:`DeadLetters`."""
        await self._producing.send(self._topic, letters)

    async def close(self) -> None:
        """Let go of Kafka; a later send connects again."""
        await self._producing.close()
