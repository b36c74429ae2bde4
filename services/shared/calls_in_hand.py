"""How many calls a server takes at once, and whose it refuses when they are too many.

A call that waits behind others is answered late, and one that is answered after its caller has
given up was work for nothing; so a server with more calls than it can answer within
:data:`WAIT_SECONDS` refuses some of them at once. How many that is follows from how much processor
time a call has taken lately.

It refuses the newest of the shop that has most in hand. A shop that sends too much so slows down
itself, and not the others; its oldest calls, nearest to their answers, are kept.

Calls in hand wait for something else than the processor; those that wait for the processor are
not handed to us yet, and :mod:`services.shared.pace` sees to them.
"""

from __future__ import annotations

import time
from asyncio import Task
from collections.abc import Callable
from typing import Any, Final

from prometheus_client import Counter, Gauge

from services.shared.errors import TooManyCalls
from services.shared.pace import Pace

WAIT_SECONDS: Final = 0.05
"""How long a call may have to wait for those before it."""
LEAST: Final = 16
"""So many are always taken: most calls wait for something else than the processor."""
MEASURED_SECONDS: Final = 0.5
"""How long processor time is added up before the bound is set anew."""
MEASURED_CALLS: Final = 20

SHED = Counter(
    "calls_shed_total", "Calls refused because too many were in hand, by shop.", ["shop"]
)
IN_HAND = Gauge("calls_in_hand", "Calls being answered.")
BOUND = Gauge("calls_in_hand_bound", "How many are taken at once, as set by what a call takes.")


class Held:
    """One call in hand."""

    __slots__ = ("is_shed", "shop_id", "task")

    def __init__(self, shop_id: str, task: Task[Any] | None) -> None:
        self.shop_id = shop_id
        self.task = task
        self.is_shed = False
        """Whether its task was cancelled to make room."""


class CallsInHand:
    """The calls of one server; lives as long as it."""

    def __init__(
        self,
        most: int,
        *,
        waiting: Callable[[], float] = lambda: 0.0,
        processor: Callable[[], float] = time.process_time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Never more than ``most``. ``waiting`` tells how long a call waits before it is taken.

        All three functions tell seconds.
        """
        self._most = self._bound = most
        self._processor, self._clock = processor, clock
        self._by_shop: dict[str, dict[Held, None]] = {}
        self._now = 0
        self._ended = 0
        self._since, self._spent = clock(), processor()
        self._pace = Pace(waiting=waiting, clock=clock)

    @property
    def bound(self) -> int:
        """How many are taken at once."""
        return self._bound

    def take(self, shop_id: str, task: Task[Any] | None) -> Held:
        """A call comes; ``task`` answers it. Raises TooManyCalls where it is the one to refuse.

        Another shop's newest call is cancelled if that shop has more in hand than this one
        would have; who answers it then tells by ``is_shed`` why.
        """
        if not self._pace.takes(shop_id):
            SHED.labels(shop_id).inc()
            raise TooManyCalls("more calls come than are answered in time")
        if self._now >= self._bound:
            self._make_room(shop_id)
        held = Held(shop_id, task)
        self._by_shop.setdefault(shop_id, {})[held] = None
        self._now += 1
        IN_HAND.set(self._now)
        return held

    def end(self, held: Held) -> None:
        """A call has ended, however it did."""
        calls = self._by_shop[held.shop_id]
        del calls[held]
        if not calls:
            del self._by_shop[held.shop_id]
        self._now -= 1
        self._ended += 1
        IN_HAND.set(self._now)
        self._measure()

    def _make_room(self, shop_id: str) -> None:
        ours = len(self._by_shop.get(shop_id, ()))
        nobody: tuple[str, dict[Held, None]] = (shop_id, {})
        noisiest, calls = max(self._by_shop.items(), key=lambda each: len(each[1]), default=nobody)
        if len(calls) > ours + 1:
            for newest in reversed(calls):
                if newest.task is not None and not newest.is_shed:
                    newest.is_shed = True
                    newest.task.cancel()
                    SHED.labels(noisiest).inc()
                    return
        SHED.labels(shop_id).inc()
        raise TooManyCalls("more calls are in hand than are answered in time")

    def _measure(self) -> None:
        """Set the bound anew, now and then."""
        now = self._clock()
        if self._ended < MEASURED_CALLS or now - self._since < MEASURED_SECONDS:
            return
        spent = self._processor()
        a_call = max((spent - self._spent) / self._ended, 1e-6)
        self._bound = round(min(max(WAIT_SECONDS / a_call, LEAST), self._most))
        BOUND.set(self._bound)
        self._since, self._spent, self._ended = now, spent, 0
