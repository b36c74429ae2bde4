"""A real Redis Cluster: commands find their keys while slots move, and in their order."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from redis.exceptions import ResponseError

from services.shared.errors import BadSetting, RedisUnavailable
from services.shared.profile import Profile
from services.shared.profile_codec import encode
from services.shared.profile_store import NOTHING, RedisProfileStore, Stored, Write
from services.shared.redis_cluster import RedisCluster, redis_pool
from services.shared.redis_connection import Command, RedisConnection
from services.shared.redis_routing import SlotMap, slot_of
from services.shared.subject import event_key, profile_redis_key
from tests.redis_slots import Move, elsewhere, home, keys_on, on, refusals
from tests.waiting import eventually_async

APPEND_TO_BOTH = "redis.call('APPEND', KEYS[1], ARGV[1]) return redis.call('APPEND', KEYS[2], 'x')"
SHA = hashlib.sha1(APPEND_TO_BOTH.encode(), usedforsecurity=False).hexdigest()
LOAD: Command = ("SCRIPT", "LOAD", APPEND_TO_BOTH)


@pytest.fixture
async def cluster(cluster_url: str) -> AsyncIterator[RedisCluster]:
    """What is tested."""
    opened = RedisCluster(SlotMap(cluster_url))
    await opened.slots.load()
    yield opened
    await opened.close()


@pytest.fixture
async def admin(cluster_url: str) -> AsyncIterator[RedisCluster]:
    """Whoever moves slots, behind the back of what is tested."""
    opened = RedisCluster(SlotMap(cluster_url))
    await opened.slots.load()
    yield opened
    await opened.close()


def moving(admin: RedisCluster, key: str) -> Move:
    """The slot of ``key``, to be moved to another node."""
    source = home(admin, key)
    return Move(admin, slot_of(key.encode()), source, elsewhere(admin, source))


async def refreshes(admin: RedisCluster) -> int:
    """How often any node was asked for the map."""
    calls = 0
    for node in admin.slots.primaries:
        stats = await on(admin, node, "INFO", "commandstats")
        assert isinstance(stats, bytes)
        for line in stats.decode().splitlines():
            if line.startswith("cmdstat_cluster|slots:"):
                calls += int(line.split("calls=")[1].split(",")[0])
    return calls


async def refused_since(before: int, admin: RedisCluster, move: Move) -> bool:
    """Whether the source has answered TRYAGAIN more often than ``before``."""
    return await refusals(admin, move.source, "TRYAGAIN") > before


async def test_replies_come_in_the_order_asked(cluster: RedisCluster, shop_id: str) -> None:
    """However many nodes answer, and also where some replies are errors."""
    keys = [f"{shop_id}:{n}" for n in range(300)]
    await cluster.ask([("SET", key, n) for n, key in enumerate(keys)])
    found = await cluster.ask([("GET", key) for key in keys])
    assert found == [b"%d" % n for n in range(300)]
    assert len({home(cluster, key) for key in keys}) == 3
    with pytest.raises(ResponseError, match="not an integer"):
        await cluster.ask([("SET", keys[0], "x"), ("INCR", keys[0]), ("SET", keys[1], "y")])
    assert await cluster.ask([("GET", keys[0]), ("GET", keys[1])]) == [b"x", b"y"]
    assert await cluster.ask([]) == []


async def test_a_script_goes_to_whoever_needs_it(cluster: RedisCluster, shop_id: str) -> None:
    """Loaded along, it is there on each node that runs it; alone, it is loaded on all."""
    names = [f"{{{shop_id}{n}}}" for n in range(20)]
    assert len({home(cluster, name) for name in names}) == 3
    await cluster.ask([("SCRIPT", "FLUSH")])
    calls: list[Command] = [("EVALSHA", SHA, 2, name, name + "b", "ab") for name in names]
    assert await cluster.ask([LOAD, *calls]) == [SHA.encode(), *[1] * 20]
    await cluster.ask([("SCRIPT", "FLUSH")])
    with pytest.raises(ResponseError, match="NOSCRIPT"):
        await cluster.ask(calls)
    await cluster.ask([LOAD])
    assert await cluster.ask(calls) == [2] * 20


@pytest.mark.parametrize("command", [("PING",), ("INFO", "server"), ("WAITAOF", 1, 0, 1)])
async def test_what_only_one_server_can_do(cluster: RedisCluster, command: Command) -> None:
    """It is a mistake, told at once and not sent anywhere."""
    with pytest.raises(ValueError, match="ask one of its nodes"):
        await cluster.ask([command])


async def test_a_slot_that_has_moved(
    cluster: RedisCluster, admin: RedisCluster, shop_id: str
) -> None:
    """MOVED is followed and remembered; many who meet it read the map once."""
    await cluster.ask([("SET", shop_id, "x")])
    move = moving(admin, shop_id)
    others = keys_on(cluster, move.source, shop_id, 3)
    await move.all()
    before = await refreshes(admin)
    cluster.slots._read_at = 0.0
    asked = (cluster.ask([("GET", shop_id), *[("GET", key) for key in others]]) for _ in range(20))
    assert await asyncio.gather(*asked) == [[b"x", None, None, None]] * 20
    assert home(cluster, shop_id) == move.target
    assert {home(cluster, key) for key in others} == {move.source}
    assert await refreshes(admin) - before <= 1


async def test_a_key_that_is_on_its_way(
    cluster: RedisCluster, admin: RedisCluster, shop_id: str
) -> None:
    """ASK leads to where a key is already, for this once; its slot is still the source's."""
    here, there, new = (f"{{{shop_id}}}:{name}" for name in ("here", "there", "new"))
    await cluster.ask([("SET", here, 1), ("SET", there, 2)])
    move = moving(admin, here)
    await move.begin()
    await move.carry([there])
    commands: list[Command] = [("GET", here), ("INCR", there), ("SET", new, 3)]
    assert await cluster.ask(commands) == [b"1", 3, b"OK"]
    assert home(cluster, here) == move.source
    assert await cluster.ask([("GET", there), ("GET", new)]) == [b"3", b"3"]
    await move.carry()
    await move.end()
    assert await cluster.ask([("MGET", here, there, new)]) == [[b"1", b"3", b"3"]]


