"""Faust: partitions, rebalances, flow control and commits; records come in batches.

Faust hands over one message at a time, with four tasks for each, and its own acknowledging
commits past a message that is still in work when messages are acknowledged out of order or skipped
in a rebalance. So here one *message* is all that was fetched of one partition at once, it waits
in a backlog of ours (:mod:`services.profiles.adapters.backlog`), and offsets are committed by
ourselves, from the count of what is done (:mod:`services.profiles.positions`).

What this leans on beyond documentation, in Faust 0.15.3: ``Consumer._to_message``,
``Consumer._thread`` with its ``_ensure_consumer``, ``Consumer._read_offset``,
``Consumer.getmany``, ``Consumer._new_consumer_thread``, ``_create_worker_consumer`` of the driver's
thread and ``App._create_directories``; in aiokafka 0.14: ``_coordinator.fetch_committed_offsets``
and ``AIOKafkaConsumer._fetch_max_wait_ms``. A test fails when they change.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

import faust
import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.serializers.codecs import Codec
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP, ConsumerMessage

from services.profiles.adapters.backlog import FETCHED_EVENTS, Backlog, Batch
from services.profiles.domain.commit import Commit, Note
from services.profiles.settings import Settings
from services.shared.errors import KafkaUnavailable

FETCH_BYTES: Final = 1024 * 1024
"""Of one partition at once, as they come over the wire: compressed ones may hold far more."""

FETCH_WAIT_MS: Final = 50
"""The longest that a broker holds a fetch for which it has nothing.

aiokafka has one fetch at a time for each broker, and leaves out partitions of which it still
holds records after a tenth of a second. Such a fetch may ask for partitions that get no events,
as those of the history do; until it comes back, nothing is fetched of the others. Faust has it
held for 1.5 s.
"""

METADATA_MS: Final = 30_000
"""So often a consumer looks for partitions that were added."""

NO_PRESSURE: Final = 1_000_000
"""Messages in Faust's own buffers before it pauses partitions: they never hold that many."""

PROBE_SECONDS: Final = 15.0

_log = structlog.get_logger()
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Note).decode


class WholeBatches(DefaultSchedulingStrategy):
    """All records of one partition are one item."""

    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Any]]:
        """Partitions in turn, each with its records."""
        return ((tp, batch) for tp, batch in records.items() if batch)


class ConsumerThread(AIOKafkaConsumerThread):
    """Faust's thread that reads; its fetches are not held for long."""

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer: AIOKafkaConsumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer


class BatchConsumer(Consumer):
    """A consumer whose messages carry a list of records, fetched while there is room for them."""

    has_room: asyncio.Event
    """Set while more may be fetched."""

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109 - Faust's own signature
        """Fetch once there is room; see Faust."""
        await self.wait(self.has_room.wait())  # ends as well when the consumer is stopped
        async for each in super().getmany(timeout):
            yield each

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, record: Any) -> Any:
        first = record[0]
        timestamp = (first.timestamp or 0) / 1000
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            first.offset,
            timestamp,
            first.timestamp_type,
            headers=None,
            key=None,
            value=record,
            checksum=None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def commit_offsets(self, commits: Mapping[TP, Commit]) -> bool:
        """Commit the next offset to read of each partition; False if it failed.

        Partitions that were taken away meanwhile are left out.
        """
        try:
            return bool(await self._thread.call_thread(self._commit_offsets_there, commits))
        except (KafkaError, IllegalStateError, OSError, TimeoutError) as error:
            _log.warning("not_committed", reason=repr(error), meaning="tried again in a moment")
            return False

    async def _commit_offsets_there(self, commits: Mapping[TP, Commit]) -> bool:
        consumer: AIOKafkaConsumer = self._thread._ensure_consumer()
        held = consumer.assignment()
        told = {
            partition: OffsetAndMetadata(offset, _encode(note).decode())
            for tp, (offset, note) in commits.items()
            if (partition := TopicPartition(tp.topic, tp.partition)) in held
        }
        if told:
            await consumer.commit(told)
        return len(told) == len(commits)

    def ends(self) -> Iterator[tuple[TP, int]]:
        """The partitions held now, each with the offset after its last event, where known."""
        for tp in self.assignment():
            # It is another thread that they belong to, and may be taken away from just now.
            with contextlib.suppress(AssertionError, IllegalStateError):
                end = self.highwater(tp)
                if end is not None:
                    yield tp, end

    async def read_again(self, tp: TP, offset: int) -> None:
        """Have ``tp`` read from ``offset`` on; nothing, where it was taken away meanwhile.

        Faust's own ``seek`` reaches from this thread into the consumer, whose thread may just
        be handing out what was fetched of ``tp``, and then dies of it.
        """
        with contextlib.suppress(IllegalStateError):
            await self._thread.call_thread(self._seek_there, tp, offset)
            self._read_offset[tp] = offset or None  # below it Faust drops what comes

    async def _seek_there(self, tp: TP, offset: int) -> None:
        consumer: AIOKafkaConsumer = self._thread._ensure_consumer()
        consumer.seek(TopicPartition(tp.topic, tp.partition), offset)

    async def committed_of(self, tp: TP) -> Commit | None:
        """What the group has committed of ``tp``. Raises KafkaUnavailable."""
        return cast("Commit | None", await self._ask(self._committed_there, tp))

    async def earliest_of(self, tp: TP) -> int:
        """The first offset that ``tp`` has. Raises KafkaUnavailable."""
        return cast("int", await self._ask(self._earliest_there, tp))

    async def _ask(self, question: Callable[[Any], Awaitable[Any]], tp: TP) -> Any:
        """Ask in the consumer's own thread, by its own connections."""
        partition = TopicPartition(tp.topic, tp.partition)
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                return await self._thread.call_thread(question, partition)
        except (KafkaError, IllegalStateError, OSError, TimeoutError) as error:
            raise KafkaUnavailable(f"{tp}: no offset: {error!r}") from error

    async def _committed_there(self, partition: TopicPartition) -> Commit | None:
        consumer: AIOKafkaConsumer = self._thread._ensure_consumer()
        # The public `committed` leaves the metadata out.
        found = await consumer._coordinator.fetch_committed_offsets([partition])
        told = found.get(partition)
        return None if told is None or told.offset < 0 else Commit(told.offset, _note(told[1]))

    async def _earliest_there(self, partition: TopicPartition) -> int:
        consumer: AIOKafkaConsumer = self._thread._ensure_consumer()
        return int((await consumer.beginning_offsets([partition]))[partition])


