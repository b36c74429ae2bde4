"""The worker's connections to Redis, be it one server or a cluster, by what the URL says.

One connection writes, one asks whether that is on disk, one looks whether Redis is there and
still the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.profiles.adapters.cluster_durability import ClusterDurability, ClusterProbe
from services.profiles.adapters.durability import Durability, RedisDurability, server_of
from services.shared.errors import BadSetting
from services.shared.redis_cluster import RedisCluster
from services.shared.redis_connection import NOT_A_SERVER, Connection, Redis, RedisConnection
from services.shared.redis_routing import SlotMap, is_cluster


class Probe(Protocol):
    """Looks which Redis it is."""

    async def replication_id(self) -> str:
        """The same as long as nothing can have been lost. Raises RedisUnavailable."""
        ...

    async def close(self) -> None:
        """Let go of the connection."""
        ...


class ServerProbe:
    """Looks at one server."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    async def replication_id(self) -> str:
        """See :class:`Probe`. Raises BadSetting for a node of a cluster."""
        server = await server_of(self._connection)
        if server.is_of_cluster:
            raise BadSetting(NOT_A_SERVER)
        return server.replication_id

    async def close(self) -> None:
        """See :class:`Probe`."""
        await self._connection.close()


@dataclass(frozen=True)
class RedisServers:
    """What the worker does with Redis."""

    writer: Connection
    durability: Durability
    probe: Probe
    nodes: Callable[[], Awaitable[Sequence[Redis]]]
    """Each server that has keys, to be asked for them."""
    close: Callable[[], Awaitable[None]]


def redis_servers(url: str, *, replicas: int) -> RedisServers:
    """Connections that open when first asked. Raises BadSetting for a URL that cannot be read.

    ``replicas`` is how many of each primary must have a write on disk, too.
    """
    return _cluster(url, replicas) if is_cluster(url) else _one(url, replicas)


def _one(url: str, replicas: int) -> RedisServers:
    writer, asker, probe = (RedisConnection(url) for _ in range(3))

    async def close() -> None:
        for connection in (writer, asker, probe):
            await connection.close()

    async def nodes() -> Sequence[Redis]:
        return [writer]

    durability = RedisDurability(writer, asker, replicas=replicas)
    return RedisServers(writer, durability, ServerProbe(probe), nodes, close)


def _cluster(url: str, replicas: int) -> RedisServers:
    slots = SlotMap(url)
    writer, asker, probe = (RedisCluster(slots) for _ in range(3))

    async def close() -> None:
        for connections in (writer, asker, probe):
            await connections.close()
        await slots.close()

    async def nodes() -> Sequence[Redis]:
        await slots.load()
        return [writer.to(node) for node in slots.primaries]

    durability = ClusterDurability(writer, asker, replicas=replicas)
    return RedisServers(writer, durability, ClusterProbe(probe), nodes, close)