async def test_a_script_whose_keys_are_parted(
    cluster: RedisCluster, admin: RedisCluster, shop_id: str
) -> None:
    """TRYAGAIN is waited out; what comes after it for one of its keys is done after it.

    The later command could be done at once, by the node that has its key already.
    """
    one, two = f"{{{shop_id}}}:1", f"{{{shop_id}}}:2"
    await cluster.ask([("SET", one, ""), ("SET", two, "")])
    move = moving(admin, one)
    await move.begin()
    await move.carry([one])
    commands: list[Command] = [LOAD, ("EVALSHA", SHA, 2, one, two, "a"), ("APPEND", one, "b")]
    with pytest.raises(RedisUnavailable, match="TRYAGAIN"):
        await cluster.ask(commands, within=0.3)
    before = await refusals(admin, move.source, "TRYAGAIN")
    waiting = asyncio.create_task(cluster.ask(commands))
    await eventually_async(lambda: refused_since(before, admin, move), within=30)
    await move.carry()
    await move.end()
    assert await waiting == [SHA.encode(), 1, 2]
    assert await cluster.ask([("MGET", one, two)]) == [[b"ab", b"x"]]


async def test_a_shopper_whose_slot_is_on_its_way(
    cluster: RedisCluster, admin: RedisCluster, shop_id: str
) -> None:
    """Profile and consent are asked for together: where only one exists, that waits."""
    store, name = RedisProfileStore(cluster), event_key(shop_id, "u:ana")
    move = moving(admin, profile_redis_key(name).decode())
    value = encode(Profile(first_seen=1, last_seen=2))
    assert await store.save([Write(name, NOTHING, value)], retention=timedelta(days=1)) == [True]
    await move.begin()
    waiting = asyncio.create_task(store.load([name]))
    await eventually_async(lambda: refused_since(0, admin, move), within=30)
    assert not waiting.done()
    await move.carry()
    await move.end()
    assert await waiting == [Stored(value, b"")]


