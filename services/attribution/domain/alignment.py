"""Which of a partition's two topics waits for the other.

A click that is read before its list waits in the trail, but not for ever, and a list is pruned when
far newer things are known of its shopper. While both topics are read to their ends that never
matters. After an outage, or at a first start with a week of events and a month of answers, one
would run far ahead: then the one that is ahead waits until the other has come to the same time.
"""

from __future__ import annotations

from typing import Final, NamedTuple

AHEAD_MS: Final = 60_000
"""So far one may be ahead of the other."""


class Reach(NamedTuple):
    """How far a topic's partition is read."""

    at: int
    """When the broker appended the last record that was read, in milliseconds; 0: none was."""
    has_more: bool
    """Whether the broker has more, as far as is known; it is not known at first."""


def waits(one: Reach, other: Reach) -> bool:
    """Whether ``one`` waits for ``other``."""
    return other.has_more and one.at > other.at + AHEAD_MS


def reached(one: Reach, other: Reach, now: int) -> int:
    """The time, in milliseconds, up to which all records of both are read; ``now`` at the ends."""
    return min(each.at if each.has_more else now for each in (one, other))
