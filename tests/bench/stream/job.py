"""What every contender does with the records that it has consumed: the worker's own job.

Judge, count trends, fold, compare-and-set, dead letters, ``WAITAOF``: all by the code of
``services/profiles``, so that contenders differ in how records come and offsets go, and in
nothing else. They are told what the worker is told, by the same environment variables.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence

import uvloop

from services.profiles.__main__ import make_batches
from services.profiles.adapters.dead_letters import KafkaDeadLetters
from services.profiles.adapters.redis_servers import redis_servers
from services.profiles.commands import letters_of
from services.profiles.settings import PREFIX, Settings
from services.shared.event_codec import Record
from services.shared.garbage import collect_seldom
from services.shared.kafka import describe_topics
from services.shared.profile_store import RedisProfileStore
from services.shared.settings import read_settings

COMMIT_SECONDS = 1.0
"""As often as the worker commits."""


class Job:
    """Folds records of the events topic; belongs to one event loop."""

    def __init__(self, settings: Settings, topic_id: str) -> None:
        redis = redis_servers(settings.redis_url, replicas=settings.redis_replicas)
        self._durability = redis.durability
        self._batches = make_batches(
            settings,
            settings.events_topic,
            topic_id,
            RedisProfileStore(redis.writer),
            redis.writer,
            KafkaDeadLetters(
                settings.kafka_servers,
                settings.dead_letters_topic,
                letters_of(settings, redis.writer),
            ),
        )
        self._mark = 0

    async def fold(self, partition: int, records: Sequence[Record]) -> None:
        """Return once the profiles are written."""
        self._mark = await self._durability.begin()
        judged = self._batches.judge(partition, records)
        await self._batches.keep([judged])
        await asyncio.gather(
            self._batches.dead_letters.send(judged.refused),
            self._batches.tell([judged], self._durability.servers),
        )

    async def safe(self) -> None:
        """Return once all that was folded is on disk; at once where Redis keeps no file."""
        await self._durability.wait(self._mark)


async def open_job(settings: Settings) -> Job:
    """The job on the topic that ``settings`` name."""
    topic = settings.events_topic
    described = await describe_topics(settings.kafka_servers, [topic])
    return Job(settings, described[topic].topic_id)


def told() -> Settings:
    """The settings that the environment holds."""
    return read_settings(Settings, prefix=PREFIX, environ=os.environ)


def runner() -> asyncio.Runner:
    """A loop as fast as the worker's, garbage looked for as seldom."""
    collect_seldom()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def run(consume: Callable[[Settings], Awaitable[None]]) -> None:
    """Consume until the process is ended."""

    async def consuming() -> None:
        await consume(told())

    with runner() as loop:
        loop.run(consuming())