async def test_a_slot_that_nobody_has(
    cluster: RedisCluster, admin: RedisCluster, shop_id: str
) -> None:
    """CLUSTERDOWN is waited out; others' keys are not held up by it."""
    slot, node = slot_of(shop_id.encode()), home(cluster, shop_id)
    (other,) = keys_on(cluster, elsewhere(cluster, node), shop_id, 1)
    await on(admin, node, "CLUSTER", "DELSLOTS", slot)
    with pytest.raises(RedisUnavailable, match="CLUSTERDOWN"):
        await cluster.ask([("SET", shop_id, 1)], within=0.3)
    waiting = asyncio.create_task(cluster.ask([("SET", shop_id, 1)]))
    assert await cluster.ask([("SET", other, 1)]) == [b"OK"]
    assert not waiting.done()
    await on(admin, node, "CLUSTER", "ADDSLOTS", slot)
    assert await waiting == [b"OK"]


async def test_nodes_that_do_not_agree(
    cluster: RedisCluster, admin: RedisCluster, shop_id: str
) -> None:
    """Sent to and fro, a command ends in RedisUnavailable after a bounded number of times."""
    move = moving(admin, shop_id)
    await move.begin()  # the source says ASK …
    name = await on(admin, move.source, "CLUSTER", "MYID")
    assert isinstance(name, bytes)
    await on(admin, move.target, "CLUSTER", "SETSLOT", slot_of(shop_id.encode()), "STABLE")
    with pytest.raises(RedisUnavailable, match="8 times; MOVED"):  # … and the target MOVED
        await cluster.ask([("SET", shop_id, 1)])
    await on(admin, move.source, "CLUSTER", "SETSLOT", slot_of(shop_id.encode()), "STABLE")
    assert await cluster.ask([("SET", shop_id, 1)]) == [b"OK"]


async def test_one_node_taken_for_all(cluster: RedisCluster, shop_id: str) -> None:
    """A URL of one server that turns out to be a cluster's node is a setting that cannot work."""
    (key,) = keys_on(cluster, cluster.slots.primaries[0], shop_id, 1)
    connection = RedisConnection(f"redis://{cluster.slots.primaries[1]}")
    other = profile_redis_key(event_key(shop_id, "u:ana"))
    for command in (("GET", key), ("MGET", key, other)):
        with pytest.raises(BadSetting, match=r"must begin with redis\+cluster"):
            await connection.ask([command])
    await connection.close()


async def test_one_server_taken_for_a_cluster(redis_url: str) -> None:
    """The other way round it is told as well."""
    connection = RedisCluster(SlotMap(redis_url.replace("redis:", "redis+cluster:")))
    with pytest.raises(BadSetting, match="Redis is no cluster"):
        await connection.ask([("GET", "a")])
    await connection.close()


async def test_a_cluster_that_is_not_there() -> None:
    """It is waited for, as a server is."""
    connection = RedisCluster(SlotMap("redis+cluster://127.0.0.1:1,127.0.0.1:2"))
    with pytest.raises(RedisUnavailable):
        await connection.ask([("GET", "a")])
    await connection.close()


async def test_a_pool_of_either_kind(redis_url: str, cluster_url: str, shop_id: str) -> None:
    """The URL says which."""
    for url in (redis_url, cluster_url):
        pool = redis_pool(url, size=2)
        keys = [f"{shop_id}:{n}" for n in range(20)]
        assert await pool.ask([("SET", key, 1) for key in keys]) == [b"OK"] * 20
        await pool.close()
    with pytest.raises(BadSetting, match="several addresses"):
        redis_pool("redis://one:6379,two:6379", size=2)
