"""Faust: partitions, rebalances, flow control and commits; records come in batches.

Faust hands over one message at a time, with four tasks for each, and its own acknowledging
commits past a message that is still in work when messages are acknowledged out of order or skipped
in a rebalance. So here one *message* is all that was fetched of one partition at once, it waits
in a backlog of ours (:mod:`services.profiles.adapters.backlog`), and offsets are committed by
ourselves, from the count of what is done (:class:`Positions`).

What this leans on in Faust 0.15.3 beyond its documentation: ``Consumer._to_message``,
``Consumer._commit``, ``Consumer._thread`` with its ``_ensure_consumer``, ``Consumer.getmany`` and
``App._create_directories``. A test fails when they change.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from typing import Any, Final

import faust
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from faust.serializers.codecs import Codec
from faust.transport.drivers.aiokafka import Consumer, Transport
from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP

from services.profiles.adapters.backlog import BATCH_EVENTS, Backlog, Batch
from services.profiles.settings import Settings
from services.shared.errors import KafkaUnavailable

FETCH_BYTES: Final = 1024 * 1024
"""Of one partition at once, as they come over the wire: compressed ones may hold far more."""

NO_PRESSURE: Final = 1_000_000
"""Messages in Faust's own buffers before it pauses partitions: they never hold that many."""

PROBE_SECONDS: Final = 15.0


class EventsSkipped(RuntimeError):
    """Faust has passed over events of ``tp``; they must be read again from ``expected`` on."""

    def __init__(self, tp: TP, expected: int, first: int) -> None:
        super().__init__(f"{tp}: events {expected} to {first - 1} were passed over")
        self.tp = tp
        self.expected = expected


class WholeBatches(DefaultSchedulingStrategy):
    """All records of one partition are one item."""

    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, Any]]:
        """Partitions in turn, each with its records."""
        return ((tp, batch) for tp, batch in records.items() if batch)


class BatchConsumer(Consumer):
    """A consumer whose messages carry a list of records, fetched while there is room for them."""

    has_room: asyncio.Event
    """Set while more may be fetched."""

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109 - Faust's own signature
        """Fetch once there is room; see Faust."""
        await self.wait(self.has_room.wait())  # ends as well when the consumer is stopped
        async for each in super().getmany(timeout):
            yield each

    def _to_message(self, tp: TP, record: Any) -> Any:
        message = super()._to_message(tp, record[0])
        message.key, message.value, message.headers = None, record, None
        return message

    async def commit_offsets(self, offsets: Mapping[TP, int]) -> bool:
        """Commit the next offset to read of each partition; False if it failed.

        Faust leaves out partitions that were taken away meanwhile.
        """
        return bool(await self._commit(dict(offsets)))

    def ends(self) -> Iterator[tuple[TP, int]]:
        """The partitions held now, each with the offset after its last event, where known."""
        for tp in self.assignment():
            # It is another thread that they belong to, and may be taken away from just now.
            with contextlib.suppress(AssertionError, IllegalStateError):
                end = self.highwater(tp)
                if end is not None:
                    yield tp, end

    async def read_again(self, tp: TP, offset: int) -> None:
        """Have ``tp`` read from ``offset`` on; nothing, where it was taken away meanwhile."""
        with contextlib.suppress(IllegalStateError):
            await self.seek(tp, offset)

    async def start_of(self, tp: TP) -> int:
        """Where reading a partition begins: its committed offset, else its earliest.

        Raises KafkaUnavailable.
        """
        try:
            return int(await self._thread.call_thread(self._start_of, tp))
        except (KafkaError, OSError, TimeoutError) as error:
            raise KafkaUnavailable(f"{tp}: no committed offset: {error!r}") from error

    async def _start_of(self, tp: TP) -> int:
        consumer: AIOKafkaConsumer = self._thread._ensure_consumer()
        partition = TopicPartition(tp.topic, tp.partition)
        committed = await consumer.committed(partition)
        if committed is not None:
            return int(committed)
        return int((await consumer.beginning_offsets([partition]))[partition])


class BatchTransport(Transport):
    """Faust's Kafka transport with :class:`BatchConsumer`."""

    Consumer = BatchConsumer


class AsItIs(Codec):
    """Hands a batch of records through."""

    def _loads(self, s: Any) -> Any:
        return s


