"""Contenders: Faust as it comes, by its documentation, with Faust's own acknowledging.

``one_by_one`` is an agent over events, ``taken`` one that takes many at once and folds them by
partition, which is the better one wherever Redis is to confirm: an agent acknowledges what its
body has done with, so each turn of the body waits for the disk.
"""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, NamedTuple

import faust

from services.profiles.settings import Settings
from services.shared.event_codec import Headers
from tests.bench.stream.job import COMMIT_SECONDS, Job, open_job, run

TAKEN = 4_000
WITHIN_SECONDS = 0.1
BUFFERED = 4 * TAKEN
"""Messages in Faust's buffer; with fewer it would wait while a batch is in work."""

Agent = Callable[[Any, Job], Awaitable[None]]


class Message(NamedTuple):
    """A record as the job wants it: Faust tells seconds."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    offset: int
    timestamp: int


def _record(event: Any) -> Message:
    message = event.message
    return Message(
        message.key,
        message.value,
        message.headers or (),
        message.offset,
        round(message.timestamp * 1000),
    )


async def one_by_one(stream: Any, job: Job) -> None:
    """Fold each event by itself."""
    events: AsyncIterable[Any] = stream.events()
    async for event in events:
        await job.fold(event.message.partition, [_record(event)])
        await job.safe()


async def taken(stream: Any, job: Job) -> None:
    """Fold as many as have come, partitions overlapped."""
    batches: AsyncIterable[list[Any]] = stream.take_events(TAKEN, within=WITHIN_SECONDS)
    async for events in batches:
        of: defaultdict[int, list[Message]] = defaultdict(list)
        for event in events:
            of[event.message.partition].append(_record(event))
        await asyncio.gather(*(job.fold(partition, some) for partition, some in of.items()))
        await job.safe()


async def consume(settings: Settings, agent: Agent) -> None:
    """Run an app with one agent."""
    job = await open_job(settings)
    app = faust.App(
        settings.group,
        broker=f"kafka://{settings.kafka_servers}",
        broker_commit_interval=COMMIT_SECONDS,
        broker_max_poll_records=TAKEN,
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=BUFFERED,
        stream_wait_empty=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        store="memory://",
        autodiscover=False,
    )
    topic = app.topic(settings.events_topic, key_serializer="raw", value_serializer="raw")

    async def fold(stream: Any) -> None:
        await agent(stream, job)

    app.agent(topic, name="fold", concurrency=1)(fold)
    await app.start()
    await app.wait_until_stopped()


if __name__ == "__main__":
    chosen = {agent.__name__: agent for agent in (one_by_one, taken)}[sys.argv[1]]
    run(lambda settings: consume(settings, chosen))
