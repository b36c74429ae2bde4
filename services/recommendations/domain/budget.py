"""What is left of a caller's deadline, and what a source is known to take.

A source that would come too late is not asked: the answer then comes from the next one, in time.
How long each takes is learned as it goes, so that a larger catalogue or a busier machine needs no
setting.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

RESERVE_SECONDS: Final = 0.002
"""For what comes after the sources: reasons, the message, the way back."""
LEARNING: Final = 0.05
"""How much the newest time counts in the mean."""
CAUTION: Final = 2.0
"""A source must fit so many times: half of all calls take longer than the mean."""

T = TypeVar("T")


class Costs:
    """The mean seconds of each source, the newest times counting most; lives with the server."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def of(self, name: str) -> float:
        """What to expect of a source; 0 before it was ever asked."""
        return self._seconds.get(name, 0.0)

    def learn(self, name: str, seconds: float) -> None:
        """It took so long this time."""
        known = self._seconds.get(name, seconds)
        self._seconds[name] = known + LEARNING * (seconds - known)


class Budget:
    """The time of one call."""

    def __init__(self, costs: Costs, seconds_left: float, clock: Callable[[], float]) -> None:
        """``clock`` tells seconds; only its differences count."""
        self._costs, self._clock = costs, clock
        self._begun = clock()
        self._until = self._begun + seconds_left - RESERVE_SECONDS

    @property
    def spent(self) -> float:
        """Seconds since the call began."""
        return self._clock() - self._begun

    @property
    def left(self) -> float:
        """Seconds; less than 0 where it is too late."""
        return self._until - self._clock()

    def spend(self, name: str, source: Callable[[], T]) -> T | None:
        """What the source answers, or None where it would come too late."""
        started = self._clock()
        if started + CAUTION * self._costs.of(name) > self._until:
            return None
        found = source()
        self._costs.learn(name, self._clock() - started)
        return found
