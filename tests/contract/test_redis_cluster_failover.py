"""A real Redis Cluster whose nodes die, hang and change: who asks, waits and watches goes on."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from deploy.local.redis_cluster import EmbeddedRedisCluster
from services.profiles.adapters.cluster_durability import ClusterDurability, ClusterProbe
from services.profiles.adapters.redis_servers import redis_servers
from services.shared.errors import BadSetting, RedisUnavailable
from services.shared.redis_cluster import RedisCluster, redis_pool
from services.shared.redis_routing import SlotMap, slot_of
from tests.redis_slots import Move, elsewhere, home, keys_on, on, server_of
from tests.waiting import eventually_async


class Parts:
    """The connections of a worker."""

    def __init__(self, url: str, replicas: int = 1) -> None:
        slots = SlotMap(url)
        self.writer, self.asker, self.admin = (RedisCluster(slots) for _ in range(3))
        self.durability = ClusterDurability(self.writer, self.asker, replicas=replicas)
        self.probe = ClusterProbe(RedisCluster(slots))

    async def is_safe(self) -> bool:
        """Whether something written now outlives a crash, as far as the nodes can tell."""
        try:
            mark = await self.durability.begin()
            await self.writer.ask([("SET", f"safe:{number}", 1) for number in range(9)])
            await self.durability.wait(mark)
        except RedisUnavailable:
            return False
        return True

    async def replication_id(self) -> str:
        """What the probe sees; "" while a node is away."""
        try:
            return await self.probe.replication_id()
        except RedisUnavailable:
            return ""

    async def close(self) -> None:
        for each in (self.writer, self.asker, self.admin, self.probe):
            await each.close()


@pytest.fixture
async def parts(cluster_url: str) -> AsyncIterator[Parts]:
    made = Parts(cluster_url)
    await made.admin.slots.load()
    await eventually_async(made.is_safe, within=30)
    yield made
    await made.close()


async def test_a_primary_that_is_killed(own_cluster: EmbeddedRedisCluster) -> None:
    """Its replica takes over. Meanwhile its keys are away and others' are not.

    What was on disk on both is there; the probe sees another Redis; a pool that was idle
    meanwhile notices nothing.
    """
    parts, pool = Parts(own_cluster.url), redis_pool(own_cluster.url, size=1)
    await eventually_async(parts.is_safe, within=30)
    before = await parts.replication_id()
    gone = parts.writer.slots.primaries[0]
    (key,), (other,) = (
        keys_on(parts.writer, node, "k", 1) for node in (gone, elsewhere(parts.writer, gone))
    )
    mark = await parts.durability.begin()
    await parts.writer.ask([("SET", key, 1), ("SET", other, 2)])
    await parts.durability.wait(mark)
    await pool.ask([("GET", key), ("GET", other)])
    server_of(own_cluster, gone).kill()
    with pytest.raises(RedisUnavailable):
        await parts.writer.ask([("GET", key)])
    assert await parts.writer.ask([("GET", other)]) == [b"2"]
    with pytest.raises(RedisUnavailable):
        await parts.durability.wait(mark)
    await eventually_async(parts.replication_id, within=30)
    assert await parts.replication_id() != before
    assert await pool.ask([("GET", key), ("GET", other)]) == [b"1", b"2"]
    assert await parts.writer.ask([("GET", key), ("SET", key, 3)]) == [b"1", b"OK"]
    await eventually_async(parts.is_safe, within=30)
    await parts.close()
    await pool.close()


async def test_a_primary_that_hangs(own_cluster: EmbeddedRedisCluster) -> None:
    """It answers nothing and closes nothing: who asks finds its replica all the same.

    Also who gives up before any deadline of ours.
    """
    parts = Parts(own_cluster.url)
    await eventually_async(parts.is_safe, within=30)
    stopped = parts.writer.slots.primaries[0]
    (key,) = keys_on(parts.writer, stopped, "k", 1)
    server = server_of(own_cluster, stopped)
    os.kill(server.process.pid, signal.SIGSTOP)

    async def is_there() -> bool:
        try:
            return await asyncio.wait_for(parts.writer.ask([("SET", key, 1)]), 0.1) == [b"OK"]
        except (RedisUnavailable, TimeoutError):
            return False

    try:
        await eventually_async(is_there, within=30)
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    await parts.close()


async def test_a_write_is_safe_once_every_node_says_so(parts: Parts) -> None:
    """Of each the disk and that of its replica; one replica without a file is told of."""
    assert await parts.is_safe()
    node = parts.writer.slots.primaries[1]
    told = await on(parts.admin, node, "INFO", "replication")
    assert isinstance(told, bytes)
    port = told.decode().split("port=")[1].split(",")[0]
    replica = f"127.0.0.1:{port}"
    await on(parts.admin, replica, "CONFIG", "SET", "appendonly", "no")
    mark = await parts.durability.begin()
    await parts.writer.ask([("SET", "a", 1)])
    with pytest.raises(RedisUnavailable, match="0 of 1 replicas"):
        await parts.durability.wait(mark)
    await on(parts.admin, replica, "CONFIG", "SET", "appendonly", "yes")
    await eventually_async(parts.is_safe, within=30)


async def test_slots_move_between_a_write_and_its_wait(parts: Parts, shop_id: str) -> None:
    """Known nodes have them: that is confirmed, and the probe sees the same Redis."""
    before = await parts.replication_id()
    mark = await parts.durability.begin()
    await parts.writer.ask([("SET", shop_id, 1)])
    source = home(parts.writer, shop_id)
    slot = slot_of(shop_id.encode())
    await Move(parts.admin, slot, source, elsewhere(parts.writer, source)).all()
    assert await parts.writer.ask([("GET", shop_id)]) == [b"1"]
    await parts.durability.wait(mark)
    assert await parts.replication_id() == before


async def test_the_slot_moves_that_the_disk_is_asked_by(parts: Parts) -> None:
    """Once that is not confirmed; the next time another key is written for it."""
    node = parts.writer.slots.primaries[0]
    key = parts.durability._key_on(node)
    mark = await parts.durability.begin()
    await Move(parts.admin, slot_of(key.encode()), node, elsewhere(parts.writer, node)).all()
    with pytest.raises(RedisUnavailable, match="MOVED"):
        await parts.durability.wait(mark)
    assert await parts.is_safe()
    assert parts.durability._key_on(node) != key


async def test_a_connection_that_broke(parts: Parts) -> None:
    """To any node: what was written before is not confirmed, what comes after is."""
    mark = await parts.durability.begin()
    await parts.writer.ask([("SET", "a", 1)])
    node = parts.writer.slots.primaries[2]
    await parts.writer.to(node).close()
    await parts.writer.to(node).ask([("PING",)])
    with pytest.raises(RedisUnavailable, match="broke"):
        await parts.durability.wait(mark)
    again = await parts.durability.begin()
    assert again != mark
    with pytest.raises(RedisUnavailable, match="nodes changed"):
        await parts.durability.wait(mark)
    await parts.durability.wait(again)


async def test_a_url_of_the_wrong_kind(cluster_url: str, redis_url: str) -> None:
    """The worker is told at its start, before it reads anything."""
    node = cluster_url.partition("://")[2].partition(",")[0]
    for url in (f"redis://{node}", redis_url.replace("redis:", "redis+cluster:")):
        servers = redis_servers(url, replicas=1)
        with pytest.raises(BadSetting, match="must begin with redis"):
            await servers.probe.replication_id()
        await servers.close()


async def test_the_first_slot_of_a_new_node(own_cluster: EmbeddedRedisCluster) -> None:
    """What goes there before the slot is its own is not confirmed; then it is, by it, too.

    The probe sees it soon, also where nobody has met it.
    """
    parts = Parts(own_cluster.url)
    await eventually_async(parts.is_safe, within=30)
    before = await parts.replication_id()
    source = parts.writer.slots.primaries[0]
    (key,) = keys_on(parts.writer, source, "k", 1)
    move = Move(parts.admin, slot_of(key.encode()), source, own_cluster.join())
    await move.begin()
    mark = await parts.durability.begin()
    assert await parts.writer.ask([("SET", key, 1)]) == [b"OK"]
    with pytest.raises(RedisUnavailable, match="nodes changed"):
        await parts.durability.wait(mark)
    assert await on(parts.admin, move.target, "DBSIZE") == 1
    await move.end()
    assert await parts.replication_id() == before
    parts.writer.slots._read_at = 0.0  # as after a while
    assert await parts.replication_id() != before
    assert move.target in parts.writer.slots.primaries
    assert await parts.writer.ask([("GET", key)]) == [b"1"]
    await eventually_async(parts.is_safe, within=30)
    await parts.close()
