"""The worker's entry point: ``python -m services.profiles``."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence

import structlog
import uvloop

from services.profiles.adapters.backlog import Backlog
from services.profiles.adapters.dead_letters import DeadLetters, KafkaDeadLetters
from services.profiles.adapters.durability import Durability
from services.profiles.adapters.folded import RedisFoldedSpans
from services.profiles.adapters.redis_servers import redis_servers
from services.profiles.adapters.stream import attach, consumer_of, first_from, make_app
from services.profiles.adapters.trends import RedisTrends
from services.profiles.batches import Batches
from services.profiles.commands import COMMANDS, letters_of, run_command
from services.profiles.domain.refusals import RefusalLimit
from services.profiles.folding import Folding
from services.profiles.positions import Positions
from services.profiles.readiness import Readiness
from services.profiles.running import Running, unless
from services.profiles.settings import PREFIX, Settings
from services.profiles.watching import Watch
from services.profiles.worker import Worker
from services.shared.errors import BadSetting
from services.shared.event_age import AgeRule
from services.shared.garbage import collect_seldom
from services.shared.kafka import describe_topics, require_append_time, topic_settings
from services.shared.kafka_records import (
    accept_any_header_name,
    hand_out_records_as_they_are,
)
from services.shared.profile_store import ProfileStore, RedisProfileStore
from services.shared.redis_connection import Redis
from services.shared.running import run_consumer, switch_threads_soon
from services.shared.settings import read_settings, settings_help
from services.shared.telemetry import configure_logs
from services.shared.trying import insist

_log = structlog.get_logger()


async def run(settings: Settings) -> int:
    """Work until SIGTERM or SIGINT (status 0) or an error that is ours (status 1)."""
    return await run_consumer(
        lambda health, ending: _until_ended(settings, Readiness(health), ending),
        settings,
        lost="the batch in hand is not committed",
    )


async def _until_ended(settings: Settings, readiness: Readiness, ending: asyncio.Event) -> None:
    """Work; not ready as soon as it is to end, as the batch in hand may take a while."""
    work = asyncio.create_task(_work(settings, readiness, ending))
    ended = asyncio.create_task(ending.wait())
    await asyncio.wait([work, ended], return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    readiness.end()
    await work


async def _work(settings: Settings, readiness: Readiness, ending: asyncio.Event) -> None:
    """Wait for Kafka and Redis, then let Faust feed the worker until ``ending``."""
    redis = redis_servers(settings.redis_url, replicas=settings.redis_replicas)
    letters = letters_of(settings, redis.writer)
    dead_letters = KafkaDeadLetters(settings.kafka_servers, settings.dead_letters_topic, letters)
    try:
        topic_ids = await unless(ending, _arrive(settings, redis.durability))
        if topic_ids is None:
            return
        watch = Watch(settings.kafka_servers, topic_ids, redis.probe, readiness)
        await insist(watch.look_first, doing="find Redis", giving_up=ending.is_set)
        store = RedisProfileStore(redis.writer)

        def batches_of(topic: str) -> Batches:
            return make_batches(
                settings, topic, topic_ids[topic], store, redis.writer, dead_letters
            )

        running = _join(settings, readiness, watch, redis.durability, topic_ids, batches_of)
        await running.serve(ending)
    finally:
        await dead_letters.close()
        await redis.close()


def _join(
    settings: Settings,
    readiness: Readiness,
    watch: Watch,
    durability: Durability,
    topic_ids: dict[str, str],
    batches_of: Callable[[str], Batches],
) -> Running:
    """Join the parts that fold."""
    app, backlog = make_app(settings), Backlog()
    consumer = consumer_of(app)
    attach(app, list(topic_ids), backlog)
    positions = Positions(
        lambda tp: watch.start_of(consumer, tp),
        lambda tp, offset: first_from(settings.kafka_servers, tp, offset),
    )
    batches = {topic: batches_of(topic) for topic in topic_ids}
    worker = Worker(
        batches,
        positions,
        backlog,
        durability,
        limit=RefusalLimit(settings.refused_share_limit),
        readiness=readiness,
        read_again=consumer.read_again,
        look_at_topics=watch.look_at_topics,
        redis_seen=lambda: watch.replication_id,
    )

    def renew(topic: str, topic_id: str) -> None:
        topic_ids[topic] = topic_id
        batches[topic] = batches_of(topic)

    return Running(
        app,
        worker,
        positions,
        backlog,
        watch,
        readiness,
        renew=renew,
        rewind_seconds=settings.failover_rewind_seconds,
    )


def make_batches(
    settings: Settings,
    topic: str,
    topic_id: str,
    store: ProfileStore,
    redis: Redis,
    dead_letters: DeadLetters,
) -> Batches:
    """What is done with the batches of ``topic``; history has no age limit and makes no trends."""
    is_history = topic == settings.history_topic
    return Batches(
        topic=topic,
        topic_id=topic_id,
        store=store,
        trends=None if is_history else RedisTrends(redis, topic_id=topic_id),
        folded=RedisFoldedSpans(redis, topic_id=topic_id),
        dead_letters=dead_letters,
        age=AgeRule(None if is_history else settings.event_age_limit),
        folding=Folding(settings.profile_retention, int(settings.profile_layout)),
    )


async def _arrive(settings: Settings, durability: Durability) -> dict[str, str]:
    """Wait until Kafka has our topics and Redis answers; the ids of the topics that are read.

    Raises BadSetting where a producer's clock would decide how old its events are.
    """
    read = (settings.events_topic, settings.history_topic)
    ids: dict[str, str] = {}
    told: dict[str, dict[str, str]] = {}

    async def kafka() -> None:
        topics = await describe_topics(settings.kafka_servers, (*read, settings.dead_letters_topic))
        for topic in read:
            ids[topic] = topics[topic].topic_id
            told[topic] = await topic_settings(settings.kafka_servers, topic)

    async def redis() -> None:
        await durability.begin()  # says at once where writes cannot be confirmed

    await insist(kafka, doing="find Kafka and its topics")
    for topic in read:
        require_append_time(topic, told[topic])
    await insist(redis, doing="find Redis")
    return ids


def main(arguments: Sequence[str] | None = None) -> int:
    """Read settings and run; status 2 for a setting that cannot work."""
    told = sys.argv[1:] if arguments is None else list(arguments)
    if told and told[0] in COMMANDS:
        return run_command(told[0], told[1:], os.environ, say=print, remark=_remark)
    settings_help(
        Settings,
        prefix=PREFIX,
        prog="python -m services.profiles",
        description="Folds shopper events from Kafka into profiles in Redis.",
        epilog="Topics must exist (embedded stack: python -m deploy.local topics). "
        "SIGTERM finishes the batch in hand, commits and ends with status 0. "
        f"Other commands, each with --help: {', '.join(COMMANDS)}.",
    ).parse_args(told)
    try:
        settings = read_settings(Settings, prefix=PREFIX, environ=os.environ)
    except BadSetting as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 2
    configure_logs("profiles", settings.log_level)
    accept_any_header_name()
    hand_out_records_as_they_are()
    collect_seldom()
    switch_threads_soon()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run(settings))
    except BadSetting as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 2


def _remark(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
