"""What comes while rounds are under way is done together, in the next one.

A round trip to Redis costs the worker tenths of a millisecond, whether it speaks of one event or
of hundreds. When events come one by one, each in a batch of its own, most of the work would be
round trips; so what waits for its turn goes as one, and the more there is, the more go together.
Databases commit groups of transactions for the same reason (DeWitt et al., "Implementation
techniques for main memory database systems", SIGMOD 1984).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
R = TypeVar("R")


class Rounds(Generic[K, T, R]):
    """Does what is asked for in rounds: all of one is of the same kind and has the same result."""

    def __init__(
        self,
        work: Callable[[K, Sequence[T]], Awaitable[R]],
        *,
        at_once: int,
        size_of: Callable[[T], int],
        most: int,
    ) -> None:
        """``at_once`` rounds are under way at most.

        A round's sizes, by ``size_of``, come to ``most`` or it is of one alone.
        """
        self._work = work
        self._at_once = at_once
        self._size_of = size_of
        self._most = most
        self._waiting: dict[K, deque[tuple[T, asyncio.Future[R]]]] = {}
        """By kind, the one whose turn is next first."""
        self._running: set[asyncio.Task[None]] = set()

    async def join(self, kind: K, one: T) -> R:
        """What the round gave that ``one`` was in; raises what it raised."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(kind, deque()).append((one, future))
        self._begin()
        return await future

    def _begin(self) -> None:
        """Begin a round if there may be one more; who joins before it starts is in it."""
        if self._waiting and len(self._running) < self._at_once:
            task = asyncio.create_task(self._round())
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._begin()

    async def _round(self) -> None:
        if not self._waiting:  # the rounds begun before have taken all
            return
        kind, some = self._take()
        try:
            result = await self._work(kind, [one for one, _ in some])
        except asyncio.CancelledError:
            for _, future in some:
                future.cancel()
            raise
        except Exception as error:  # each who joined is told
            for _, future in some:
                if not future.done():
                    future.set_exception(error)
        else:
            for _, future in some:
                if not future.done():
                    future.set_result(result)

    def _take(self) -> tuple[K, list[tuple[T, asyncio.Future[R]]]]:
        kind = next(iter(self._waiting))
        waiting = self._waiting.pop(kind)
        some = [waiting.popleft()]
        size = self._size_of(some[0][0])
        while waiting and (size := size + self._size_of(waiting[0][0])) <= self._most:
            some.append(waiting.popleft())
        if waiting:
            self._waiting[kind] = waiting  # behind the other kinds
        return kind, some
