"""The producer of a story: it gives up no record, however often its broker goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.fault.chaos.shopping import Sent

AGAIN_SECONDS = 0.2


class Sender:
    """Sends records, and remembers those that the broker has.

    Not idempotent: a record whose answer was lost is written twice, as producers do.
    """

    def __init__(self, producer: AIOKafkaProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self.kept: list[Sent] = []
        """Acknowledged by the broker."""

    async def send(self, records: Iterable[Sent], to: asyncio.TaskGroup, *, rate: int) -> None:
        """Hand over ``rate`` records a second; tasks in ``to`` end once the broker has them."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        for number, record in enumerate(records):
            await asyncio.sleep(begun + number / rate - clock())
            to.create_task(self._until_kept(record))

    async def again(self, records: Iterable[Sent]) -> None:
        """Send what was sent already, as a producer may that got no answer."""
        await asyncio.gather(*(self._until_kept(record) for record in records))

    async def _until_kept(self, record: Sent) -> None:
        while True:
            try:
                await self._producer.send_and_wait(self._topic, record.value, record.key)
            except (KafkaError, OSError):
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                self.kept.append(record)
                return
