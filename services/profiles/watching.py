"""Looks every now and then whether Kafka and Redis are there, and still the same.

A topic that was deleted and made anew has another id, its offsets begin anew, and all of it is
read. A Redis that has failed over, or was started anew, has another replication id; as the
one that took over may lack the last writes of the one that failed, what was folded last is
folded again, which changes nothing where nothing was lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from faust.types import TP

from services.profiles.adapters.redis_servers import Probe
from services.profiles.adapters.stream import BatchConsumer
from services.profiles.domain.commit import Note, Start, start_after
from services.profiles.readiness import Readiness
from services.shared.errors import Unavailable
from services.shared.kafka import describe_topics

EVERY_SECONDS: Final = 1.0
KAFKA_EVERY: Final = 5
"""Each so many looks, Kafka is looked at, too."""

PROBE_SECONDS: Final = 2.0

_log = structlog.get_logger()


class Watch:
    """What Kafka's topics and Redis were last seen to be."""

    def __init__(
        self,
        servers: str,
        topic_ids: dict[str, str],
        probe: Probe,
        readiness: Readiness,
    ) -> None:
        """``topic_ids`` are those of the topics that are read, by name, and kept up to date."""
        self._servers = servers
        self._topic_ids = topic_ids
        self._probe = probe
        self._readiness = readiness
        self._replication_id = ""
        self._looking = asyncio.Lock()
        self._redis_changed: Callable[[], Awaitable[None]] = _nothing
        self._made_anew: Callable[[str, str], Awaitable[None]] = _nothing

    @property
    def replication_id(self) -> str:
        """Of the Redis that was last seen, once what it may lack was sent for again."""
        return self._replication_id

    def on_change(
        self, *, redis: Callable[[], Awaitable[None]], topic: Callable[[str, str], Awaitable[None]]
    ) -> None:
        """Have ``redis`` called where Redis changed, ``topic`` with a topic and its new id.

        The latter is to keep the new id, too. If one raises Unavailable it is called again.
        """
        self._redis_changed, self._made_anew = redis, topic

    def note(self, topic: str, *, since: int) -> Note:
        """What is committed beside an offset of ``topic`` now."""
        return Note(self._topic_ids[topic], self._replication_id, since)

    async def start_of(self, consumer: BatchConsumer, tp: TP) -> Start:
        """Where reading ``tp`` begins. Raises KafkaUnavailable."""
        commit = await consumer.committed_of(tp)
        start = start_after(
            commit, topic_id=self._topic_ids[tp.topic], replication_id=self._replication_id
        )
        if start is None:
            earliest = await consumer.earliest_of(tp)
            start = Start(earliest, earliest)
        if commit is not None and commit.offset != start.offset:
            _log.warning(
                "reading_from_before",
                topic=tp.topic,
                partition=tp.partition,
                committed=commit.offset,
                offset=start.offset,
                meaning="the topic was made anew, or Redis has failed over or restarted",
            )
        return start

    async def run(self) -> None:
        """Look until cancelled."""
        looks = 0
        while True:
            await self._look_at_redis()
            if looks % KAFKA_EVERY == 0:
                await self._look_at_kafka()
            looks += 1
            await asyncio.sleep(EVERY_SECONDS)

    async def look_first(self) -> None:
        """See which Redis it is, before anything is read.

        Raises RedisUnavailable, and BadSetting where its URL is of another kind of Redis.
        """
        self._replication_id = await self._probe.replication_id()

    async def close(self) -> None:
        """Let go of the connection."""
        await self._probe.close()

    async def _look_at_redis(self) -> None:
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                found = await self._probe.replication_id()
        except (Unavailable, TimeoutError):
            return self._readiness.lacks("redis")
        self._readiness.has("redis")
        if found != self._replication_id:
            _log.warning(
                "redis_changed",
                before=self._replication_id,
                after=found,
                meaning="what was folded last is folded again",
            )
            if await _is_told(self._redis_changed()):
                self._replication_id = found
        return None

    async def _look_at_kafka(self) -> None:
        try:
            await self.look_at_topics()
        except Unavailable:
            return self._readiness.lacks("kafka")
        return self._readiness.has("kafka")

    async def look_at_topics(self) -> None:
        """See whether the topics are the same, and have one that is not read from its start.

        Raises KafkaUnavailable.
        """
        async with self._looking:
            found = await describe_topics(self._servers, list(self._topic_ids))
            for topic, described in found.items():
                if described.topic_id != self._topic_ids[topic]:
                    _log.warning("topic_made_anew", topic=topic, meaning="all of it is read")
                    await _is_told(self._made_anew(topic, described.topic_id))


async def _is_told(telling: Awaitable[None]) -> bool:
    """False where it could not be seen to now."""
    try:
        await telling
    except Unavailable as error:
        _log.warning("not_read_again", reason=str(error))
        return False
    return True


async def _nothing(*_: str) -> None:
    """What is called before anybody is there to be told."""
