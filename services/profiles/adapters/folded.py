"""Where the worker tells how far each partition is folded: a port, its fake, and Redis.

What a span says, and when it is believed: :mod:`services.shared.folded`. It is written once the
profiles of a batch are, in a command of its own, and grows while batches join on. Whoever tells
less than is known, as who does a batch again or has lost the partition, changes nothing; of
other servers than before it is a new span.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from services.shared.folded import Folded, servers_text
from services.shared.redis_connection import Command, Redis
from services.shared.subject import folded_redis_key

KEPT_SECONDS: Final = 8 * 24 * 3600
"""A day longer than the topic keeps an event."""

ADD: Final = """
local begin, stop, known = tonumber(ARGV[1]), tonumber(ARGV[2]), redis.call('GET', KEYS[1])
if known then
  local first, last, servers = string.match(known, '^(%d+) (%d+) (.*)$')
  first, last = tonumber(first), tonumber(last)
  if servers == ARGV[3] then
    if stop < first then return 0 end
    if begin <= last then begin, stop = math.min(begin, first), math.max(stop, last) end
  end
end
local span = string.format('%.0f %.0f %s', begin, stop, ARGV[3])
redis.call('SET', KEYS[1], span, 'EX', ARGV[4])
return 1
"""
"""KEYS: the partition's. ARGV: begin and end of a span, replication ids, seconds to keep it."""

_SHA: Final = hashlib.sha1(ADD.encode(), usedforsecurity=False).hexdigest()


class Span(NamedTuple):
    """Offsets of a partition: all that Kafka has of them is folded."""

    partition: int
    begin: int
    end: int


class FoldedSpans(Protocol):
    """How far the partitions of one topic are folded."""

    async def add(self, spans: Sequence[Span], servers: Sequence[str]) -> None:
        """Tell of spans whose profiles are written, to the primaries with these replication ids.

        One round trip. Raises RedisUnavailable; then some may have been told.
        """
        ...


class MemoryFoldedSpans:
    """The fake; ``of`` is by partition."""

    def __init__(self) -> None:
        self.of: dict[int, Folded] = {}

    async def add(self, spans: Sequence[Span], servers: Sequence[str]) -> None:
        """See :class:`FoldedSpans`."""
        for span in spans:
            self._add(span, frozenset(servers))

    def _add(self, span: Span, servers: frozenset[str]) -> None:
        number, begin, end = span
        known = self.of.get(number)
        if known is not None and known.servers == servers:
            if end < known.begin:
                return
            if begin <= known.end:
                begin, end = min(begin, known.begin), max(end, known.end)
        self.of[number] = Folded(begin, end, servers)


class RedisFoldedSpans:
    """A key for each partition."""

    def __init__(self, redis: Redis, *, topic_id: str) -> None:
        """``redis`` is the connection that writes profiles, so that they come first.

        ``topic_id`` is Kafka's id of the topic that is folded.
        """
        self._redis = redis
        self._topic_id = topic_id

    async def add(self, spans: Sequence[Span], servers: Sequence[str]) -> None:
        """See :class:`FoldedSpans`."""
        told = servers_text(servers)
        commands: list[Command] = [("SCRIPT", "LOAD", ADD)]
        for partition, begin, end in spans:
            key = folded_redis_key(self._topic_id, partition)
            commands.append(("EVALSHA", _SHA, 1, key, begin, end, told, KEPT_SECONDS))
        await self._redis.ask(commands)
