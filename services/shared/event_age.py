"""Whether an event is neither from the future nor too old when it is received."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from services.shared.errors import EventRefused

MICROSECOND: Final = timedelta(microseconds=1)
FUTURE_LIMIT: Final = timedelta(minutes=5)
"""How far a shop's clock may run ahead of the one that received its event."""

APPENDED_AT: Final = "attune_appended_at"
"""The header that says when a record was first appended, in milliseconds since 1970."""

SENT_AGAIN_WITHIN: Final = 31 * 24 * 3600 * 1000
"""Milliseconds. Dead letters are kept for 30 days; a header that says more is not believed."""

TIME_DIGITS: Final = 15


class AgeRule:
    """Judges by when an event was received.

    The worker takes the broker's time of append for that: it is part of the record, so a replay
    a year later judges as the first run did.
    """

    def __init__(self, limit: timedelta | None) -> None:
        """``limit`` is the greatest age then; None: there is none."""
        self.limit: Final = limit
        self._oldest = float("inf") if limit is None else limit // MICROSECOND
        self._newest = -(FUTURE_LIMIT // MICROSECOND)

    def check(self, occurred: int, received: int) -> None:
        """Refuse what happened over 5 minutes after, or more than the limit before it was received.

        Both are microseconds since 1970. Raises EventRefused.
        """
        age = received - occurred
        if self._newest <= age <= self._oldest:
            return
        if age < 0:
            raise EventRefused(
                "EVENT_FROM_FUTURE",
                f"occurred_at is {-age // 1_000_000} s after it was received; "
                f"at most {FUTURE_LIMIT // timedelta(seconds=1)} s are taken",
            )
        most = 0 if self.limit is None else self.limit // timedelta(seconds=1)
        raise EventRefused(
            "EVENT_TOO_OLD",
            f"occurred_at is {age // 1_000_000} s before it was received; "
            f"at most {most} s are taken",
        )


def first_appended(timestamp: int, headers: Sequence[tuple[str, bytes | None]]) -> int:
    """When a record was first appended: now (``timestamp``), or as its header says.

    Milliseconds since 1970. A header that cannot be true is passed over.
    """
    for name, text in headers:
        if name == APPENDED_AT and text and len(text) <= TIME_DIGITS and text.isdigit():
            told = int(text)
            if timestamp - SENT_AGAIN_WITHIN <= told <= timestamp:
                return told
    return timestamp
