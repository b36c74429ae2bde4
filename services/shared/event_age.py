"""Whether an event is neither from the future nor too old when it is received."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from services.shared.errors import EventRefused

MICROSECOND: Final = timedelta(microseconds=1)
FUTURE_LIMIT: Final = timedelta(minutes=5)
"""How far a shop's clock may run ahead of the one that received its event."""


def check_age(occurred: int, *, received: int, limit: timedelta) -> None:
    """Refuse what happened over 5 minutes after, or more than ``limit`` before it was received.

    ``occurred`` and ``received`` are microseconds since 1970. The worker takes the broker's time
    of append for the latter: it is part of the record, so a replay a year later judges as the
    first run did. Raises EventRefused.
    """
    age = received - occurred
    if -age > FUTURE_LIMIT // MICROSECOND:
        raise EventRefused(
            "EVENT_FROM_FUTURE",
            f"occurred_at is {-age // 1_000_000} s after it was received; "
            f"at most {FUTURE_LIMIT // timedelta(seconds=1)} s are taken",
        )
    if age > limit // MICROSECOND:
        raise EventRefused(
            "EVENT_TOO_OLD",
            f"occurred_at is {age // 1_000_000} s before it was received; "
            f"at most {limit // timedelta(seconds=1)} s are taken",
        )
