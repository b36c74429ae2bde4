"""How many calls a second a server takes, by how long they wait for it.

Time is cut into windows. After one in which calls waited too long fewer are taken in the next,
after any other more, until nothing is held back: additive increase, multiplicative decrease
(Chiu and Jain, 1989). Refused calls cost little, so that what has piled up is gone in a moment, and
those that are taken are answered in time. Callers that are as many as they are and wait for their
answers never wait too long, however busy they keep the processor, and are left alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

WINDOW_SECONDS: Final = 0.1
TOO_LONG_SECONDS: Final = 0.1
LESS: Final = 0.9
MORE: Final = 1.05
LEAST: Final = 2
"""So many calls of a window are always taken, and a fourth of what a window had when calls began
to be held back: callers that try again at once must not keep the server busy with refusals."""


class Pace:
    """The windows of one server; lives as long as it."""

    def __init__(self, *, waiting: Callable[[], float], clock: Callable[[], float]) -> None:
        """``waiting`` tells how long a call waits now; both are in seconds."""
        self._waiting, self._clock = waiting, clock
        self._since = clock()
        self._most: float | None = None
        self._least: float = LEAST
        self._taken: Counter[str] = Counter()
        self._number = 0

    @property
    def most(self) -> float | None:
        """How many calls a window may have; None while nothing holds it back."""
        return self._most

    def takes(self, shop_id: str) -> bool:
        """Whether a call of this shop is taken now.

        Where there are too many, one of the shop that has had most of this window is not.
        """
        now = self._clock()
        if now - self._since >= WINDOW_SECONDS:
            self._turn(now)
        ours = self._taken[shop_id]
        is_full = self._most is not None and self._number >= self._most
        if is_full and ours >= max(self._taken.values(), default=0):
            return False
        self._taken[shop_id] = ours + 1
        self._number += 1
        return True

    def _turn(self, now: float) -> None:
        """Begin another window, by what the last one was like."""
        per_window = self._number * WINDOW_SECONDS / (now - self._since)
        if self._waiting() > TOO_LONG_SECONDS:
            if self._most is None:
                self._most, self._least = per_window, max(per_window / 4, LEAST)
            self._most = max(LESS * min(self._most, per_window), self._least)
        elif self._most is not None:
            more = MORE * self._most + 1
            self._most = None if more > 2 * per_window + LEAST else more
        self._since = now
        self._taken.clear()
        self._number = 0
