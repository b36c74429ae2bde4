"""Whether an event is neither from the future nor too old, by the broker's clock."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from services.shared.errors import EventRefused

MICROSECOND: Final = timedelta(microseconds=1)
FUTURE_LIMIT: Final = timedelta(minutes=5)
"""How far a shop's clock may run ahead of the broker's."""


def check_age(occurred: int, *, appended: int, limit: timedelta) -> None:
    """Refuse what happened over 5 minutes after, or more than ``limit`` before its append.

    ``occurred`` and ``appended`` are microseconds since 1970. The broker's time of append is
    part of the record, so a replay a year later judges as the first run did. Raises
    EventRefused.
    """
    age = appended - occurred
    if -age > FUTURE_LIMIT // MICROSECOND:
        raise EventRefused(
            "EVENT_FROM_FUTURE",
            f"occurred_at is {-age // 1_000_000} s after the broker received it; "
            f"at most {FUTURE_LIMIT // timedelta(seconds=1)} s are taken",
        )
    if age > limit // MICROSECOND:
        raise EventRefused(
            "EVENT_TOO_OLD",
            f"occurred_at is {age // 1_000_000} s before the broker received it; "
            f"at most {limit // timedelta(seconds=1)} s are taken",
        )
