"""How far each partition is folded, safe and committed, and whether what comes next follows.

Faust may drop what it has fetched when partitions move, and then read on behind it; a batch
that begins beyond the expected offset is held for a loss until a look at Kafka itself shows
that nothing lies between.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import takewhile
from typing import Final, NamedTuple

from faust.types import TP

from services.profiles.domain.commit import Start

MARKS: Final = 60
"""So finely the time after which a partition is safe on replicas, too, is cut."""


class EventsSkipped(RuntimeError):
    """Events of ``tp`` were passed over; they must be read again from ``expected`` on."""

    def __init__(self, tp: TP, expected: int, first: int) -> None:
        super().__init__(f"{tp}: events {expected} to {first - 1} were passed over")
        self.tp = tp
        self.expected = expected


class Position:
    """One partition in one generation of the group, from one start on."""

    __slots__ = ("_marks", "committed", "folded", "generation", "safe", "since")

    def __init__(self, generation: int, start: Start) -> None:
        self.generation = generation
        self.folded = start.offset
        """All before it is in the profiles."""
        self.safe = start.offset
        """All before it outlives a crash of Redis."""
        self.since = start.since
        """All before it was safe so long ago that a replica of Redis must have it, too."""
        self.committed = -1
        self._marks: deque[tuple[float, int]] = deque()

    def mark(self, now: float, rewind_seconds: float) -> None:
        """Remember what is safe now, and move ``since`` to what was ``rewind_seconds`` ago."""
        if not self._marks or now - self._marks[-1][0] >= rewind_seconds / MARKS:
            self._marks.append((now, self.safe))
        while self._marks and now - self._marks[0][0] >= rewind_seconds:
            self.since = self._marks.popleft()[1]


class Unsafe(NamedTuple):
    """A batch that is folded and may not be on disk."""

    position: Position
    size: int
    """Events."""
    end: int
    mark: int
    """Of the connection that wrote it, see :class:`Durability`."""


class UnsafeBatches:
    """Of one partition, in order; true while there are any."""

    def __init__(self) -> None:
        self._batches: deque[Unsafe] = deque()
        self.events = 0

    def __bool__(self) -> bool:
        return bool(self._batches)

    def add(self, unsafe: Unsafe) -> bool:
        """One more; whether it is the only one."""
        self._batches.append(unsafe)
        self.events += unsafe.size
        return len(self._batches) == 1

    def first(self) -> list[Unsafe]:
        """Those at the front that one question to the disk speaks for: of one connection."""
        mark = self._batches[0].mark
        return list(takewhile(lambda unsafe: unsafe.mark == mark, self._batches))

    def are_safe(self, some: Sequence[Unsafe]) -> None:
        """These, which are at the front, are on disk."""
        for position, size, end, _ in some:
            self._batches.popleft()
            self.events -= size
            position.safe = max(position.safe, end)

    def clear(self) -> None:
        """Forget all: they are folded again."""
        self._batches.clear()
        self.events = 0


class Positions:
    """The positions of this worker's partitions."""

    def __init__(
        self,
        start_of: Callable[[TP], Awaitable[Start]],
        first_from: Callable[[TP, int], Awaitable[int]],
    ) -> None:
        """``first_from`` answers the offset of the first record from an offset on."""
        self._start_of = start_of
        self._first_from = first_from
        self._starts: dict[TP, asyncio.Future[Start]] = {}
        self._of: dict[TP, Position] = {}

    def assigned(self, held: Iterable[TP]) -> None:
        """Begin to ask where these partitions begin, all at once, ahead of their first batches.

        Kafka answers one request of a connection at a time, so the question waits behind a
        fetch that waits for events: asked only when an event is there, it would hold up the
        first one of each partition by more than a second.
        """
        for task in self._starts.values():
            task.cancel()
        self._starts = {tp: asyncio.ensure_future(self._start_of(tp)) for tp in held}
        for task in self._starts.values():
            task.add_done_callback(_seen)

    async def check(self, tp: TP, generation: int, first: int) -> Position:
        """The position that a batch beginning at ``first`` moves on.

        Raises EventsSkipped if events are missing before it, and KafkaUnavailable if Kafka
        cannot be asked; then nothing is said.
        """
        position = self._of.get(tp)
        if position is None or position.generation != generation:
            # What was committed in another generation may have been another worker's.
            position = self._of[tp] = Position(generation, await self._begin(tp))
        if first > position.folded:
            there = await self._first_from(tp, position.folded)
            if there < first:
                raise EventsSkipped(tp, there, first)
        return position

    def rewind(self, tp: TP, offset: int) -> None:
        """From now on ``tp`` is read from ``offset``; what is in work moves nothing any more.

        What a replica of Redis may lack is still to be folded again if that takes over now.
        """
        position = self._of.get(tp)
        since = offset if position is None else min(offset, position.since)
        start = Start(offset, since)
        if tp in self._starts or position is None:  # of this assignment nothing has come yet
            self._starts[tp] = asyncio.get_running_loop().create_future()
            self._starts[tp].set_result(start)
        if position is not None:
            self._of[tp] = Position(position.generation, start)

    def is_current(self, tp: TP, position: Position) -> bool:
        """Whether ``position`` still is that of ``tp``: not rewound, not of an older generation."""
        return self._of.get(tp) is position

    def of(self, tp: TP) -> Position | None:
        """The position of ``tp``; None before the first batch."""
        return self._of.get(tp)

    def expected(self, tp: TP) -> int | None:
        """Where the next batch of ``tp`` should begin; None where that is not known yet."""
        begins = self._starts.get(tp)
        if begins is not None and begins.done() and not begins.cancelled():
            return None if begins.exception() else begins.result().offset
        position = self._of.get(tp)
        return position.folded if begins is None and position is not None else None

    def to_commit(self, generation: int) -> dict[TP, Position]:
        """What is safe and not committed yet, of partitions held in this group generation.

        An older generation's offset may be behind what another worker has committed since.
        """
        return {
            tp: position
            for tp, position in self._of.items()
            if position.generation == generation and position.committed != position.safe
        }

    async def _begin(self, tp: TP) -> Start:
        """Where ``tp`` begins; what could not be told at its assignment is asked anew."""
        ahead = self._starts.pop(tp, None)
        start = await (self._start_of(tp) if ahead is None else ahead)
        return await self._begin(tp) if tp in self._starts else start  # rewound meanwhile


def _seen(task: asyncio.Future[Start]) -> None:
    """Look at a failure, which whoever needs the answer will meet by itself."""
    if not task.cancelled():
        task.exception()
