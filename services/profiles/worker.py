"""The running worker: batches of several partitions at once, each in order, until they are kept.

A batch is *folded* once its profiles are written, and everybody sees it; it is *safe* once
Redis has it on disk. The next batch of its partition does not wait for that, but commits do.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final

import structlog
from faust.types import TP

from services.profiles.adapters.backlog import BATCH_EVENTS, Backlog, Batch
from services.profiles.adapters.durability import Durability
from services.profiles.batches import Batches, Judged
from services.profiles.domain.refusals import RefusalLimit
from services.profiles.metrics import FOLD_SECONDS, LAG_EVENTS
from services.profiles.positions import (
    EventsSkipped,
    Position,
    Positions,
    Unsafe,
    UnsafeBatches,
)
from services.profiles.readiness import Readiness
from services.profiles.rounds import Rounds
from services.shared.errors import Unavailable
from services.shared.trying import insist

OVERLAPPED: Final = 8
"""Partitions in work at once: while Redis answers for some, others are judged."""

ROUNDS: Final = 4
"""Of writing to Redis that are under way at once; batches that wait for one go together."""

UNSAFE_EVENTS: Final = 100_000
"""Of one partition that are folded and not yet on disk; then it waits.

With ``appendfsync everysec`` that takes up to a second, and what comes while it is asked for
another one; so it is more than a worker folds in two.
"""

_log = structlog.get_logger()


class Worker:
    """Takes batches from the backlog and remembers what may be committed."""

    def __init__(
        self,
        batches: Mapping[str, Batches],
        positions: Positions,
        backlog: Backlog,
        durability: Durability,
        *,
        limit: RefusalLimit,
        readiness: Readiness,
        read_again: Callable[[TP, int], Awaitable[None]],
        look_at_topics: Callable[[], Awaitable[None]],
        redis_seen: Callable[[], str],
    ) -> None:
        """``batches`` by topic; ``read_again`` has a partition read from an offset on.

        ``look_at_topics`` sees to it that one which was made anew is read from its start.
        ``redis_seen`` is the replication id of the Redis that positions belong to.
        """
        self._batches = batches
        self._positions = positions
        self._backlog = backlog
        self._durability = durability
        self._limit = limit
        self._readiness = readiness
        self._read_again = read_again
        self._look_at_topics = look_at_topics
        self._redis_seen = redis_seen
        self._rounds = Rounds(
            self._keep, at_once=ROUNDS, size_of=lambda judged: judged.size, most=BATCH_EVENTS
        )
        self._working: set[asyncio.Task[None]] = set()
        self._following: set[asyncio.Task[None]] = set()
        self._unsafe: defaultdict[TP, UnsafeBatches] = defaultdict(UnsafeBatches)
        self._safer = asyncio.Condition()
        self._idle_at: dict[TP, int] = {}
        self._ending = asyncio.Event()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.moved_at = time.monotonic()
        """When a batch was last done with, or begun with nothing else in work."""

    async def run(self) -> None:
        """Handle what comes, until ending."""
        while not self._ending.is_set():
            batch = await self._backlog.take()
            if not self._working:
                self.moved_at = time.monotonic()
            task = asyncio.create_task(self._one(batch))
            self._working.add(task)
            task.add_done_callback(self._working.discard)
            if len(self._working) >= OVERLAPPED:
                await asyncio.wait(self._working, return_when=asyncio.FIRST_COMPLETED)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in work."""
        return not self._working

    async def finish(self, *, within: float) -> bool:
        """Take no more; True once what is in hand is folded and safe."""
        self._ending.set()
        try:
            async with asyncio.timeout(within):
                if self._working:
                    await asyncio.wait(self._working)
                async with self._safer:
                    await self._safer.wait_for(lambda: not any(self._unsafe.values()))
        except TimeoutError:
            return False
        return True

    def idle(self, ends: Iterable[tuple[TP, int]]) -> list[tuple[TP, int]]:
        """Partitions that have events, of which none has come since the last call.

        ``ends`` are the offsets after their last events. Answers where each should be read
        from: what Faust has passed over shows by itself only when more events come.
        """
        still = {
            tp: expected
            for tp, end in ends
            if (expected := self._positions.expected(tp)) is not None
            and expected < end
            and not self._backlog.has(tp)
            and not self._backlog.is_out(tp)
        }
        before, self._idle_at = self._idle_at, still
        return [(tp, at) for tp, at in still.items() if before.get(tp) == at]

    def forget(self, taken: Iterable[TP]) -> None:
        """These partitions are another worker's now, and so is what they lag behind."""
        for tp in taken:
            with contextlib.suppress(KeyError):
                LAG_EVENTS.remove(tp.topic, tp.partition)

    async def rewind(self, begins: Mapping[TP, int]) -> None:
        """Read each partition from that offset on; what is in work of it moves nothing any more.

        From this moment on, for all of them, before any is asked for.
        """
        self._backlog.forget(begins)
        for tp, offset in begins.items():
            self._positions.rewind(tp, offset)
        for tp, offset in begins.items():
            await self._read_again(tp, offset)

    async def _one(self, batch: Batch) -> None:
        """Take a batch to its end, whatever comes between."""
        tp = batch.tp
        try:
            await self._handle(batch)
        except EventsSkipped as gap:
            _log.warning(
                "events_read_again", topic=tp.topic, partition=tp.partition, offset=gap.expected
            )
            self._backlog.forget([tp])
            await self._read_again(tp, gap.expected)
        except Unavailable as error:  # only once ending
            _log.warning("batch_given_up", code=error.code, reason=str(error))
        except Exception as error:
            offset = batch.records[0].offset
            _log.error("batch_failed", topic=tp.topic, partition=tp.partition, offset=offset)
            self._fail(error)
            return  # and take no other of this partition
        self._backlog.give_back(tp)
        self.moved_at = time.monotonic()

    def _fail(self, error: BaseException) -> None:
        self._ending.set()
        if not self.failed.done():
            self.failed.set_exception(error)

    async def _handle(self, batch: Batch) -> None:
        tp, generation, records = batch
        redis = self._redis_seen()
        with FOLD_SECONDS.time():
            position = await self._insist(
                tp,
                lambda: self._positions.check(tp, generation, records[0].offset),
                doing="compare positions with Kafka",
            )
            if records[0].offset < position.folded:  # nobody has asked for these again
                await self._insist(tp, self._look_at_topics, doing="see whether the topic is new")
            if not self._positions.is_current(tp, position):  # rewound meanwhile
                return None
            batches = self._batches[tp.topic]
            judged = batches.judge(tp.partition, records, after=position.folded)
            if self._limit.stops(len(records), len(judged.refused)):
                return await self._stop_at_limit(judged)
            mark = await self._insist(
                tp, lambda: self._rounds.join((batches, redis), judged), doing="keep a batch"
            )
            if mark is None:
                return await self._leave(tp, position)
            if judged.refused:  # of this partition alone: no other waits for Kafka
                await self._insist(
                    tp,
                    lambda: batches.dead_letters.send(judged.refused),
                    doing="send dead letters",
                )
            position.folded = max(position.folded, judged.end)
        judged.tell()
        await self._make_safe(tp, Unsafe(position, len(records), judged.end, mark))
        return None

    async def _keep(self, to: tuple[Batches, str], some: Sequence[Judged]) -> int | None:
        """Write batches to the Redis and topic they were begun with, or not at all: None.

        Another one may lack what came before a batch, and that would never be counted: a
        fence moves to a batch's end, wherever it was.
        """
        batches, redis = to
        if self._redis_seen() != redis:
            return None
        mark, servers = await self._durability.begin(redis), self._durability.servers
        await batches.keep(some)
        self._behind(batches.tell(some, servers))
        return mark

    async def _leave(self, tp: TP, position: Position) -> None:
        """Let go of a batch; where nothing else was sent for meanwhile, read it again."""
        if self._positions.is_current(tp, position):
            self._backlog.forget([tp])
            await self._read_again(tp, position.folded)

    async def _make_safe(self, tp: TP, unsafe: Unsafe) -> None:
        """See to it that the batch becomes safe; wait only where too many are not."""
        waiting = self._unsafe[tp]
        if waiting.add(unsafe):
            self._behind(self._wait_for_disk(tp, waiting))
        async with self._safer:
            await self._safer.wait_for(
                lambda: waiting.events < UNSAFE_EVENTS or self._ending.is_set()
            )

    def _behind(self, work: Coroutine[Any, Any, None]) -> None:
        """Have it done while other batches go on; a mistake in it is the worker's."""
        task = asyncio.create_task(work)
        self._following.add(task)
        task.add_done_callback(self._followed)

    def _followed(self, task: asyncio.Task[None]) -> None:
        self._following.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._fail(error)

    async def _wait_for_disk(self, tp: TP, waiting: UnsafeBatches) -> None:
        """Have the batches of a partition become safe, in order; all that wait by one question."""
        while waiting:
            some = waiting.first()
            position = some[0].position
            try:
                await self._durability.wait(some[0].mark)
            except Unavailable as error:
                _log.warning(
                    "writes_not_safe",
                    topic=tp.topic,
                    partition=tp.partition,
                    reason=str(error),
                    meaning="events are folded again from the last ones that are safe",
                )
                waiting.clear()
                if self._positions.is_current(tp, position):
                    await self.rewind({tp: position.safe})
            else:
                waiting.are_safe(some)
            async with self._safer:
                self._safer.notify_all()

    async def _stop_at_limit(self, judged: Judged) -> None:
        """Go no further with this partition: its events are not committed, nothing is sent."""
        _log.error(
            "too_many_refused",
            partition=judged.partition,
            codes=judged.codes,
            do="see what producers send; to let it become dead letters, raise "
            "ATTUNE_PROFILES_REFUSED_SHARE_LIMIT and start again",
        )
        self._readiness.lacks("refusals")
        await self._ending.wait()

    async def _insist(self, tp: TP, attempt: Callable[[], Awaitable[Any]], *, doing: str) -> Any:
        return await insist(
            attempt,
            doing=doing,
            giving_up=self._ending.is_set,
            failing=lambda is_so: self._readiness.stuck(tp, is_so),
        )
