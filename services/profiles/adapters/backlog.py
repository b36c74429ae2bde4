"""What was fetched and is not folded yet: bounded, by partition, in Kafka's order.

Faust has buffers of its own, but not for us: when a partition's is full it pauses the
partition, and when all are it sleeps for a second before it looks again, however soon they are
empty; meanwhile aiokafka, holding records of a paused partition, fetches no others for a tenth
of a second. At a few hundred events a second many waited for a tenth of a second, and some for
a whole one. So what comes is taken from Faust at once and waits here; small batches that follow
one another are folded as one; and while this is full, nothing more is fetched
(:attr:`Backlog.has_room`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from faust.types import TP

BATCH_EVENTS: Final = 2_000
"""Of one partition that are folded at once."""

FETCHED_EVENTS: Final = 4 * BATCH_EVENTS
"""Of all partitions that are taken from Faust at once, which waits for its turn in our loop."""

BACKLOG_EVENTS: Final = 8 * BATCH_EVENTS
"""Above these nothing is fetched; what one fetch has brought of all partitions comes on top."""


class Batch(NamedTuple):
    """Records of one partition, in order, that were fetched in one generation of the group."""

    tp: TP
    generation: int
    records: Sequence[Any]


class Backlog:
    """Batches that wait; belongs to one event loop.

    Of each partition one batch is out at a time, from :meth:`take` to :meth:`give_back`, so that
    partitions overlap and each stays in order.
    """

    def __init__(self, *, events: int = BACKLOG_EVENTS) -> None:
        self._limit = events
        self._waiting: dict[TP, deque[Batch]] = {}
        """By partition, the one whose turn is next first."""
        self._out: set[TP] = set()
        self._events = 0
        self._has_some = asyncio.Event()
        """Set while something waits of a partition of which nothing is out."""
        self.has_room = asyncio.Event()
        """Set while more may be fetched."""
        self.has_room.set()

    def put(self, batch: Batch) -> None:
        """Let a batch wait behind those of its partition, a large one in parts."""
        tp, generation, records = batch
        waiting = self._waiting.setdefault(tp, deque())
        for start in range(0, len(records), BATCH_EVENTS):
            waiting.append(Batch(tp, generation, records[start : start + BATCH_EVENTS]))
        self._changed(len(records))

    async def take(self) -> Batch:
        """The next batch of a partition of which none is out, in turn; waits for one.

        Batches of one generation that follow one another become one, up to
        :data:`BATCH_EVENTS` records.
        """
        while not self._has_some.is_set():  # what woke us may be gone again
            await self._has_some.wait()
        tp = next(tp for tp in self._waiting if tp not in self._out)
        waiting = self._waiting.pop(tp)
        first = waiting.popleft()
        records = list(first.records)
        while waiting and self._fits(records, first, waiting[0]):
            records.extend(waiting.popleft().records)
        if waiting:
            self._waiting[tp] = waiting  # behind the others
        self._out.add(tp)
        self._changed(-len(records))
        return Batch(tp, first.generation, records)

    def give_back(self, tp: TP) -> None:
        """The batch that was out is done with: the next one of its partition may be taken."""
        self._out.discard(tp)
        self._changed(0)

    def is_out(self, tp: TP) -> bool:
        """Whether a batch of ``tp`` was taken and not given back."""
        return tp in self._out

    @property
    def has_some(self) -> bool:
        """Whether something waits that could be taken."""
        return self._has_some.is_set()

    def has(self, tp: TP) -> bool:
        """Whether something of ``tp`` waits."""
        return tp in self._waiting

    def forget(self, taken: Iterable[TP]) -> None:
        """Drop what waits of partitions that were taken away; whoever has them reads it again."""
        for tp in taken:
            gone = self._waiting.pop(tp, ())
            self._changed(-sum(len(batch.records) for batch in gone))

    def _fits(self, records: list[Any], first: Batch, following: Batch) -> bool:
        size = len(records) + len(following.records)
        return following.generation == first.generation and size <= BATCH_EVENTS

    def _changed(self, events: int) -> None:
        self._events += events
        _say(self._has_some, not self._waiting.keys() <= self._out)
        _say(self.has_room, self._events < self._limit)


def _say(event: asyncio.Event, so: bool) -> None:
    if so:
        event.set()
    else:
        event.clear()
