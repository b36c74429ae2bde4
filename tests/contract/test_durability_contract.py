"""Waiting for the disk of a real Redis, and of its replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.local.redis import EmbeddedRedis
from services.profiles.adapters.durability import (
    Durability,
    MemoryDurability,
    RedisDurability,
    loss_of,
    server_of,
)
from services.shared.errors import RedisUnavailable
from services.shared.redis_connection import RedisConnection
from tests.waiting import eventually_async


class Two:
    """The connection that writes, and the one that asks."""

    def __init__(self, url: str) -> None:
        self.writer = RedisConnection(url)
        self.asker = RedisConnection(url)

    def durability(self, replicas: int = 0) -> RedisDurability:
        return RedisDurability(self.writer, self.asker, replicas=replicas)

    async def close(self) -> None:
        await self.writer.close()
        await self.asker.close()


@pytest.fixture
async def two(own_redis: EmbeddedRedis) -> AsyncIterator[Two]:
    connections = Two(own_redis.url)
    yield connections
    await connections.close()


@pytest.mark.parametrize("kind", ["memory", "redis"])
async def test_durability_waits_as_often_as_it_is_asked(kind: str, two: Two) -> None:
    """One mark is good for one round of writes or for none, and for the next one anew."""
    durability: Durability = MemoryDurability() if kind == "memory" else two.durability()
    for number in range(3):
        mark = await durability.begin()
        await two.writer.ask([("SET", "waited-for", number)])
        await durability.wait(mark)
        await durability.wait(mark)


async def test_another_redis_than_the_writes_are_for(own_redis: EmbeddedRedis, two: Two) -> None:
    """It is found out although no connection has noticed, and so is the right one afterwards."""
    durability = two.durability()
    await durability.begin()
    before = (await server_of(two.writer)).replication_id
    own_redis.kill()
    own_redis.start()
    for connection in (two.writer, two.asker):
        with pytest.raises(RedisUnavailable):
            await connection.ask([("PING",)])
    after = (await server_of(two.writer)).replication_id
    with pytest.raises(RedisUnavailable, match="has changed"):
        await durability.begin(before)
    assert await durability.begin(after) == two.writer.opened


async def test_durability_waits_for_the_disk(own_redis: EmbeddedRedis, two: Two) -> None:
    """What was written before wait returned is there after a crash."""
    durability = two.durability()
    mark = await durability.begin()
    await two.writer.ask([("SET", "a", 1)])
    await durability.wait(mark)
    own_redis.kill()
    own_redis.start()
    with pytest.raises(RedisUnavailable):
        await two.writer.ask([("GET", "a")])
    assert await two.writer.ask([("GET", "a")]) == [b"1"]


async def test_who_waits_at_once_is_told_by_one_question(two: Two) -> None:
    """However many wait, the disk is asked of once or twice; writing goes on meanwhile."""
    durability = two.durability()
    await two.writer.ask([("CONFIG", "SET", "appendfsync", "everysec")])
    mark = await durability.begin()
    waiting = []
    for number in range(50):
        await two.writer.ask([("SET", f"k{number}", number)])
        waiting.append(asyncio.create_task(durability.wait(mark)))
    await asyncio.gather(*waiting)
    (reply,) = await two.writer.ask([("INFO", "commandstats")])
    assert isinstance(reply, bytes)
    (line,) = (each for each in reply.decode().splitlines() if "waitaof" in each)
    assert int(line.split("calls=")[1].split(",")[0]) <= 4  # one of them to see whether it can


async def test_durability_of_a_connection_that_broke(two: Two) -> None:
    """A wait after another connection than the one that wrote promises nothing, and says so."""
    durability = two.durability()
    mark = await durability.begin()
    await two.writer.ask([("SET", "a", 1)])
    await two.writer.close()
    await two.writer.ask([("PING",)])
    with pytest.raises(RedisUnavailable, match="broke"):
        await durability.wait(mark)
    await durability.wait(await durability.begin())


async def test_two_connections_to_two_servers(redis_url: str, two: Two) -> None:
    """One address may lead to two servers in a moment of failing over: that promises nothing."""
    two.asker = RedisConnection(redis_url)
    with pytest.raises(RedisUnavailable, match="two servers"):
        await two.durability().begin()


async def test_durability_of_a_replica_is_asked_for_again(two: Two) -> None:
    """A server that is a replica just now may be the primary in a moment: that is no never."""
    durability = two.durability()
    await two.writer.ask([("REPLICAOF", "127.0.0.1", 1)])
    for _ in range(2):
        with pytest.raises(RedisUnavailable, match="replica"):
            await durability.begin()
    await two.writer.ask([("REPLICAOF", "NO", "ONE")])
    mark = await durability.begin()
    await two.writer.close()
    await two.writer.ask([("PING",)])
    with pytest.raises(RedisUnavailable, match="broke"):
        await durability.wait(mark)  # so it does wait


async def test_durability_with_a_replica(own_redis: EmbeddedRedis, tmp_path: Path) -> None:
    """A connected replica must have it on disk, too; one that keeps no file is told of."""
    replica = EmbeddedRedis(tmp_path / "replica")
    replica.start()
    primary, other = Two(own_redis.url), RedisConnection(replica.url)
    host, port = own_redis.url.removeprefix("redis://").removesuffix("/0").split(":")
    await other.ask([("REPLICAOF", host, port)])

    async def is_connected() -> bool:
        return (await server_of(primary.writer)).replicas == 1

    await eventually_async(is_connected, within=20)
    durability = primary.durability(replicas=1)

    async def is_safe() -> bool:
        try:
            mark = await durability.begin()
            await primary.writer.ask([("SET", "a", 1)])
            await durability.wait(mark)
        except RedisUnavailable:  # as long as the replica still writes its first file
            return False
        return True

    await eventually_async(is_safe, within=30)
    assert (await other.ask([("GET", "a")])) == [b"1"]
    await other.ask([("CONFIG", "SET", "appendonly", "no")])
    await primary.writer.ask([("SET", "b", 1)])
    with pytest.raises(RedisUnavailable, match="0 of 1 replicas"):
        await durability.wait(await durability.begin())
    replica.kill()

    async def is_gone() -> bool:
        return (await server_of(primary.writer)).replicas == 0

    await eventually_async(is_gone, within=20)
    await durability.wait(await durability.begin())
    await primary.close()
    await other.close()


async def test_durability_where_redis_cannot_tell(
    two: Two, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without an append-only file the worker warns once what may be lost, and works on."""
    await two.writer.ask([("CONFIG", "SET", "appendonly", "no")])
    durability = two.durability()
    for _ in range(2):
        await durability.wait(await durability.begin())
        await two.writer.close()
    said = capsys.readouterr()
    assert (said.out + said.err).count("redis_cannot_confirm_writes") == 1


@pytest.mark.parametrize(
    ("only", "fsync", "says"),
    [
        ("yes", "always", "nothing is lost"),
        ("yes", "everysec", "the last two seconds"),
        ("yes", "no", "about 30 s"),
        ("no", "always", "may lose profile updates"),
    ],
)
async def test_what_may_be_lost(two: Two, only: str, fsync: str, says: str) -> None:
    """Told by how Redis is set, for one that is too old to confirm."""
    await two.writer.ask(
        [("CONFIG", "SET", "appendonly", only), ("CONFIG", "SET", "appendfsync", fsync)]
    )
    assert says in await loss_of(two.writer)
