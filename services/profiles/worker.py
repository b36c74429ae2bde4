"""The running worker: batches from Faust, tried until they are kept; commits; readiness."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

import structlog
from faust.types import TP
from prometheus_client import Counter, Gauge, Histogram

from services.profiles.adapters.backlog import Backlog, Batch
from services.profiles.adapters.stream import BatchConsumer, EventsSkipped, Positions
from services.profiles.batches import Batches, Judged
from services.shared.errors import Unavailable
from services.shared.health import Health

LONGEST_PAUSE_SECONDS: Final = 5.0

EVENTS = Counter("events_total", "Events by what became of them.", ["outcome"])
FOLD_SECONDS = Histogram("fold_seconds", "From a batch's turn to its end, tries included.")
BATCH_EVENTS = Histogram(
    "batch_events", "Events in a batch.", buckets=[1, 4, 16, 64, 256, 1024, 4096]
)
LAG_EVENTS = Gauge("lag_events", "Events not yet done.", ["partition"])
RETRIES = Counter("retries_total", "What was tried again, also at start, by why.", ["code"])

_log = structlog.get_logger()


class Readiness:
    """Ready while partitions are assigned and Redis answers, until the end begins.

    Between a rebalance's taking partitions away and its giving new ones it is not. A worker
    that was given none, because the group has more members than partitions, is ready.
    """

    def __init__(self, health: Health) -> None:
        self._health = health
        self._waiting_for = {"partitions", "redis"}

    def has(self, what: str) -> None:
        """``what`` is there now."""
        self._waiting_for.discard(what)
        self._tell()

    def lacks(self, what: str) -> None:
        """``what`` is not there now."""
        self._waiting_for.add(what)
        self._tell()

    def end(self) -> None:
        """From now on it is not ready, whatever is there."""
        self._waiting_for.add("end")
        self._health.not_ready()

    def _tell(self) -> None:
        if self._waiting_for and self._health.is_ready:
            _log.warning("not_ready", waiting_for=sorted(self._waiting_for))
            self._health.not_ready()
        elif not self._waiting_for and not self._health.is_ready:
            _log.info("ready")
            self._health.ready()


async def insist(
    attempt: Callable[[], Awaitable[None]],
    *,
    doing: str,
    giving_up: Callable[[], bool] = lambda: False,
) -> None:
    """Repeat ``attempt`` while an outside system is away, with growing, random pauses.

    Another error is not for us to repeat and passes through; so does Unavailable once
    ``giving_up``.
    """
    tries = 0
    while True:
        try:
            return await attempt()
        except Unavailable as error:
            if giving_up():
                raise
            RETRIES.labels(error.code).inc()
            pause = min(LONGEST_PAUSE_SECONDS, 0.1 * 2**tries) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret
            tries = min(tries + 1, 10)
            _log.warning(
                "trying_again", doing=doing, code=error.code, reason=str(error), pause_seconds=pause
            )
            await asyncio.sleep(pause)


class Worker:
    """Handles batches one at a time, and remembers what may be committed."""

    def __init__(self, batches: Batches, positions: Positions) -> None:
        self._batches = batches
        self._positions = positions
        self._in_hand = asyncio.Lock()
        self._partition: TP | None = None
        self._idle_at: dict[TP, int] = {}
        self._ending = False
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def handle(self, batch: Batch) -> None:
        """Take a batch to its end. After a failure, or once ending, nothing more is taken.

        Raises EventsSkipped where it does not follow on what was done; then nothing of it is.
        """
        async with self._in_hand:
            if not self._ending:
                self._partition = batch.tp
                try:
                    await self._handle(*batch)
                except EventsSkipped:
                    raise
                except Unavailable as error:
                    _log.warning("batch_given_up", code=error.code, reason=str(error))
                except Exception as error:
                    _log.error(
                        "batch_failed",
                        partition=batch.tp.partition,
                        offset=batch.records[0].offset,
                    )
                    self._ending = True
                    self.failed.set_exception(error)
                finally:
                    self._partition = None
        if self._ending:
            await asyncio.Event().wait()

    async def finish(self, *, within: float) -> bool:
        """Take no more; True once the batch in hand is done."""
        self._ending = True
        try:
            async with asyncio.timeout(within), self._in_hand:
                return True
        except TimeoutError:
            return False

    async def commit(self, consumer: BatchConsumer) -> None:
        """Commit what is done."""
        offsets = self._positions.to_commit(consumer.app.consumer_generation_id)
        if offsets and await consumer.commit_offsets(offsets):
            self._positions.committed(offsets)
        for tp, end in consumer.ends():
            done = self._positions.done_to(tp)
            if done is not None:
                LAG_EVENTS.labels(tp.partition).set(max(end - done, 0))

    def idle(self, ends: Iterable[tuple[TP, int]], backlog: Backlog) -> list[tuple[TP, int]]:
        """Partitions that have events, of which none has come since the last call.

        ``ends`` are the offsets after their last events. Answers where each should be read
        from: what Faust has passed over shows by itself only when more events come.
        """
        still = {
            tp: expected
            for tp, end in ends
            if (expected := self._positions.expected(tp)) is not None
            and expected < end
            and not backlog.has(tp)
            and tp != self._partition
        }
        before, self._idle_at = self._idle_at, still
        return [(tp, at) for tp, at in still.items() if before.get(tp) == at]

    def forget(self, taken: Iterable[TP]) -> None:
        """These partitions are another worker's now, and so is what they lag behind."""
        for tp in taken:
            with contextlib.suppress(KeyError):
                LAG_EVENTS.remove(tp.partition)

    async def _handle(self, tp: TP, generation: int, records: Sequence[Any]) -> None:
        with FOLD_SECONDS.time():
            await self._insist(
                lambda: self._positions.check(tp, generation, records[0].offset),
                doing="compare positions with Kafka",
            )
            judged = self._batches.judge(tp.partition, records)
            await self._insist(lambda: self._batches.keep(judged), doing="keep a batch")
            self._positions.done(tp, judged.end)
        _count(judged, len(records))

    async def _insist(self, attempt: Callable[[], Awaitable[None]], *, doing: str) -> None:
        await insist(attempt, doing=doing, giving_up=lambda: self._ending)


def _count(judged: Judged, size: int) -> None:
    BATCH_EVENTS.observe(size)
    EVENTS.labels("accepted").inc(size - len(judged.codes))
    for code in judged.codes:
        EVENTS.labels(code).inc()
    if judged.codes:
        _log.info(
            "events_refused",
            count=len(judged.codes),
            codes=sorted(set(judged.codes)),
            partition=judged.partition,
        )