class Positions:
    """How far each partition is done, and whether what comes next follows on it.

    Faust may drop what it has fetched when partitions move, and then read on behind it; a
    batch that begins beyond the expected offset is held for a loss until a look at Kafka
    itself shows that nothing lies between.
    """

    def __init__(
        self,
        start_of: Callable[[TP], Awaitable[int]],
        first_from: Callable[[TP, int], Awaitable[int]],
    ) -> None:
        """``first_from`` answers the offset of the first record from an offset on."""
        self._start_of = start_of
        self._first_from = first_from
        self._starts: dict[TP, asyncio.Future[int]] = {}
        self._next: dict[TP, tuple[int, int]] = {}
        self._committed: dict[TP, int] = {}

    def assigned(self, held: Iterable[TP]) -> None:
        """Begin to ask where these partitions begin, all at once, ahead of their first batches.

        Kafka answers one request of a connection at a time, so the question waits behind a
        fetch that waits for events: asked only when an event is there, it would hold up the
        first one of each partition by more than a second.
        """
        for task in self._starts.values():
            task.cancel()
        self._starts = {tp: asyncio.ensure_future(self._start_of(tp)) for tp in held}
        for task in self._starts.values():
            task.add_done_callback(_seen)

    async def _begin(self, tp: TP) -> int:
        """Where ``tp`` begins; what could not be told at its assignment is asked anew."""
        ahead = self._starts.pop(tp, None)
        return await (self._start_of(tp) if ahead is None else ahead)

    async def check(self, tp: TP, generation: int, first: int) -> None:
        """Raise EventsSkipped if events are missing before a batch that begins at ``first``.

        Raises KafkaUnavailable if Kafka cannot be asked; then nothing is said.
        """
        known = self._next.get(tp)
        if known is None or known[0] != generation:
            known = self._next[tp] = (generation, await self._begin(tp))
            self._committed.pop(tp, None)  # what another worker left there is not ours to know
        if first > known[1]:
            there = await self._first_from(tp, known[1])
            if there < first:
                raise EventsSkipped(tp, there, first)

    def done(self, tp: TP, end: int) -> None:
        """All before ``end`` is done."""
        generation, known = self._next[tp]
        self._next[tp] = (generation, max(known, end))

    def done_to(self, tp: TP) -> int | None:
        """The offset before which all is done; None before the first batch."""
        known = self._next.get(tp)
        return known and known[1]

    def expected(self, tp: TP) -> int | None:
        """Where the next batch of ``tp`` should begin; None where that is not known yet."""
        begins = self._starts.get(tp)
        if begins is not None and begins.done() and not begins.cancelled():
            return None if begins.exception() else begins.result()
        return self.done_to(tp) if begins is None else None

    def to_commit(self, generation: int) -> dict[TP, int]:
        """What is done and not committed yet, of partitions held in this group generation.

        An older generation's offset may be behind what another worker has committed since.
        """
        return {
            tp: end
            for tp, (held_in, end) in self._next.items()
            if held_in == generation and self._committed.get(tp, -1) != end
        }

    def committed(self, offsets: Mapping[TP, int]) -> None:
        """These were committed."""
        self._committed.update(offsets)


def _seen(task: asyncio.Future[int]) -> None:
    """Look at a failure, which whoever needs the answer will meet by itself."""
    if not task.cancelled():
        task.exception()


class App(faust.App):
    """A Faust app that keeps nothing on disk: where it runs, the root may be read-only."""

    def _create_directories(self) -> None:
        """Faust makes folders for tables; there are none."""


def make_app(settings: Settings) -> faust.App:
    """A Faust app that reads batches and does nothing else of what Faust can do."""
    app = App(
        settings.group,
        broker=[f"kafka://{server}" for server in settings.kafka_servers.split(",")],
        broker_max_poll_records=BATCH_EVENTS,
        # A worker that waits for Redis keeps its partitions: another would wait as well.
        broker_max_poll_interval=24 * 3600.0,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=3.0,
        consumer_max_fetch_size=FETCH_BYTES,
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


def attach(app: faust.App, topic: str, backlog: Backlog) -> None:
    """Put each batch of ``topic`` into ``backlog``, and fetch while it has room."""
    consumer_of(app).has_room = backlog.has_room
    channel = app.topic(topic, key_serializer="raw", value_serializer=AsItIs(), acks=False)

    async def batches(stream: faust.StreamT[Any]) -> None:
        async for event in stream.events():
            backlog.put(Batch(event.message.tp, event.message.generation_id, event.value))

    app.agent(channel, name="batches", concurrency=1)(batches)
