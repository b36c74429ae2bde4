"""The worker's entry point: ``python -m services.profiles``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any, Final

import structlog
import uvloop

from services.profiles.adapters.backlog import Backlog
from services.profiles.adapters.dead_letters import KafkaDeadLetters
from services.profiles.adapters.durability import Durability, RedisDurability
from services.profiles.adapters.stream import Positions, attach, consumer_of, first_from, make_app
from services.profiles.adapters.trends import RedisTrends
from services.profiles.batches import Batches
from services.profiles.running import Folding, serve, unless
from services.profiles.settings import PREFIX, Settings
from services.profiles.worker import Readiness, Worker, insist
from services.shared.errors import BadSetting
from services.shared.health import Health, serve_health
from services.shared.kafka import describe_topics, topic_settings
from services.shared.kafka_records import accept_any_header_name
from services.shared.profile_store import RedisProfileStore
from services.shared.redis_connection import RedisConnection
from services.shared.settings import read_settings, settings_help
from services.shared.telemetry import configure_logs, serve_metrics

TIMES: Final = "message.timestamp.type"
APPEND_TIME: Final = "LogAppendTime"

_log = structlog.get_logger()


async def run(settings: Settings) -> int:
    """Work until SIGTERM or SIGINT (status 0) or an error that is ours (status 1)."""
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    health = Health()
    health.not_ready()
    server, port = await serve_health(health, host=settings.health_host, port=settings.health_port)
    metrics_port = serve_metrics(settings.metrics_host, settings.metrics_port)
    _log.info("started", health_port=port, metrics_port=metrics_port)
    readiness = Readiness(health)
    work = asyncio.create_task(_work(settings, readiness, ending))
    ended = asyncio.create_task(ending.wait())
    try:
        await asyncio.wait([work, ended], return_when=asyncio.FIRST_COMPLETED)
        readiness.end()
        await work
    except BadSetting:
        raise
    except Exception:
        _log.exception("stopped_by_an_error", meaning="the batch in hand is not committed")
        return 1
    finally:
        ended.cancel()
        await server.stop(grace=1.0)
    _log.info("stopped")
    return 0


async def _work(settings: Settings, readiness: Readiness, ending: asyncio.Event) -> None:
    """Wait for Kafka and Redis, then let Faust feed the worker until ``ending``."""
    connection = RedisConnection(settings.redis_url)
    durability = RedisDurability(connection)
    topic_id = await unless(ending, _arrive(settings, durability))
    if topic_id is None:
        await connection.close()
        return
    dead_letters = KafkaDeadLetters(settings.kafka_servers, settings.dead_letters_topic)
    batches = Batches(
        topic=settings.events_topic,
        topic_id=topic_id,
        store=RedisProfileStore(connection),
        trends=RedisTrends(connection, topic_id=topic_id),
        dead_letters=dead_letters,
        durability=durability,
        age_limit=settings.event_age_limit,
        retention=settings.profile_retention,
    )
    app = make_app(settings)
    positions = Positions(
        consumer_of(app).start_of, lambda tp, offset: first_from(settings.kafka_servers, tp, offset)
    )
    worker = Worker(batches, positions)
    backlog = Backlog()
    attach(app, settings.events_topic, backlog)

    @app.on_partitions_assigned.connect  # type: ignore[arg-type]  # its type asks for a `signal: object` beside
    async def assigned(_: Any, held: Any, **__: Any) -> None:
        _log.info("partitions_assigned", partitions=sorted(tp.partition for tp in held))
        positions.assigned(held)
        readiness.has("partitions")

    @app.on_partitions_revoked.connect  # type: ignore[arg-type]  # as above
    async def revoked(_: Any, taken: Any, **__: Any) -> None:
        _log.info("partitions_revoked", partitions=sorted(tp.partition for tp in taken))
        backlog.forget(taken)
        worker.forget(taken)
        readiness.lacks("partitions")

    try:
        probe = RedisConnection(settings.redis_url)
        await serve(app, Folding(worker, backlog), readiness, probe, ending)
    finally:
        await dead_letters.close()
        await connection.close()


async def _arrive(settings: Settings, durability: Durability) -> str:
    """Wait until Kafka has our topics and Redis answers; the events topic's id.

    Raises BadSetting where a producer's clock would decide how old its events are.
    """
    found: dict[str, str] = {}

    async def kafka() -> None:
        names = (settings.events_topic, settings.dead_letters_topic)
        topics = await describe_topics(settings.kafka_servers, names)
        found["id"] = topics[settings.events_topic].topic_id
        found["times"] = (await topic_settings(settings.kafka_servers, names[0]))[TIMES]

    async def redis() -> None:
        await durability.begin()  # says at once where writes cannot be confirmed

    await insist(kafka, doing="find Kafka and its topics")
    if found["times"] != APPEND_TIME:
        raise BadSetting(
            f"topic {settings.events_topic} has {TIMES}={found['times']}; set {APPEND_TIME}: an "
            "event's age is judged by the time at which the broker appended it"
        )
    await insist(redis, doing="find Redis")
    return found["id"]


def main() -> int:
    """Read settings and run; status 2 for a setting that cannot work."""
    settings_help(
        Settings,
        prefix=PREFIX,
        prog="python -m services.profiles",
        description="Folds shopper events from Kafka into profiles in Redis.",
        epilog="Topics must exist (embedded stack: python -m deploy.local topics). "
        "SIGTERM finishes the batch in hand, commits and ends with status 0.",
    ).parse_args()
    try:
        settings = read_settings(Settings, prefix=PREFIX, environ=os.environ)
    except BadSetting as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 2
    configure_logs("profiles", settings.log_level)
    accept_any_header_name()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run(settings))
    except BadSetting as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
