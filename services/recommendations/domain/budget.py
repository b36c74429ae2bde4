"""What is left of a caller's deadline, and what an answer's parts are known to take.

A source that would come too late is not asked: the answer then comes from the next one, in time.
How long each takes is learned as it goes, so that a larger catalogue or a busier machine needs no
setting. What follows the sources, such as ranking and reasons, is learned like one more of them
and kept back. Where a call asks for many lists, time for the cheapest one is kept for each.

Each shop has costs of its own: a large catalogue says nothing of a small one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from services.recommendations.domain.answer import Cause

RESERVE_SECONDS: Final = 0.002
"""For the way back, which nothing here sees."""
LEARNING: Final = 0.05
"""How much the newest time counts in the mean, at least."""
LEAP: Final = 10.0
"""A time counts as at most so many times the mean, or of what is usual: a server that stood still
for a second has not become slower."""
USUAL_SECONDS: Final = 0.002
HALF_LIFE_SECONDS: Final = 10.0
"""In which what was learned is worth half, while nothing new is seen."""
CAUTION: Final = 2.0
"""A part must fit so many times: half of all calls take longer than the mean."""

FOLLOWING: Final = "what follows the sources"
HASTY: Final = "a list in haste"

T = TypeVar("T")


class Costs:
    """The mean seconds of each part of a shop's answers; lives with the server."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, float]] = {}

    def of(self, name: str) -> float:
        """What a part takes; 0 before it was ever seen."""
        return self._known.get(name, _NEVER)[0]

    def expected(self, name: str, now: float) -> float:
        """The same, worth half after each half-life in which it was not seen.

        So what has become too slow for its callers is tried again now and then: whether it still
        is shows by no other way.
        """
        known, at = self._known.get(name, _NEVER)
        return known * _left(now - at)

    def learn(self, name: str, seconds: float, now: float) -> None:
        """It took so long this time. The longer nothing was seen, the more this time counts."""
        known, at = self._known.get(name, _NEVER)
        old = (1 - LEARNING) * _left(now - at)
        seen = min(seconds, LEAP * max(known, USUAL_SECONDS))
        self._known[name] = old * known + (1 - old) * seen, now


_NEVER: Final = (0.0, float("-inf"))


def _left(seconds: float) -> float:
    """What is left, of 1, of what was learned so long ago."""
    return float(0.5 ** (seconds / HALF_LIFE_SECONDS))


class Budget:
    """The time of one list."""

    def __init__(self, costs: Costs, seconds_left: float, clock: Callable[[], float]) -> None:
        """``clock`` tells seconds; only its differences count."""
        self._costs, self._clock = costs, clock
        self._begun = clock()
        self._until = self._begun + seconds_left - RESERVE_SECONDS
        self._followed_from: float | None = None

    @property
    def spent(self) -> float:
        """Seconds since the call began."""
        return self._clock() - self._begun

    @property
    def left(self) -> float:
        """Seconds; less than 0 where it is too late."""
        return self._until - self._clock()

    def spend(self, name: str, source: Callable[[], T]) -> T | None:
        """What the source answers, or None where that, and what follows, would come too late.

        A source that only says why it has nothing says nothing of how long others wait for it.
        """
        started = self._clock()
        if self._followed_from is None:
            self._followed_from = started
        needed = self._costs.expected(name, started) + self._costs.of(FOLLOWING)
        if started + CAUTION * needed > self._until:
            return None
        found = source()
        ended = self._clock()
        self._followed_from += ended - started
        if not isinstance(found, Cause):
            self._costs.learn(name, ended - started, ended)
        return found

    def end(self) -> None:
        """The list is made: learn what all took since the first source, without the sources."""
        if self._followed_from is not None:
            now = self._clock()
            self._costs.learn(FOLLOWING, now - self._followed_from, now)


class Turns:
    """The time of a call for many lists, made one after the other."""

    def __init__(
        self, costs: Costs, seconds_left: float, clock: Callable[[], float], *, count: int
    ) -> None:
        """``count`` lists are to be made; ``clock`` tells seconds."""
        self._costs, self._clock = costs, clock
        self._until = clock() + seconds_left - RESERVE_SECONDS
        self._to_come = count
        self._whole = 0.0
        """Seconds that the last whole list took: the next may take as long again."""
        self._hasty_since: float | None = None
        """When the last list was begun, where it was one in haste."""

    def next(self) -> float | None:
        """Seconds for the next list; None where it must be made in haste, so that all are made."""
        now = self._clock()
        if self._hasty_since is not None:
            self._costs.learn(HASTY, now - self._hasty_since, now)
        self._to_come -= 1
        left = self._until - now - self._kept()
        is_enough = left > CAUTION * self._whole
        self._hasty_since = None if is_enough else now
        return left if is_enough else None

    def rest(self, seconds: float) -> float:
        """How long to rest after a whole list that took so long: as long, while there is time."""
        self._whole = seconds
        return max(min(seconds, self._until - self._clock() - self._kept()), 0.0)

    def _kept(self) -> float:
        """For those to come, in haste, and for putting all together, which counts as one more.

        A list in haste takes no longer than a whole one, which is all that is known at first.
        """
        hasty = self._costs.of(HASTY) or self._whole or USUAL_SECONDS
        return CAUTION * (self._to_come + 1) * hasty
