"""How many calls a server has in hand at most, and whose it refuses when more come.

Calls in hand wait for something else than the processor: for Redis, for Kafka, for a position.
Those that wait for the processor are not handed to us yet, and :mod:`services.shared.pace` sees to
them.

It refuses the newest of the shop that has most in hand. A shop that sends too much so slows down
itself, and not the others; its oldest calls, nearest to their answers, are kept.
"""

from __future__ import annotations

import time
from asyncio import Task
from collections.abc import Callable
from typing import Any

from prometheus_client import Counter, Gauge

from services.shared.errors import TooManyCalls
from services.shared.pace import Pace

SHED = Counter("calls_shed_total", "Calls refused because too many came, by shop.", ["shop"])
IN_HAND = Gauge("calls_in_hand", "Calls being answered.")


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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Never more than ``most``. ``waiting`` tells how long a call waits before it is taken.

        Both functions tell seconds.
        """
        self._most = most
        self._by_shop: dict[str, dict[Held, None]] = {}
        self._now = 0
        self._pace = Pace(waiting=waiting, clock=clock)

    def take(self, shop_id: str, task: Task[Any] | None, left: float) -> Held:
        """A call comes; ``task`` answers it within the seconds ``left``.

        Raises TooManyCalls where it is the one to refuse.

        Another shop's newest call is cancelled if that shop has more in hand than this one
        would have; who answers it then tells by ``is_shed`` why.
        """
        if not self._pace.takes(shop_id, left):
            SHED.labels(shop_id).inc()
            raise TooManyCalls("more calls come than are answered in time")
        if self._now >= self._most:
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
        IN_HAND.set(self._now)

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
        raise TooManyCalls("more calls are in hand than are taken at once")
