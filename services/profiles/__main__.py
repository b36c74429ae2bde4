"""The worker's entry point: ``python -m services.profiles``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from typing import Any, Final, NamedTuple

import faust
import structlog
import uvloop

from services.profiles.adapters.backlog import Backlog
from services.profiles.adapters.dead_letters import KafkaDeadLetters
from services.profiles.adapters.durability import Durability, RedisDurability
from services.profiles.adapters.stream import (
    EventsSkipped,
    Positions,
    attach,
    consumer_of,
    first_from,
    make_app,
)
from services.profiles.adapters.trends import RedisTrends
from services.profiles.batches import Batches
from services.profiles.settings import PREFIX, Settings
from services.profiles.worker import (
    COMMIT_SECONDS,
    PROBE_SECONDS,
    Readiness,
    Worker,
    insist,
)
from services.shared.errors import BadSetting, Unavailable
from services.shared.health import Health, serve_health
from services.shared.kafka import describe_topics, topic_settings
from services.shared.kafka_records import accept_any_header_name
from services.shared.profile_store import RedisProfileStore
from services.shared.redis_connection import RedisConnection
from services.shared.settings import read_settings, settings_help
from services.shared.telemetry import configure_logs, serve_metrics

FINISH_SECONDS: Final = 15.0
LOOK_AGAIN_SECONDS: Final = 5.0
COMMIT_DEADLINE_SECONDS: Final = 5.0
STOP_SECONDS: Final = 10.0
LEAVE_SECONDS: Final = 2.0
"""After Faust did not stop: for what is left to be closed and logged."""

UNCLEAN: Final = 1
"""The exit status then; nothing is lost, but somebody may want to know."""

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
    topic_id = await _unless(ending, _arrive(settings, durability))
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
        await _serve(app, Folding(worker, backlog), readiness, probe, ending)
    finally:
        await dead_letters.close()
        await connection.close()


class Folding(NamedTuple):
    """Who folds, and what waits to be folded."""

    worker: Worker
    backlog: Backlog


async def _serve(
    app: faust.App,
    folding: Folding,
    readiness: Readiness,
    probe: RedisConnection,
    ending: asyncio.Event,
) -> None:
    """Run Faust until ``ending`` or a failure; then finish the batch in hand and commit."""
    worker, backlog = folding
    tasks: list[asyncio.Task[Any]] = []
    try:
        await _unless(ending, app.start())
        if ending.is_set():
            return
        tasks = [
            asyncio.create_task(ending.wait()),
            asyncio.create_task(_fold_always(app, worker, backlog)),
            asyncio.create_task(_look_again_always(app, worker, backlog)),
            asyncio.create_task(_commit_always(app, worker)),
            asyncio.create_task(_watch_redis(probe, readiness)),
            asyncio.create_task(fail_with(app, worker)),
        ]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not await worker.finish(within=FINISH_SECONDS):
            _log.warning("batch_given_up", meaning="it is not committed and will be read again")
        for task in done:
            await task
        if worker.failed.done():  # in that last batch
            worker.failed.result()
        await _commit_last(app, worker)
    finally:
        for task in tasks:
            task.cancel()
        await probe.close()
        await _stop(app)


async def _fold_always(app: faust.App, worker: Worker, backlog: Backlog) -> None:
    """Fold what comes; where Faust has passed over events, go back and read them."""
    while True:
        try:
            await worker.handle(await backlog.take())
        except EventsSkipped as gap:
            _log.warning("events_read_again", partition=gap.tp.partition, offset=gap.expected)
            backlog.forget([gap.tp])
            await consumer_of(app).seek(gap.tp, gap.expected)


async def _look_again_always(app: faust.App, worker: Worker, backlog: Backlog) -> None:
    """Where a partition has events and none come, read from where we are.

    Offsets that hold no event, such as a transaction's end, look the same; then nothing comes.
    """
    while True:
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
        if not app.rebalancing:
            for tp, expected in worker.idle(consumer_of(app).ends(), backlog):
                await consumer_of(app).seek(tp, expected)


async def fail_with(app: Any, worker: Worker) -> None:
    """Wait for a failure of the worker's or of Faust itself, and raise it.

    ``app.wait`` ends without a word where Faust has crashed or stopped by itself.
    """
    await app.wait(worker.failed)
    raise app.crash_reason or RuntimeError("Faust has stopped by itself")


async def _commit_last(app: faust.App, worker: Worker) -> None:
    """Commit what is done; what Kafka does not take in time is read and folded again."""
    try:
        async with asyncio.timeout(COMMIT_DEADLINE_SECONDS):
            await worker.commit(consumer_of(app))
    except TimeoutError:
        _log.warning("not_committed", meaning="Kafka did not answer; events are read again")


async def _stop(app: faust.App) -> None:
    """Let Faust stop; where it cannot, its threads must not keep the process from ending."""
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await app.stop()
    except TimeoutError:
        _log.warning("faust_did_not_stop", within_seconds=STOP_SECONDS)
        threading.Timer(LEAVE_SECONDS, os._exit, [UNCLEAN]).start()


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


async def _commit_always(app: faust.App, worker: Worker) -> None:
    while True:
        await asyncio.sleep(COMMIT_SECONDS)
        if not app.rebalancing:
            await worker.commit(consumer_of(app))


async def _watch_redis(probe: RedisConnection, readiness: Readiness) -> None:
    while True:
        try:
            await probe.ask([("PING",)], within=PROBE_SECONDS)
            readiness.has("redis")
        except Unavailable:
            readiness.lacks("redis")
        await asyncio.sleep(PROBE_SECONDS)


async def _unless(ending: asyncio.Event, work: Any) -> Any:
    """What ``work`` answers, or None if ``ending`` comes first."""
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(ending.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    if ending.is_set():
        tasks[0].cancel()
        return None
    tasks[1].cancel()
    return await tasks[0]


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
