"""The worker while it runs: Faust fetches, we fold, commit and watch, until the end begins."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

import faust
import structlog

from services.profiles.adapters.backlog import Backlog
from services.profiles.adapters.stream import consumer_of
from services.profiles.domain.commit import Commit
from services.profiles.metrics import LAG_EVENTS
from services.profiles.positions import Positions
from services.profiles.readiness import Readiness
from services.profiles.watching import Watch
from services.profiles.worker import Worker

COMMIT_SECONDS: Final = 1.0
LOOK_AGAIN_SECONDS: Final = 5.0
HANGS_AFTER_SECONDS: Final = 60.0
FINISH_SECONDS: Final = 15.0
COMMIT_DEADLINE_SECONDS: Final = 5.0
STOP_SECONDS: Final = 10.0
LEAVE_SECONDS: Final = 2.0
"""After Faust did not stop: for what is left to be closed and logged."""

UNCLEAN: Final = 1
"""The exit status then; nothing is lost, but somebody may want to know."""

T = TypeVar("T")

_log = structlog.get_logger()


class Running:
    """The parts of a worker, while they run."""

    def __init__(
        self,
        app: faust.App,
        worker: Worker,
        positions: Positions,
        backlog: Backlog,
        watch: Watch,
        readiness: Readiness,
    ) -> None:
        self._app = app
        self._worker = worker
        self._positions = positions
        self._backlog = backlog
        self._watch = watch
        self._readiness = readiness

    async def serve(self, ending: asyncio.Event) -> None:
        """Run Faust until ``ending`` or a failure; then finish the batch in hand and commit."""
        tasks: list[asyncio.Task[Any]] = []
        try:
            await unless(ending, self._app.start())
            if ending.is_set():
                return
            tasks = [
                asyncio.create_task(ending.wait()),
                asyncio.create_task(self._worker.run()),
                asyncio.create_task(self._look_again_always()),
                asyncio.create_task(self._commit_always()),
                asyncio.create_task(self._watch.run()),
                asyncio.create_task(fail_with(self._app, self._worker)),
            ]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not await self._worker.finish(within=FINISH_SECONDS):
                _log.warning("batch_given_up", meaning="it is not committed and will be read again")
            for task in done:
                await task
            if self._worker.failed.done():  # in that last batch
                self._worker.failed.result()
            await self._commit_last()
        finally:
            for task in tasks:
                task.cancel()
            await self._watch.close()
            await self._stop()

    async def commit(self) -> None:
        """Commit what is safe."""
        consumer = consumer_of(self._app)
        positions = self._positions.to_commit(self._app.consumer_generation_id)
        commits = {
            tp: Commit(each.safe, self._watch.note(tp.topic, each.profiles))
            for tp, each in positions.items()
        }
        if commits and await consumer.commit_offsets(commits):
            for tp, position in positions.items():
                position.committed = commits[tp].offset
        for tp, end in consumer.ends():
            safe = self._positions.safe_to(tp)
            if safe is not None:
                LAG_EVENTS.labels(tp.topic, tp.partition).set(max(end - safe, 0))

    async def _look_again_always(self) -> None:
        """Where a partition has events and none come, read from where we are.

        Offsets that hold no event, such as a transaction's end, look the same; then nothing
        comes.
        """
        while True:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            if not self._app.rebalancing:
                consumer = consumer_of(self._app)
                for tp, expected in self._worker.idle(consumer.ends()):
                    await consumer.read_again(tp, expected)
            still_for = time.monotonic() - self._worker.moved_at
            has_work = self._backlog.has_some or not self._worker.is_idle
            stands_still = has_work and still_for > HANGS_AFTER_SECONDS
            self._readiness.hangs(stands_still and not self._readiness.waits)

    async def _commit_always(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_SECONDS)
            if not self._app.rebalancing:
                await self.commit()

    async def _commit_last(self) -> None:
        """Commit what is safe; what Kafka does not take in time is read and folded again."""
        try:
            async with asyncio.timeout(COMMIT_DEADLINE_SECONDS):
                await self.commit()
        except TimeoutError:
            _log.warning("not_committed", meaning="Kafka did not answer; events are read again")

    async def _stop(self) -> None:
        """Let Faust stop; where it cannot, its threads must not keep the process from ending."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._app.stop()
        except TimeoutError:
            _log.warning("faust_did_not_stop", within_seconds=STOP_SECONDS)
            threading.Timer(LEAVE_SECONDS, os._exit, [UNCLEAN]).start()


async def fail_with(app: Any, worker: Worker) -> None:
    """Wait for a failure of the worker's or of Faust itself, and raise it.

    ``app.wait`` ends without a word where Faust has crashed or stopped by itself.
    """
    await app.wait(worker.failed)
    raise app.crash_reason or RuntimeError("Faust has stopped by itself")


async def unless(ending: asyncio.Event, work: Awaitable[T]) -> T | None:
    """What ``work`` answers, or None if ``ending`` comes first."""
    working, ended = asyncio.ensure_future(work), asyncio.ensure_future(ending.wait())
    await asyncio.wait([working, ended], return_when=asyncio.FIRST_COMPLETED)
    if ending.is_set():
        working.cancel()
        return None
    ended.cancel()
    return await working
