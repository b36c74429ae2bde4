"""Wait until every node of a Redis Cluster has written to disk what was written to it.

Each primary is asked as a single server is (:mod:`services.profiles.adapters.durability`), all
at once, also those that a batch may not have written to: while slots move, what was written to
one node may be on another by now. What a failover or a new node has come between is not
confirmed but written again.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from services.profiles.adapters.durability import RedisDurability, key_of_ours, require, server_of
from services.shared.errors import RedisUnavailable
from services.shared.redis_cluster import RedisCluster
from services.shared.redis_routing import slot_of

MAP_SECONDS: Final = 5.0
"""The map may be so old when nodes are looked at: those that it lacks are not seen to change."""

TRIES: Final = 200_000
"""Keys that are tried to find one in a node's slots; a node with ten slots needs 1,600."""


class ClusterDurability:
    """``WAITAOF`` on all primaries, as :class:`RedisDurability` on one server."""

    def __init__(self, writer: RedisCluster, asker: RedisCluster, *, replicas: int = 0) -> None:
        """As :class:`RedisDurability`; ``replicas`` are those of each node."""
        self._writer = writer
        self._asker = asker
        self._replicas = replicas
        self._nodes: dict[str, RedisDurability] = {}
        self._marks: dict[str, int] = {}
        """Of each node, of when they were last looked at."""
        self._strays = 0
        """Of the writer, of then."""
        self._number = 0
        """How often the nodes or the connections to them had become others."""
        self._tags: Counter[str] = Counter()
        self._key = key_of_ours()

    async def begin(self, on: str = "") -> int:
        """See :class:`Durability`; the mark says which nodes and connections there were.

        ``on`` is a digest of replication ids, as :class:`ClusterProbe` makes it.
        """
        slots = self._writer.slots
        await slots.load()
        nodes = {node: self._nodes.get(node) or self._of(node) for node in slots.primaries}
        try:
            if on not in ("", _digest(each.replication_id for each in nodes.values())):
                for each in nodes.values():
                    await each.look()
            marks = {node: await durability.begin() for node, durability in nodes.items()}
            require(on, _digest(each.replication_id for each in nodes.values()))
        except RedisUnavailable:
            await self._look_anew()
            raise
        self._nodes = nodes
        if (marks, self._writer.strays) != (self._marks, self._strays):
            self._marks, self._strays = marks, self._writer.strays
            self._number += 1
        return self._number

    @property
    def servers(self) -> Sequence[str]:
        """See :class:`Durability`."""
        return [each.replication_id for each in self._nodes.values()]

    async def wait(self, mark: int) -> None:
        """See :class:`Durability`."""
        if mark == self._number:
            marks, nodes = self._marks, self._nodes
            told = await asyncio.gather(
                *(nodes[node].wait(each) for node, each in marks.items()), return_exceptions=True
            )
            for error in told:
                if error is not None:
                    await self._look_anew()
                    raise error
            if mark == self._number and self._is_all_there_is():
                return
        raise RedisUnavailable("Redis Cluster: its nodes changed between a write and its WAITAOF")

    def _is_all_there_is(self) -> bool:
        """Whether nothing went to a node that was not asked."""
        same_nodes = list(self._marks) == self._writer.slots.primaries
        return same_nodes and self._strays == self._writer.strays

    def _of(self, node: str) -> RedisDurability:
        return RedisDurability(
            self._writer.to(node),
            self._asker.to(node),
            replicas=self._replicas,
            key=lambda: self._key_on(node),
        )

    def _key_on(self, node: str) -> str:
        """A key of ours in one of the node's slots, the same one as long as that stays there."""
        slots = self._writer.slots
        for tag in range(self._tags[node], self._tags[node] + TRIES):
            key = f"{self._key}:{{{tag}}}"
            if slots.primary_of(slot_of(key.encode())) == node:
                self._tags[node] = tag
                return key
        raise RedisUnavailable(f"Redis Cluster: {node} has no slots")

    async def _look_anew(self) -> None:
        """Have the next question ask who is there, and use slots that are not about to move."""
        for node in self._nodes:
            self._tags[node] += 1
        with contextlib.suppress(RedisUnavailable):
            await self._writer.slots.refresh()


def _digest(replication_ids: Iterable[str]) -> str:
    """Another one where any of the ids is."""
    return hashlib.sha256(" ".join(sorted(replication_ids)).encode()).hexdigest()[:40]


class ClusterProbe:
    """Looks at all primaries; see :class:`services.profiles.adapters.redis_servers.Probe`."""

    def __init__(self, cluster: RedisCluster) -> None:
        self._cluster = cluster

    async def replication_id(self) -> str:
        """A digest of all primaries' replication ids: another one after a failover of any.

        A node more or less changes it, too. Raises RedisUnavailable while one is away.
        """
        slots = self._cluster.slots
        await slots.load(older_than=MAP_SECONDS)
        nodes = slots.primaries
        found = await asyncio.gather(
            *(server_of(self._cluster.to(node)) for node in nodes), return_exceptions=True
        )
        ids = []
        for node, server in zip(nodes, found, strict=True):
            if isinstance(server, BaseException) or not server.is_primary:
                await slots.refresh(gone=node)
                if isinstance(server, BaseException):
                    raise server
                raise RedisUnavailable(f"Redis Cluster: {node} is no primary any more")
            ids.append(server.replication_id)
        return _digest(ids)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._cluster.close()
