"""Where trails and figures are kept: a port and its fake.

All of a Kafka partition lies under one fence (:mod:`services.attribution.domain.fence`). A write
compares it with the one that it was made from, and then changes trails, figures and fence, or
nothing. So a batch that comes again finds the fence moved, and a worker that was superseded writes
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from services.attribution.domain.counts import Counts, Row


class Name(NamedTuple):
    """Whose trail: the shop, and the subject's pseudonym."""

    shop_id: str
    pseudonym: bytes

    @property
    def text(self) -> str:
        """As Redis has it in sets."""
        return f"{self.shop_id}/{self.pseudonym.hex()}"


class Letter(NamedTuple):
    """What is told to a trail of another partition."""

    partition: int
    value: bytes
    """As :func:`services.attribution.domain.letter.write_letter` has it."""


class Held(NamedTuple):
    """What is kept of a partition, at one moment."""

    fence: str
    """"" where nothing is counted yet."""
    trails: Sequence[bytes]
    """Of the names that were asked for; b"" where there is none."""


class TrailWrite(NamedTuple):
    """What a trail becomes."""

    name: Name
    value: bytes
    """b"": it goes."""
    expires_at: int
    """Seconds since 1970."""
    due_at: int | None
    """When its next window closes, in seconds since 1970."""


class BatchWrite(NamedTuple):
    """All that one batch changes."""

    before: str
    """The fence that it was made from."""
    after: str
    trails: Sequence[TrailWrite]
    counts: Counts
    """Whole measures, not what they grew by."""
    taken: int
    """How many letters of the inbox are in it."""


class TrailStore(Protocol):
    """Keeps trails and figures by partition. All raise RedisUnavailable."""

    async def claim(self, partition: int) -> str:
        """The fence of a partition, which is known to have figures from now on."""
        ...

    async def read(self, partition: int, names: Sequence[Name]) -> Held:
        """The fence, and trails."""
        ...

    async def rows(self, partition: int, rows: Sequence[Row]) -> list[dict[str, int]]:
        """The measures of rows."""
        ...

    async def inbox(self, partition: int, most: int) -> list[bytes]:
        """The oldest letters; they stay until they are taken by a write."""
        ...

    async def due(self, partition: int, now: int, most: int) -> list[Name]:
        """Trails with a window that closes at ``now`` (seconds since 1970) or before."""
        ...

    async def post(self, letters: Sequence[Letter]) -> None:
        """Put letters into inboxes; one that is posted again comes again."""
        ...

    async def write(self, partition: int, write: BatchWrite) -> bool:
        """Write all of it; False, and nothing, where the fence is no longer ``before``."""
        ...


class MemoryTrailStore:
    """The fake: dicts by partition."""

    def __init__(self) -> None:
        self.fences: dict[int, str] = {}
        self.trails: dict[tuple[int, Name], bytes] = {}
        self.counts: dict[tuple[int, Row], dict[str, int]] = {}
        self.dues: dict[tuple[int, Name], int] = {}
        self.letters: dict[int, list[bytes]] = {}

    async def claim(self, partition: int) -> str:
        """See :class:`TrailStore`."""
        return self.fences.get(partition, "")

    async def read(self, partition: int, names: Sequence[Name]) -> Held:
        """See :class:`TrailStore`."""
        trails = [self.trails.get((partition, name), b"") for name in names]
        return Held(self.fences.get(partition, ""), trails)

    async def rows(self, partition: int, rows: Sequence[Row]) -> list[dict[str, int]]:
        """See :class:`TrailStore`."""
        return [dict(self.counts.get((partition, row), {})) for row in rows]

    async def inbox(self, partition: int, most: int) -> list[bytes]:
        """See :class:`TrailStore`."""
        return self.letters.get(partition, [])[:most]

    async def due(self, partition: int, now: int, most: int) -> list[Name]:
        """See :class:`TrailStore`."""
        some = [(at, name) for (of, name), at in self.dues.items() if of == partition and at <= now]
        return [name for _, name in sorted(some)[:most]]

    async def post(self, letters: Sequence[Letter]) -> None:
        """See :class:`TrailStore`."""
        for letter in letters:
            self.letters.setdefault(letter.partition, []).append(letter.value)

    async def write(self, partition: int, write: BatchWrite) -> bool:
        """See :class:`TrailStore`."""
        if self.fences.get(partition, "") != write.before:
            return False
        for each in write.trails:
            self.trails.pop((partition, each.name), None)
            self.dues.pop((partition, each.name), None)
            if each.value:
                self.trails[partition, each.name] = each.value
            if each.due_at is not None:
                self.dues[partition, each.name] = each.due_at
        for row, measures in write.counts.items():
            self.counts[partition, row] = dict(measures)
        del self.letters.get(partition, [])[: write.taken]
        self.fences[partition] = write.after
        return True
