"""Where events go: a port, its fake, and a topic of Kafka.

What this leans on in aiokafka 0.14 beyond its documentation: an idempotent producer repeats a
batch until Kafka has it, however long that takes, and one whose batch has failed is of no more
use, as the broker waits for the numbers of that batch. So it is replaced then.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from services.events.domain.record import Position, Record, Unacknowledged
from services.shared.errors import BadSetting, KafkaUnavailable
from services.shared.event_codec import VALUE_LIMIT
from services.shared.kafka import describe_topics, require_append_time, topic_settings

BATCH_BYTES: Final = 256 * 1024
"""What one partition gathers while its last batch is on its way."""

LEAST_BATCH_BYTES: Final = VALUE_LIMIT + 4_096
"""An event of the largest size with its key and header."""

REQUEST_MS: Final = 10_000
CONNECT_SECONDS: Final = 10.0
LOOK_AGAIN_SECONDS: Final = 30.0
"""How soon a topic that was made anew while nothing was written is noticed."""

FLUSH_SECONDS: Final = 10.0
BACKOFF_SECONDS: Final = (0.2, 5.0)
"""The first and the longest wait before Kafka is tried again."""

Outcome = Position | Unacknowledged

_log = structlog.get_logger()


class EventTopic(Protocol):
    """Keeps records."""

    async def write(self, records: Sequence[Record], *, within: float) -> list[Outcome]:
        """What became of each record, in their order, after ``within`` seconds at most.

        One with a position is on all in-sync replicas. Never raises for Kafka being away.
        """
        ...


class MemoryTopic:
    """The fake: a list for each partition; those of ``silent`` take records and say nothing."""

    def __init__(self, *, partitions: int = 4) -> None:
        self.partitions: list[list[Record]] = [[] for _ in range(partitions)]
        self.silent: set[int] = set()

    async def write(self, records: Sequence[Record], *, within: float) -> list[Outcome]:
        """See :class:`EventTopic`."""
        return [self._append(record, within) for record in records]

    def _append(self, record: Record, within: float) -> Outcome:
        partition = zlib.crc32(record.key) % len(self.partitions)
        self.partitions[partition].append(record)
        if partition in self.silent:
            return Unacknowledged(f"not acknowledged within {within:.1f} s")
        return Position("memory", partition, len(self.partitions[partition]) - 1)


class KafkaTopic:
    """A topic that exists; written with acks=all by an idempotent producer."""

    def __init__(self, servers: str, topic: str, *, compression: str | None = None) -> None:
        """Connects in :meth:`connect` or :meth:`run`; until then nothing is written.

        ``compression`` of batches is one of Kafka's, such as ``lz4``; None: none.
        """
        self._servers = servers
        self._topic = topic
        self._compression = compression
        self._topic_id = ""
        self._producer: AIOKafkaProducer | None = None
        self._broken = asyncio.Event()
        self._newest: dict[int, tuple[int, int]] = {}
        """The largest offset of each partition, and when it was appended."""
        self._retiring: set[asyncio.Task[None]] = set()

    async def run(self, when_connected: Callable[[], None]) -> None:
        """Connect, and again whenever a producer was given up, until cancelled.

        Raises BadSetting, see :meth:`connect`.
        """
        wait, longest = BACKOFF_SECONDS
        while True:
            try:
                await self.connect()
            except KafkaUnavailable as error:
                _say_again("find Kafka and the topic", error)
                await asyncio.sleep(wait)
                wait = min(wait * 2, longest)
                continue
            wait = BACKOFF_SECONDS[0]
            when_connected()
            await self._follow()

    async def connect(self) -> None:
        """Find the topic and start a producer.

        Raises KafkaUnavailable, and BadSetting where the topic does not keep the broker's time
        or takes less than an event may have.
        """
        await self._identify()
        settings = await topic_settings(self._servers, self._topic)
        producer = AIOKafkaProducer(
            bootstrap_servers=self._servers,
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=REQUEST_MS,
            max_batch_size=_batch_bytes(self._topic, settings),
            compression_type=self._compression,
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await producer.start()
        except (KafkaError, TimeoutError, OSError) as error:
            await producer.stop()
            raise KafkaUnavailable(f"Kafka at {self._servers}: {_said(error)}") from error
        except BaseException:
            await producer.stop()
            raise
        self._broken.clear()
        self._producer = producer

    async def write(self, records: Sequence[Record], *, within: float) -> list[Outcome]:
        """See :class:`EventTopic`."""
        producer = self._producer
        if producer is None or not records:
            return [Unacknowledged(f"Kafka at {self._servers} does not answer")] * len(records)
        handed: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.timeout(within):
                for record in records:
                    await self._hand(producer, record, handed)
                await asyncio.wait(handed)
        except (TimeoutError, KafkaTimeoutError):
            pass  # each outcome says so
        except KafkaError:
            self._give_up(producer)
        finally:
            failed = [_let_go(future) for future in handed]
        if any(failed) or self._went_back(handed):
            self._give_up(producer)
        outcomes = [self._outcome(future, within) for future in handed]
        unsent = Unacknowledged(f"Kafka took no more within {within:.1f} s; it was not sent")
        return [*outcomes, *[unsent] * (len(records) - len(handed))]

    async def close(self) -> None:
        """Let Kafka have what was handed over, for ten seconds, and let go of it."""
        self._give_up(self._producer)
        if self._retiring:
            _, late = await asyncio.wait(self._retiring, timeout=FLUSH_SECONDS)
            for task in late:
                task.cancel()

    async def _hand(
        self, producer: AIOKafkaProducer, record: Record, handed: list[asyncio.Future[Any]]
    ) -> None:
        """Put a record into the producer's buffer once there is room, and what it becomes last."""
        future = await producer.send(
            self._topic, record.value, key=record.key, headers=list(record.headers)
        )
        handed.append(future)

    async def _follow(self) -> None:
        """Return once the producer was given up; meanwhile see whether the topic is the same."""
        while True:
            try:
                async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                    await self._broken.wait()
                return
            except TimeoutError:
                try:
                    await self._identify()
                except KafkaUnavailable as error:
                    _say_again("look after the topic", error)

    async def _identify(self) -> None:
        described = await describe_topics(self._servers, [self._topic])
        self._topic_id = described[self._topic].topic_id

    def _went_back(self, handed: Sequence[asyncio.Future[Any]]) -> bool:
        """Whether a partition's offsets began anew: then the topic is another one."""
        went_back = False
        for future in handed:
            if future.cancelled():
                continue
            found = future.result()
            offset, at = self._newest.get(found.partition, (-1, 0))
            if found.offset > offset:
                self._newest[found.partition] = found.offset, found.timestamp
            elif found.timestamp > at:
                self._newest[found.partition] = found.offset, found.timestamp
                went_back, self._topic_id = True, ""
        return went_back

    def _outcome(self, future: asyncio.Future[Any], within: float) -> Outcome:
        if future.cancelled():
            return Unacknowledged(f"Kafka did not acknowledge it within {within:.1f} s")
        if error := future.exception():
            return Unacknowledged(f"Kafka did not take it: {_said(error)}")
        found = future.result()
        if found.timestamp_type == 0 or not self._topic_id:
            return Unacknowledged("Kafka has it, but does not say where")
        return Position(self._topic_id, found.partition, found.offset)

    def _give_up(self, producer: AIOKafkaProducer | None) -> None:
        """Write nothing more by this producer; what it holds it may still deliver."""
        if producer is not self._producer or producer is None:
            return
        self._producer = None
        self._broken.set()
        task = asyncio.create_task(producer.stop())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


def _batch_bytes(topic: str, settings: dict[str, str]) -> int:
    """How large a batch may be. Raises BadSetting, see :meth:`KafkaTopic.connect`."""
    require_append_time(topic, settings)
    most = int(settings["max.message.bytes"])
    if most < LEAST_BATCH_BYTES:
        raise BadSetting(
            f"topic {topic} has max.message.bytes={most}; set {LEAST_BATCH_BYTES} or more: an "
            f"event may have {VALUE_LIMIT}"
        )
    return min(BATCH_BYTES, most)


def _let_go(future: asyncio.Future[Any]) -> BaseException | None:
    """Wait for it no more, though its record may still be written; what it failed with."""
    return None if future.cancel() else future.exception()


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _say_again(doing: str, error: KafkaUnavailable) -> None:
    _log.warning("trying_again", doing=doing, code=error.code, reason=str(error))
