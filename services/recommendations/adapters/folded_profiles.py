"""Profiles and how far a partition was folded before they were read: a port, its fake, Redis.

First how far the partition is folded, then the profiles, each with the replication id of the
server that has it, then whether that generation of profiles is still the present one: in this
order, and by one round trip where Redis is one server. Read the other way round, a profile might
be older than what is said of it. What makes the two agree: :mod:`services.shared.folded`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol, cast

from services.shared.folded import Folded, Position, read_folded
from services.shared.profile_generations import read_generations
from services.shared.profile_store import ProfileSource, Stored
from services.shared.redis_connection import Command, Redis, Reply
from services.shared.subject import (
    GENERATION_REDIS_KEY,
    consent_redis_key,
    folded_redis_key,
    profile_redis_key,
)

READ: Final = """
local told = redis.call('INFO', 'replication')
local found = redis.call('MGET', KEYS[1], KEYS[2])
return {string.match(told, 'master_replid:(%w+)') or '', found[1], found[2]}
"""
"""KEYS: a profile and its consent. Answers the replication id of their server, and both.

One script, so that the id is that of the server which has the profile, and of that moment,
wherever in a cluster that is.
"""

_SHA: Final = hashlib.sha1(READ.encode(), usedforsecurity=False).hexdigest()


class Found(NamedTuple):
    """What one look has found."""

    folded: Folded | None
    """Of the partition; None where nothing is known of it."""
    profiles: list[Stored]
    servers: frozenset[str]
    """The replication ids of the servers that had them."""


class FoldedProfiles(Protocol):
    """How far partitions are folded, and profiles."""

    async def folded(self, position: Position) -> Folded | None:
        """How far the partition of ``position`` is folded; None where nothing is known of it.

        Raises RedisUnavailable.
        """
        ...

    async def look(self, position: Position, names: Sequence[bytes]) -> Found:
        """That, and then what is kept of each ``shop_id/subject``. Raises RedisUnavailable."""
        ...


class MemoryFoldedProfiles:
    """The fake; ``of`` is by topic id and partition, profiles are those of ``source``."""

    def __init__(self, source: ProfileSource) -> None:
        self.of: dict[tuple[str, int], Folded] = {}
        self.servers = frozenset({"memory"})
        self._source = source

    async def folded(self, position: Position) -> Folded | None:
        """See :class:`FoldedProfiles`."""
        return self.of.get(position[:2])

    async def look(self, position: Position, names: Sequence[bytes]) -> Found:
        """See :class:`FoldedProfiles`."""
        return Found(self.of.get(position[:2]), await self._source.load(names), self.servers)


class RedisFoldedProfiles:
    """Both in Redis, be it one server or a cluster."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._generation = 0

    async def folded(self, position: Position) -> Folded | None:
        """See :class:`FoldedProfiles`."""
        (text,) = await self._redis.ask([_asking(position)])
        return read_folded(cast("bytes | None", text))

    async def look(self, position: Position, names: Sequence[bytes]) -> Found:
        """See :class:`FoldedProfiles`; again where profiles have just got a new generation."""
        while True:
            asked = self._generation
            text, _, *read, told = await self._in_order(
                [_asking(position)], _reading(names, asked), [("GET", GENERATION_REDIS_KEY)]
            )
            self._generation = read_generations(cast("bytes | None", told)).present
            if self._generation == asked:
                return _found(read_folded(cast("bytes | None", text)), read)

    async def _in_order(self, *steps: list[Command]) -> list[Reply]:
        """Ask all of a step only once those before are answered; a single server does so itself."""
        if not self._redis.is_cluster:
            return await self._redis.ask([command for step in steps for command in step])
        return [reply for step in steps for reply in await self._redis.ask(step)]


def _asking(position: Position) -> Command:
    return ("GET", folded_redis_key(position.topic_id, position.partition))


def _reading(names: Sequence[bytes], generation: int) -> list[Command]:
    keys = [(profile_redis_key(name, generation), consent_redis_key(name)) for name in names]
    return [("SCRIPT", "LOAD", READ), *(("EVALSHA", _SHA, 2, *pair) for pair in keys)]


def _found(folded: Folded | None, read: Sequence[Reply]) -> Found:
    each = cast("Sequence[tuple[bytes, bytes | None, bytes | None]]", read)
    profiles = [Stored(value or b"", consent or b"") for _, value, consent in each]
    return Found(folded, profiles, frozenset(server.decode() for server, _, _ in each))
