"""Rows of partitions on their way into files, and when there are enough of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from services.shared.archive_rows import Row


class Limits(NamedTuple):
    """Whichever is reached first."""

    events: int
    """Over all partitions."""
    bytes: int
    """Of the records, over all partitions, as they came."""
    seconds: float
    """Since the first of them came."""


@dataclass
class Gathered:
    """What has come of one partition since it was last put into files."""

    next: int
    """The offset after the last record, whatever became of that."""
    rows: list[Row] = field(default_factory=list)
    bytes: int = 0
    since: float | None = None
    """When the first record came, in seconds of a steady clock; None: none has."""
    doubted: int = -1
    """The offset of a record before which some seemed to be missing."""

    def doubts(self, first: int) -> bool:
        """Whether to ask again for what lies before ``first``, the first record of a batch.

        Kafka may have nothing there (aborted, or compacted away): asked once more, it says so.
        """
        if first <= self.next or first == self.doubted:
            return False
        self.doubted = first
        return True

    def passed(self, offset: int, size: int, now: float) -> None:
        """A record of ``size`` bytes was taken in."""
        self.next = offset + 1
        self.bytes += size
        if self.since is None:
            self.since = now


def is_due(gathered: Iterable[Gathered], limits: Limits, now: float) -> bool:
    """Whether to put all of it into files now."""
    waiting = [each for each in gathered if each.since is not None]
    return bool(waiting) and (
        sum(len(each.rows) for each in waiting) >= limits.events
        or sum(each.bytes for each in waiting) >= limits.bytes
        or now - min(each.since for each in waiting if each.since is not None) >= limits.seconds
    )
