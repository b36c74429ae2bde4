"""How many calls a second a server takes, by how long they wait for it.

Time is cut into windows. After one in which calls waited too long fewer are taken in the next,
after any other more, until nothing is held back: additive increase, multiplicative decrease
(Chiu and Jain, 1989). Refused calls cost little, so that what has piled up is gone in a moment, and
those that are taken are answered in time. Callers that are as many as they are and wait for their
answers never wait too long, however busy they keep the processor, and are left alone. So are those
who wait because the server was held up once: only a wait that stands is a queue (CoDel, Nichols and
Jacobson, 2012).

A few who wait are no overload if none of them is pressed: on a machine that others keep busy the
sixteen callers wait longer, and refusing them makes nobody's answer sooner. How many wait is told
by how long they do and how many come (Little's law); whether they are pressed, by their deadlines.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Final

WINDOW_SECONDS: Final = 0.1
TOO_LONG_SECONDS: Final = 0.1
FEW: Final = 64
"""So many may wait for longer."""
PART: Final = 0.2
"""Of the shortest deadline among the few: so long they may."""
FEW_SECONDS: Final = 1.0
"""How long they may at most, however late their deadlines are."""
STANDING_SECONDS: Final = 0.3
"""So long calls must have waited too long before the first is held back."""
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
        self._long_since: float | None = None
        self._shortest = math.inf
        self._most: float | None = None
        self._least: float = LEAST
        self._taken: Counter[str] = Counter()
        self._number = self._seen = 0

    @property
    def most(self) -> float | None:
        """How many calls a window may have; None while nothing holds it back."""
        return self._most

    def takes(self, shop_id: str, left: float) -> bool:
        """Whether a call of this shop, with so many seconds left, is taken now.

        Where there are too many, one of the shop that has had most of this window is not.
        """
        now = self._clock()
        if now - self._since >= WINDOW_SECONDS:
            self._turn(now)
        self._shortest = min(self._shortest, left)
        self._seen += 1
        ours = self._taken[shop_id]
        is_full = self._most is not None and self._number >= self._most
        if is_full and ours >= max(self._taken.values(), default=0):
            return False
        self._taken[shop_id] = ours + 1
        self._number += 1
        return True

    def _turn(self, now: float) -> None:
        """Begin another window, by what the last one was like."""
        seconds = now - self._since
        per_window = self._number * WINDOW_SECONDS / seconds
        is_too_long = self._is_too_long(seconds)
        if not is_too_long:
            self._long_since = None
        elif self._long_since is None:
            self._long_since = now
        if self._most is None:
            if self._long_since is not None and now - self._long_since >= STANDING_SECONDS:
                self._least = max(per_window / 4, LEAST)
                self._most = max(LESS * per_window, self._least)
        elif is_too_long:
            self._most = max(LESS * min(self._most, per_window), self._least)
        else:
            more = MORE * self._most + 1
            self._most = None if more > 2 * per_window + LEAST else more
        self._since, self._shortest = now, math.inf
        self._taken.clear()
        self._number = self._seen = 0

    def _is_too_long(self, seconds: float) -> bool:
        """Whether calls wait too long now, after so many seconds of this window."""
        wait = self._waiting()
        if wait <= TOO_LONG_SECONDS:
            return False
        are_few = wait * self._seen / seconds <= FEW
        return not are_few or wait > min(PART * (self._shortest + wait), FEW_SECONDS)
