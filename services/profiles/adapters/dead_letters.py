"""Where refused records go: a port, its fake, and Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from services.profiles.adapters.producing import Producing
from services.shared.dead_letter import Refused
from services.shared.sealed_letters import SealedLetters


class DeadLetters(Protocol):
    """Keeps refused records for people to look at."""

    async def send(self, refused: Sequence[Refused]) -> None:
        """Return once all are kept. Raises Unavailable; then some may be kept.

        Raises MessageSizeTooLargeError where the topic takes less than a dead letter may
        hold: trying again is of no use, and the batch must not be committed.
        """
        ...


class MemoryDeadLetters:
    """The fake: refused records in a list."""

    def __init__(self) -> None:
        self.letters: list[Refused] = []

    async def send(self, refused: Sequence[Refused]) -> None:
        """See :class:`DeadLetters`."""
        self.letters.extend(refused)


class KafkaDeadLetters:
    """Sealed letters in a topic, acknowledged by all its in-sync replicas."""

    def __init__(self, servers: str, topic: str, letters: SealedLetters) -> None:
        """Connects when first sent to."""
        self._topic = topic
        self._letters = letters
        self._producing = Producing(servers)

    async def send(self, refused: Sequence[Refused]) -> None:
        """See :class:`DeadLetters`."""
        if refused:
            await self._producing.send(self._topic, await self._letters.seal(refused))

    async def close(self) -> None:
        """Let go of Kafka; a later send connects again."""
        await self._producing.close()
