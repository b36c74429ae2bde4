"""Move slots of a Redis Cluster as ``redis-cli --cluster reshard`` does, step by step."""

from __future__ import annotations

from collections.abc import Iterable

from deploy.local.redis import EmbeddedRedis
from deploy.local.redis_cluster import EmbeddedRedisCluster
from services.shared.redis_cluster import RedisCluster
from services.shared.redis_connection import Command, Reply
from services.shared.redis_routing import slot_of

MIGRATE_MILLISECONDS = 5_000


async def on(cluster: RedisCluster, node: str, *command: str | bytes | int) -> Reply:
    """What one node answers."""
    asked: Command = command
    (reply,) = await cluster.to(node).ask([asked])
    return reply


def home(cluster: RedisCluster, key: str) -> str:
    """The node that has a key, as the connection knows it."""
    node = cluster.slots.primary_of(slot_of(key.encode()))
    assert node is not None
    return node


def elsewhere(cluster: RedisCluster, node: str) -> str:
    """Another primary."""
    return next(each for each in cluster.slots.primaries if each != node)


def server_of(cluster: EmbeddedRedisCluster, node: str) -> EmbeddedRedis:
    """The process behind ``host:port``."""
    return next(each for each in cluster.servers if node.endswith(f":{each.port}"))


async def refusals(admin: RedisCluster, node: str, code: str) -> int:
    """How often a node has answered an error, such as MOVED."""
    told = await on(admin, node, "INFO", "errorstats")
    assert isinstance(told, bytes)
    found = told.decode().partition(f"errorstat_{code}:count=")[2].split()
    return int(found[0]) if found else 0


def keys_on(cluster: RedisCluster, node: str, prefix: str, count: int) -> list[str]:
    """Names of keys that one node has."""
    found: list[str] = []
    number = 0
    while len(found) < count:
        key = f"{prefix}:{number}"
        if home(cluster, key) == node:
            found.append(key)
        number += 1
    return found


class Move:
    """One slot on its way from node to node, done through connections that nobody else uses."""

    def __init__(self, admin: RedisCluster, slot: int, source: str, target: str) -> None:
        self._admin = admin
        self._slot = slot
        self.source = source
        self.target = target

    async def begin(self) -> None:
        """From now on the source answers ASK for keys that it does not have."""
        name = {node: await self._name(node) for node in (self.source, self.target)}
        await self._set(self.target, "IMPORTING", name[self.source])
        await self._set(self.source, "MIGRATING", name[self.target])

    async def carry(self, keys: Iterable[str | bytes] | None = None) -> None:
        """Move these keys; None: all of the slot."""
        if keys is None:
            found = await on(
                self._admin, self.source, "CLUSTER", "GETKEYSINSLOT", self._slot, 10_000
            )
            assert isinstance(found, list)
            keys = found
        moved = tuple(keys)
        if moved:
            host, _, port = self.target.rpartition(":")
            command = ("MIGRATE", host, port, "", 0, MIGRATE_MILLISECONDS, "KEYS", *moved)
            await on(self._admin, self.source, *command)

    async def end(self) -> None:
        """The target has the slot; the source answers MOVED."""
        name = await self._name(self.target)
        for node in (self.target, self.source):
            await self._set(node, "NODE", name)

    async def all(self) -> None:
        """From beginning to end."""
        await self.begin()
        await self.carry()
        await self.end()

    async def _name(self, node: str) -> bytes:
        name = await on(self._admin, node, "CLUSTER", "MYID")
        assert isinstance(name, bytes)
        return name

    async def _set(self, node: str, state: str, name: bytes) -> None:
        await on(self._admin, node, "CLUSTER", "SETSLOT", self._slot, state, name)
