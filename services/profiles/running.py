"""The worker while it runs: Faust fetches, we fold, commit and watch, until the end begins."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable
from typing import Any, Final, NamedTuple, TypeVar

import faust
import structlog

from services.profiles.adapters.backlog import Backlog
from services.profiles.adapters.stream import EventsSkipped, consumer_of
from services.profiles.worker import Readiness, Worker
from services.shared.errors import Unavailable
from services.shared.redis_connection import RedisConnection

COMMIT_SECONDS: Final = 1.0
PROBE_SECONDS: Final = 1.0
LOOK_AGAIN_SECONDS: Final = 5.0
FINISH_SECONDS: Final = 15.0
COMMIT_DEADLINE_SECONDS: Final = 5.0
STOP_SECONDS: Final = 10.0
LEAVE_SECONDS: Final = 2.0
"""After Faust did not stop: for what is left to be closed and logged."""

UNCLEAN: Final = 1
"""The exit status then; nothing is lost, but somebody may want to know."""

T = TypeVar("T")

_log = structlog.get_logger()


class Folding(NamedTuple):
    """Who folds, and what waits to be folded."""

    worker: Worker
    backlog: Backlog


async def serve(
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
        await unless(ending, app.start())
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
            await consumer_of(app).read_again(gap.tp, gap.expected)


async def _look_again_always(app: faust.App, worker: Worker, backlog: Backlog) -> None:
    """Where a partition has events and none come, read from where we are.

    Offsets that hold no event, such as a transaction's end, look the same; then nothing comes.
    """
    while True:
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
        if not app.rebalancing:
            for tp, expected in worker.idle(consumer_of(app).ends(), backlog):
                await consumer_of(app).read_again(tp, expected)


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


async def unless(ending: asyncio.Event, work: Awaitable[T]) -> T | None:
    """What ``work`` answers, or None if ``ending`` comes first."""
    working, ended = asyncio.ensure_future(work), asyncio.ensure_future(ending.wait())
    await asyncio.wait([working, ended], return_when=asyncio.FIRST_COMPLETED)
    if ending.is_set():
        working.cancel()
        return None
    ended.cancel()
    return await working
