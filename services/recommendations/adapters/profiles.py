"""The profile behind a call: read in time, or not at all.

A user's profile is read together with that of the visitor the caller names, in one round
trip. The visitor's counts only if the user's profile says that the two are linked, and
other linked visitors take a second round trip (docs/decisions/0003).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import structlog
from prometheus_client import Counter, Histogram

from services.shared.errors import RedisUnavailable
from services.shared.patience import AnsweredWithin
from services.shared.profile import Profile, linked_visitors, merge
from services.shared.profile_store import ProfileSource, read_profiles
from services.shared.subject import subject_of
from services.shared.telemetry import shopper_hash

VISITORS: Final = 5
"""At most so many linked visitors of a user are read, the newest links first."""

FAILURES: Final = 3
"""After so many failures in a row, Redis is left alone for a while."""

PAUSE_SECONDS: Final = 1.0
"""How long; then one call tries again."""

READ_SECONDS = Histogram(
    "profile_read_seconds",
    "How long reading a profile took, also in vain.",
    buckets=(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
)
READ_FAILURES = Counter(
    "profile_read_failures_total", "Profiles that could not be read, or were not even asked for."
)

_log = structlog.get_logger()


class CircuitOpen(RedisUnavailable):
    """Redis was not even asked."""


class Circuit:
    """Remembers that Redis is away, so that not every call waits to find out."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock`` tells seconds; only its differences count."""
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0

    def check(self) -> None:
        """Raise CircuitOpen while Redis is left alone; let one call through after that."""
        if self._failures < FAILURES:
            return
        now = self._clock()
        if now < self._open_until:
            raise CircuitOpen("Redis did not answer a moment ago")
        self._open_until = now + PAUSE_SECONDS

    def failed(self) -> None:
        """Redis did not answer."""
        self._failures += 1
        if self._failures >= FAILURES:
            self._open_until = self._clock() + PAUSE_SECONDS

    def worked(self) -> None:
        """Redis answered."""
        self._failures = 0


class ProfileReader:
    """Reads profiles for calls; lives as long as the server."""

    def __init__(
        self, source: ProfileSource, *, deadline_seconds: float, clock: Callable[[], float]
    ) -> None:
        self._source = source
        self._deadline = deadline_seconds
        self._circuit = Circuit(clock)
        self._clock = clock

    async def read(
        self,
        shop_id: str,
        user_id: str,
        visitor_id: str,
        *,
        seconds_left: float,
        source: ProfileSource | None = None,
    ) -> Profile:
        """All that is known of a shopper; EMPTY if nothing is.

        ``source`` is where to read this time, if not where the others are. Takes at most the
        deadline, and at most half of the caller's, as the answer needs the rest. Raises
        RedisUnavailable.
        """
        started = self._clock()
        within = min(self._deadline, seconds_left / 2)
        try:
            self._circuit.check()
            async with AnsweredWithin(within):
                profile = await self._merged(source or self._source, shop_id, user_id, visitor_id)
        except CircuitOpen:
            READ_FAILURES.inc()
            raise
        except (RedisUnavailable, TimeoutError) as error:
            # A caller in a hurry says nothing about Redis, and must not speak for the others.
            if isinstance(error, RedisUnavailable) or within == self._deadline:
                self._circuit.failed()
            READ_FAILURES.inc()
            raise RedisUnavailable(str(error) or "Redis did not answer in time") from error
        except Exception as error:  # of a newer release, of another kind: one shopper's trouble
            READ_FAILURES.inc()
            _log.error(
                "profile_unreadable",
                shopper=shopper_hash(shop_id, subject_of(user_id, visitor_id)),
                message=f"{type(error).__name__}: {error}",
            )
            raise RedisUnavailable("the profile cannot be read by this server") from error
        finally:
            READ_SECONDS.observe(self._clock() - started)
        self._circuit.worked()
        return profile

    async def _merged(
        self, source: ProfileSource, shop_id: str, user_id: str, visitor_id: str
    ) -> Profile:
        first = [(shop_id, subject_of(user_id, visitor_id))]
        if user_id and visitor_id:
            first.append((shop_id, subject_of("", visitor_id)))
        found = await read_profiles(source, first)
        profile = found[0]
        if not user_id:
            return profile
        linked = linked_visitors(profile)[:VISITORS]
        if visitor_id in linked_visitors(profile):
            profile = merge(profile, found[1])
        others = [(shop_id, subject_of("", each)) for each in linked if each != visitor_id]
        if others:
            for other in await read_profiles(source, others):
                profile = merge(profile, other)
        return profile
