"""The producer of a story: it gives up no record, however often its broker goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.fault.chaos.shopping import Sent

DEADLINE_SECONDS = 120.0
"""For one wave, whatever happens meanwhile."""

AGAIN_SECONDS = 0.2


class Sender:
    """Sends records and counts them; others wait for it to have come so far.

    Not idempotent: a record whose answer was lost is written twice, as producers do.
    """

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._moved = asyncio.Condition()
        self.produced = 0
        """Handed to the producer since the story's begin; not all may be acknowledged yet."""
        self.kept: list[Sent] = []
        """Acknowledged by the broker."""

    async def send(self, records: Sequence[Sent], *, rate: int) -> None:
        """Return once the broker has all; ``rate`` is how many are sent in a second."""
        clock = asyncio.get_running_loop().time
        begun, sending = clock(), []
        async with asyncio.timeout(DEADLINE_SECONDS):
            for number, record in enumerate(records):
                await asyncio.sleep(begun + number / rate - clock())
                sending.append(asyncio.create_task(self._until_kept(record)))
                async with self._moved:
                    self.produced += 1
                    self._moved.notify_all()
            await asyncio.gather(*sending)

    async def again(self, records: Sequence[Sent]) -> None:
        """Send what was sent already, as a producer may that got no answer."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            await asyncio.gather(*(self._until_kept(record) for record in records))

    async def until_produced(self, count: int) -> None:
        """Wait until ``count`` records were produced."""
        async with self._moved:
            await self._moved.wait_for(lambda: self.produced >= count)

    async def _until_kept(self, record: Sent) -> None:
        while True:
            try:
                await self._producer.send_and_wait(self._topic, record.value, record.key)
            except (KafkaError, OSError):
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                self.kept.append(record)
                return
