"""The profile behind a call that has just written an event: read once it knows that event.

The worker is some milliseconds behind what is written. Who asks meanwhile waits here, by looking
again and again at one small key; the profile is read before and after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, NamedTuple

from prometheus_client import Counter, Histogram

from services.recommendations.adapters.folded_profiles import FoldedProfiles
from services.recommendations.adapters.profiles import ProfileReader
from services.shared.errors import RedisUnavailable
from services.shared.folded import Position
from services.shared.profile import Profile
from services.shared.profile_store import Stored

WAIT_SECONDS: Final = 0.5
"""The longest wait, however late the caller's deadline: who is slower than that stands still,
and calls that wait for it take the place of others."""

FIRST_PAUSE_SECONDS: Final = 0.001
LONGEST_PAUSE_SECONDS: Final = 0.025

LOOK_SECONDS: Final = 0.01
"""What a look may take at the end of the wait."""

POSITIONS = Counter(
    "positions_total", "Calls with a position, by what became of them.", ["outcome"]
)
WAITED_SECONDS = Histogram(
    "position_wait_seconds",
    "How long a call with a position took to read its profile, also in vain.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1),
)


class Caller(NamedTuple):
    """Whose profile, and until when."""

    shop_id: str
    user_id: str
    visitor_id: str
    deadline: float
    """By the clock of the reader."""


class PositionReader:
    """Reads profiles for calls that name a position; lives as long as the server."""

    def __init__(
        self,
        reader: ProfileReader,
        folded: FoldedProfiles,
        *,
        clock: Callable[[], float],
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``clock`` tells seconds, only its differences count; ``pause`` lets some pass."""
        self._reader = reader
        self._folded = folded
        self._clock = clock
        self._pause = pause

    async def read(
        self,
        shop_id: str,
        user_id: str,
        visitor_id: str,
        position: Position,
        *,
        seconds_left: float,
    ) -> tuple[Profile, bool]:
        """All that is known of a shopper, and whether that includes the event at ``position``.

        Waits for that half of the caller's time at most, as the answer needs the rest. An event
        that was refused, or that the shopper does not allow to be kept, is included once the
        worker is past it. False where it is not known: then, too, as long as nothing is known
        of the partition. Raises RedisUnavailable where nothing could be read at all.
        """
        started = self._clock()
        caller = Caller(shop_id, user_id, visitor_id, started + seconds_left)
        try:
            profile, reached = await self._read(caller, position, started + wait(seconds_left))
        finally:
            WAITED_SECONDS.observe(self._clock() - started)
        POSITIONS.labels("reached" if reached else "not_reached").inc()
        return profile, reached

    async def _read(self, caller: Caller, position: Position, until: float) -> tuple[Profile, bool]:
        profile, look = await self._look(caller, position)
        for pause in pauses():
            left = until - self._clock()
            if look.reached or look.is_too_old or left <= 0:
                break
            await self._pause(min(pause, left))
            try:
                if await self._may_know(position, until):
                    profile, look = await self._look(caller, position)
            except (RedisUnavailable, TimeoutError):  # so what was read is the last there is
                break
        return profile, look.reached

    async def _may_know(self, position: Position, until: float) -> bool:
        """Whether it is worth reading the profile again."""
        within = max(until - self._clock(), LOOK_SECONDS)
        async with asyncio.timeout(within):
            folded = await self._folded.folded(position)
        return folded is not None and position.offset < folded.end

    async def _look(self, caller: Caller, position: Position) -> tuple[Profile, Look]:
        shop_id, user_id, visitor_id, deadline = caller
        look = Look(self._folded, position)
        left = deadline - self._clock()
        profile = await self._reader.read(
            shop_id, user_id, visitor_id, seconds_left=left, source=look
        )
        return profile, look


class Look:
    """A :class:`ProfileSource` for one reading; tells whether all that it gave knows an event."""

    def __init__(self, folded: FoldedProfiles, position: Position) -> None:
        self._folded = folded
        self._position = position
        self.reached = True
        self.is_too_old = False
        """Whether the event came before all that is known of; no wait changes that."""

    async def load(self, names: Sequence[bytes]) -> list[Stored]:
        """See :class:`ProfileSource`."""
        folded, profiles, servers = await self._folded.look(self._position, names)
        offset = self._position.offset
        self.reached &= folded is not None and folded.has(offset, servers)
        self.is_too_old |= folded is not None and offset < folded.begin
        return profiles


def wait(seconds_left: float) -> float:
    """How many seconds a call may wait that has so many left."""
    return min(WAIT_SECONDS, seconds_left / 2)


def pauses() -> Iterator[float]:
    """Seconds between looks: 1, 2, 4, 8, 16 milliseconds, then 25."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
