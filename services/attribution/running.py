"""The process: joins the parts, finds Kafka and Redis, counts until it is told to end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import structlog

from services.attribution.adapters.consents import RedisConsents
from services.attribution.adapters.courses import RedisCourses
from services.attribution.adapters.experiment_files import ExperimentFiles, experiment_files
from services.attribution.adapters.kept_figures import RedisFigures
from services.attribution.adapters.redis_trails import RedisTrailStore
from services.attribution.adapters.stops import RedisStops
from services.attribution.adapters.stream import partition_of, stream
from services.attribution.attributing import Attributing, Topics
from services.attribution.batches import Batches, Surroundings
from services.attribution.looking import LOOKING_PARTITION, Looking
from services.attribution.reading import EVENTS, LOG, Reader
from services.attribution.settings import Settings
from services.shared.errors import BadSetting, Unavailable
from services.shared.event_age import AgeRule
from services.shared.health import Health
from services.shared.kafka import (
    TopicDescription,
    describe_topics,
    require_append_time,
    topic_settings,
)
from services.shared.kafka_partitions import Partitions
from services.shared.letter_keys import RedisLetterKeys
from services.shared.redis_cluster import connect
from services.shared.redis_connection import Redis
from services.shared.running import run_consumer
from services.shared.sealed_answers import SealedAnswers
from services.shared.sealing import MasterKey
from services.shared.trying import insist

_log = structlog.get_logger()


async def run(settings: Settings, master: MasterKey) -> int:
    """Work until SIGTERM or SIGINT (status 0) or an error that is ours (status 1).

    Raises BadSetting for a taken port and for topics that are kept wrongly.
    """
    return await run_consumer(
        lambda health, ending: _work(settings, master, health, ending),
        settings,
        lost="what was not counted is read again",
    )


async def _work(
    settings: Settings, master: MasterKey, health: Health, ending: asyncio.Event
) -> None:
    topics = Topics(settings.topic_prefix + LOG, settings.topic_prefix + EVENTS)
    redis = connect(settings.redis_url)
    partitions = stream(settings, topics)
    files = experiment_files(settings.experiments)
    looking = Looking(
        RedisFigures(redis), RedisCourses(redis), RedisStops(redis), now=lambda: datetime.now(UTC)
    )
    looks: asyncio.Task[None] | None = None
    try:
        files.refresh()
        described = await _arrive(settings, topics, ending)
        await insist(partitions.start, doing="join the group", giving_up=ending.is_set)
        work = _join(settings, master, redis, partitions, files, topics, described, health)
        every = float(settings.look_seconds)
        looks = asyncio.create_task(
            looking.run(files, every, lambda: LOOKING_PARTITION in work.numbers)
        )
        await _until_either_ends(asyncio.create_task(work.run(ending)), looks)
    except Unavailable as error:
        if not ending.is_set():
            raise
        _log.warning("not_all_counted", reason=str(error), meaning="read again at the next start")
    finally:
        if looks is not None:
            looks.cancel()
        await partitions.close()
        await redis.close()


async def _until_either_ends(work: asyncio.Task[None], looks: asyncio.Task[None]) -> None:
    """Work ends when it is told to, looks only by a mistake of ours: raises what ended them."""
    await asyncio.wait((work, looks), return_when=asyncio.FIRST_COMPLETED)
    if looks.done():
        work.cancel()
        looks.result()
    await work


def _join(
    settings: Settings,
    master: MasterKey,
    redis: Redis,
    partitions: Partitions,
    files: ExperimentFiles,
    topics: Topics,
    described: Mapping[str, TopicDescription],
    health: Health,
) -> Attributing:
    count = described[topics.events].partitions
    store = RedisTrailStore(redis)
    around = Surroundings(
        store, RedisConsents(redis), master, files.of, lambda name: partition_of(name, count)
    )
    answers = SealedAnswers(master, RedisLetterKeys(redis, master))
    return Attributing(
        partitions,
        Reader(answers, AgeRule(settings.event_age_limit)),
        Batches(around),
        store.claim,
        servers=settings.kafka_servers,
        topics=topics,
        topic_ids={topic: described[topic].topic_id for topic in topics},
        health=health,
    )


async def _arrive(
    settings: Settings, topics: Topics, ending: asyncio.Event
) -> Mapping[str, TopicDescription]:
    """Wait until Kafka has the topics.

    Raises BadSetting where a topic's times cannot be relied on, or the two differ in partitions.
    """
    told: dict[str, dict[str, str]] = {}

    async def look() -> Mapping[str, TopicDescription]:
        found = await describe_topics(settings.kafka_servers, topics)
        for topic in topics:
            told[topic] = await topic_settings(settings.kafka_servers, topic)
        return found

    found = await insist(look, doing="find Kafka and its topics", giving_up=ending.is_set)
    for topic in topics:
        require_append_time(topic, told[topic])
    counts = {topic: found[topic].partitions for topic in topics}
    if len(set(counts.values())) > 1:
        raise BadSetting(
            f"{topics.log} has {counts[topics.log]} partitions and {topics.events} "
            f"{counts[topics.events]}: give the one with fewer as many as the other, since an "
            "answer lies in the partition of its shopper's events"
        )
    return found