def _note(text: str) -> Note:
    """The note beside a commit; an empty one where it is not ours."""
    try:
        return _decode(text)
    except msgspec.MsgspecError:
        return Note()


class BatchTransport(Transport):
    """Faust's Kafka transport with :class:`BatchConsumer`."""

    Consumer = BatchConsumer


class AsItIs(Codec):
    """Hands a batch of records through."""

    def _loads(self, s: Any) -> Any:
        return s


class App(faust.App):
    """A Faust app that keeps nothing on disk: where it runs, the root may be read-only."""

    def _create_directories(self) -> None:
        """Faust makes folders for tables; there are none."""


def make_app(settings: Settings) -> faust.App:
    """A Faust app that reads batches and does nothing else of what Faust can do."""
    app = App(
        settings.group,
        broker=[f"kafka://{server}" for server in settings.kafka_servers.split(",")],
        broker_max_poll_records=FETCHED_EVENTS,
        # A worker that waits for Redis keeps its partitions: another would wait as well.
        broker_max_poll_interval=24 * 3600.0,
        broker_session_timeout=float(settings.session_timeout_seconds),
        broker_heartbeat_interval=settings.session_timeout_seconds * 0.3,
        consumer_max_fetch_size=FETCH_BYTES,
        consumer_metadata_max_age_ms=METADATA_MS,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.instance_id or None,
        ConsumerScheduler=WholeBatches,
        stream_buffer_maxsize=NO_PRESSURE,
        stream_wait_empty=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        store="memory://",
        autodiscover=False,
    )
    app.transport = BatchTransport(app.conf.broker_consumer, app)
    return app


async def first_from(servers: str, tp: TP, offset: int) -> int:
    """The offset of the first record at or after ``offset``, asked of Kafka directly.

    Raises KafkaUnavailable.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers, auto_offset_reset="earliest", enable_auto_commit=False
    )
    partition = TopicPartition(tp.topic, tp.partition)
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await consumer.start()
            consumer.assign([partition])
            consumer.seek(partition, offset)
            record: ConsumerRecord[Any, Any] = await consumer.getone()
    except (KafkaError, OSError, TimeoutError) as error:
        raise KafkaUnavailable(f"{tp}: no record from {offset} on: {error!r}") from error
    finally:
        await consumer.stop()
    return int(record.offset)


def consumer_of(app: faust.App) -> BatchConsumer:
    """The app's consumer, which is ours."""
    consumer = app.consumer
    if not isinstance(consumer, BatchConsumer):
        raise TypeError(f"Faust made a {type(consumer).__name__}, not a BatchConsumer")
    return consumer


def attach(app: faust.App, topics: Sequence[str], backlog: Backlog) -> None:
    """Put each batch of ``topics`` into ``backlog``, and fetch while it has room."""
    consumer_of(app).has_room = backlog.has_room
    channel = app.topic(*topics, key_serializer="raw", value_serializer=AsItIs(), acks=False)

    async def batches(stream: faust.StreamT[Any]) -> None:
        async for event in stream.events():
            backlog.put(Batch(event.message.tp, event.message.generation_id, event.value))

    app.agent(channel, name="batches", concurrency=1)(batches)
