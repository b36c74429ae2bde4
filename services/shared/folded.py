"""How far a partition of events is folded: what the worker tells, and when a reader believes it.

For each topic id and partition Redis keeps a *span* of offsets: the profiles have all that the
events in it say. And it keeps which Redis servers that is true of, by their replication ids. A
server that has failed over, or was started anew, may lack its last writes, and has another id.
Only what a profile's own server says of itself at that moment can tell; the span may lie on
another node, which lost nothing.

The span has a begin as well as an end, so that nobody has to trust what was folded into a Redis
that is gone: what lies before the begin is not known.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Position(NamedTuple):
    """Where an event is. ``topic_id`` is Kafka's own, a UUID as :class:`uuid.UUID` writes it."""

    topic_id: str
    partition: int
    offset: int


class Folded(NamedTuple):
    """The offsets of a partition whose events are folded."""

    begin: int
    end: int
    """The offset after the last one."""
    servers: frozenset[str]
    """The replication ids of all primaries that there were."""

    def has(self, offset: int, servers: frozenset[str]) -> bool:
        """Whether profiles that were read from ``servers``, after this, know that event."""
        return self.begin <= offset < self.end and servers <= self.servers


def servers_text(servers: Iterable[str]) -> str:
    """Replication ids as a span's value ends with them; the same for the same servers."""
    return " ".join(sorted(servers))


def read_folded(text: bytes | None) -> Folded | None:
    """What Redis keeps: ``<begin> <end> <replication id> …``; None where it keeps nothing."""
    if text is None:
        return None
    begin, end, *servers = text.decode().split()
    return Folded(int(begin), int(end), frozenset(servers))
