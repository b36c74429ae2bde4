"""The worker while it runs: Faust fetches, we fold, commit and watch, until the end begins."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar

import faust
import structlog
from faust.types import TP

from services.profiles.adapters.backlog import Backlog
from services.profiles.adapters.stream import BatchConsumer, consumer_of
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
        *,
        renew: Callable[[str, str], None],
        rewind_seconds: int,
    ) -> None:
        """``renew`` is told of a topic that was made anew, and its id, before it is read.

        ``rewind_seconds``: how long after a write a replica of Redis must have it.
        """
        self._app = app
        self._worker = worker
        self._positions = positions
        self._backlog = backlog
        self._watch = watch
        self._readiness = readiness
        self._renew = renew
        self._rewind_seconds = rewind_seconds
        watch.on_change(redis=self.read_lost, topic=self.read_anew)
        app.on_partitions_assigned.connect(self._assigned)  # type: ignore[arg-type]  # its type asks for a `signal: object` beside
        app.on_partitions_revoked.connect(self._revoked)  # type: ignore[arg-type]  # as above

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
        now = time.monotonic()
        for position in positions.values():
            position.mark(now, self._rewind_seconds)
        commits = {
            tp: Commit(each.safe, self._watch.note(tp.topic, since=each.since))
            for tp, each in positions.items()
        }
        if commits and await consumer.commit_offsets(commits):
            for tp, position in positions.items():
                position.committed = commits[tp].offset
        for tp, end in consumer.ends():
            known = self._positions.of(tp)
            if known is not None:
                LAG_EVENTS.labels(tp.topic, tp.partition).set(max(end - known.safe, 0))

    async def read_anew(self, topic: str, topic_id: str) -> None:
        """Read a topic that was made anew from its start.

        Its partitions go back and its id changes at one moment: a batch of the new topic that
        were folded at the old topic's position would move the fence of its counts past what
        was never counted, and a commit then would lose what lies before it.
        Raises KafkaUnavailable; then nothing has changed.
        """
        consumer = consumer_of(self._app)
        begins: dict[TP, int] = {}
        while new := [tp for tp in consumer.assignment() if tp.topic == topic and tp not in begins]:
            begins |= {tp: await consumer.earliest_of(tp) for tp in new}
        self._renew(topic, topic_id)
        await self._worker.rewind(begins)

    async def read_lost(self) -> None:
        """Read again what a Redis that has failed over may lack. Raises KafkaUnavailable."""
        consumer = consumer_of(self._app)
        begins = {tp: await self._since(consumer, tp) for tp in consumer.assignment()}
        await self._worker.rewind({tp: at for tp, at in begins.items() if at is not None})

    async def _since(self, consumer: BatchConsumer, tp: TP) -> int | None:
        """From where ``tp`` is folded again after a failover; None: nothing of it was folded."""
        position = self._positions.of(tp)
        if position is not None:
            return position.since
        commit = await consumer.committed_of(tp)
        return None if commit is None else commit.note.since

    async def _assigned(self, _: Any, held: Any, **__: Any) -> None:
        _log.info("partitions_assigned", partitions=_told(held))
        self._positions.assigned(held)
        self._readiness.has("partitions")

    async def _revoked(self, _: Any, taken: Any, **__: Any) -> None:
        _log.info("partitions_revoked", partitions=_told(taken))
        self._backlog.forget(taken)
        self._worker.forget(taken)
        self._readiness.lacks("partitions")

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
        """Let Faust stop; where it cannot, its threads must not keep the process from ending.

        What is asked of Kafka for partitions just assigned is given up first: Faust would ask it
        of a consumer that is closed already, and wait for the answer for ever.
        """
        self._positions.assigned(())
        limit = asyncio.timeout(STOP_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with limit:
                await self._app.stop()
        if limit.expired():  # Faust may also swallow the cancellation, and return
            _log.warning("faust_did_not_stop", within_seconds=STOP_SECONDS)
            threading.Timer(LEAVE_SECONDS, os._exit, [UNCLEAN]).start()


async def fail_with(app: Any, worker: Worker) -> None:
    """Wait for a failure of the worker's or of Faust itself, and raise it.

    ``app.wait`` ends without a word where Faust has crashed or stopped by itself.
    """
    await app.wait(worker.failed)
    raise app.crash_reason or RuntimeError("Faust has stopped by itself")


def _told(partitions: Iterable[TP]) -> list[str]:
    return sorted(f"{tp.topic}/{tp.partition}" for tp in partitions)


async def unless(ending: asyncio.Event, work: Awaitable[T]) -> T | None:
    """What ``work`` answers, or None if ``ending`` comes first."""
    working, ended = asyncio.ensure_future(work), asyncio.ensure_future(ending.wait())
    await asyncio.wait([working, ended], return_when=asyncio.FIRST_COMPLETED)
    if ending.is_set():
        working.cancel()
        return None
    ended.cancel()
    return await working
