"""Where commands of a cluster go, and what we lean on of redis-py to know it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from redis.asyncio.cluster import ClusterNode
from redis.exceptions import ResponseError

from services.shared.errors import BadSetting, RedisUnavailable
from services.shared.redis_cluster import NodeConnection, RedisCluster
from services.shared.redis_connection import DEADLINE_SECONDS, Command, Reply
from services.shared.redis_routing import SlotMap, cluster_url, is_cluster, keys_of, slot_of

FIRST_HALF = [0, 8191, [b"one", 7001, b"a"], [b"two", 7002, b"b"]]
SECOND_HALF = [8192, 16383, [b"three", 7003, b"c"]]


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        (("GET", "a"), (b"a",)),
        (("set", b"a", 1, "PX", 5), (b"a",)),
        (("MGET", "a", b"b"), (b"a", b"b")),
        (("EVALSHA", "sha", 2, "a", b"b", "argument"), (b"a", b"b")),
        (("EVAL", "return 1", "1", "a", "argument"), (b"a",)),
        (("SADD", 7, "member"), (b"7",)),
        (("SCRIPT", "LOAD", "return 1"), ()),
    ],
)
def test_keys_of_a_command(command: Command, keys: tuple[bytes, ...]) -> None:
    """Also of those that tell how many they have, and of those that have nothing else."""
    assert keys_of(command) == keys


@pytest.mark.parametrize("command", [("KEYS", "*"), ("waitaof", 1, 0, 5), ("DISCARD",)])
def test_a_command_for_one_server(command: Command) -> None:
    """It has no key that would tell where it goes."""
    with pytest.raises(ValueError, match=str(command[0])):
        keys_of(command)


def test_the_slot_of_a_key() -> None:
    """The example of Redis' own specification, and only the hash tag counts."""
    assert slot_of(b"123456789") == 0x31C3
    assert slot_of(b"attune:profile:0:{shop/u:ana}") == slot_of(b"shop/u:ana")


def test_a_cluster_url_in_its_parts() -> None:
    """Login and options hold for every node; a port may be left out."""
    url = cluster_url("rediss+cluster://user:p%2Fw@one:7001,two,[::1]:7003/0?ssl_cert_reqs=none")
    assert url.addresses == (("one", 7001), ("two", 6379), ("::1", 7003))
    assert url.of("three:7004") == "rediss://user:p%2Fw@three:7004?ssl_cert_reqs=none"
    assert url.of("::1:7003") == "rediss://user:p%2Fw@[::1]:7003?ssl_cert_reqs=none"
    assert is_cluster("redis+cluster://one")
    assert not is_cluster("redis://:with,comma@one")


@pytest.mark.parametrize(
    ("addresses", "says"),
    [
        ("one:port", "cannot be read"),
        ("one,,two", "empty address"),
        ("", "empty address"),
        ("one/3", "no database but 0"),
        ("one?no_such=1", "cannot be read"),
    ],
)
def test_a_cluster_url_that_cannot_be_read(addresses: str, says: str) -> None:
    """It is a setting that cannot work, and its password is not repeated."""
    with pytest.raises(BadSetting, match=says) as caught:
        SlotMap(f"redis+cluster://:secret@{addresses}")
    assert "secret" not in str(caught.value)


class Nodes:
    """Answers for all nodes; ``slots`` by node, or none for one that is away."""

    def __init__(self) -> None:
        self.slots: dict[str, list[list[object]]] = {}
        self.asked: list[str] = []

    async def execute_command(self, node: ClusterNode, *command: str) -> object:
        assert command == ("CLUSTER SLOTS",)
        self.asked.append(node.name)
        if node.name not in self.slots:
            raise ConnectionError(node.name)
        return [[*part] for part in self.slots[node.name]]


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Nodes:
    """What redis-py asks, in place of a network."""
    answering = Nodes()

    async def execute_command(node: ClusterNode, *command: str) -> object:
        return await answering.execute_command(node, *command)

    monkeypatch.setattr(ClusterNode, "execute_command", execute_command)
    return answering


async def test_the_map_of_redis_py(nodes: Nodes) -> None:
    """It is read once, from one node; it knows who has which slot, and learns from MOVED."""
    nodes.slots = {"one:7001": [FIRST_HALF, SECOND_HALF]}
    slots = SlotMap("redis+cluster://one:7001")
    assert slots.primary_of(0) is None
    await slots.load()
    await slots.load()
    assert nodes.asked == ["one:7001"]
    assert [slots.primary_of(slot) for slot in (0, 8191, 8192)] == ["one:7001"] * 2 + ["three:7003"]
    assert slots.primaries == ["one:7001", "three:7003"]
    await slots.moved(["5 three:7003", "6 four:7004"])
    assert [slots.primary_of(slot) for slot in (4, 5, 6)] == ["one:7001", "three:7003", "four:7004"]
    assert slots.primaries == ["four:7004", "one:7001", "three:7003"]
    assert nodes.asked == ["one:7001"]
    await slots.close()


async def test_a_replica_that_took_over(nodes: Nodes) -> None:
    """One MOVED to it tells of all slots that its primary had."""
    nodes.slots = {"one:7001": [FIRST_HALF, SECOND_HALF]}
    slots = SlotMap("redis+cluster://one:7001")
    await slots.load()
    await slots.moved(["5 two:7002"])
    assert {slots.primary_of(slot) for slot in range(8192)} == {"two:7002"}
    assert slots.primaries == ["three:7003", "two:7002"]
    await slots.close()


async def test_a_node_that_is_gone(nodes: Nodes) -> None:
    """The others are asked first; where all are gone, the URL's names, which may lead elsewhere."""
    nodes.slots = {"one:7001": [FIRST_HALF, SECOND_HALF]}
    slots = SlotMap("redis+cluster://one:7001")
    await slots.load()
    after = [[0, 8191, [b"two", 7002, b"b"]], SECOND_HALF]
    nodes.slots = {"two:7002": after, "three:7003": after}
    nodes.asked.clear()
    await slots.refresh(gone="one:7001")
    assert "one:7001" not in nodes.asked
    assert slots.primary_of(0) == "two:7002"
    nodes.slots = {"one:7001": [[0, 16383, [b"five", 7005, b"e"]]]}
    await slots.refresh(gone="two:7002")
    assert slots.primaries == ["five:7005"]
    nodes.slots = {}
    with pytest.raises(RedisUnavailable):
        await slots.refresh()
    assert slots.primary_of(0) == "five:7005"
    await slots.close()


async def test_a_slot_that_nobody_has(nodes: Nodes) -> None:
    """It is not known where it is, also when a node says MOVED: the map is read anew."""
    nodes.slots = {"one:7001": [FIRST_HALF]}
    slots = SlotMap("redis+cluster://one:7001")
    await slots.load()
    assert slots.primary_of(9000) is None
    nodes.slots = {"one:7001": [FIRST_HALF, SECOND_HALF]}
    await slots.moved(["9000 three:7003"])
    await slots.moved([])
    assert slots.primary_of(9000) == "three:7003"
    await slots.close()


class Answering(NodeConnection):
    """A node that gives the same reply to every command."""

    def __init__(self, reply: Reply) -> None:
        super().__init__("redis://nowhere")
        self.reply = reply

    async def exchange(
        self, commands: Sequence[Command], *, within: float = DEADLINE_SECONDS
    ) -> list[Reply]:
        return [self.reply] * len(commands)


def cluster_of(**replies: Reply) -> RedisCluster:
    """A cluster whose nodes, by their hosts, answer so."""
    cluster = RedisCluster(SlotMap("redis+cluster://one:7001"))
    ports = {"one": 7001, "two": 7002, "three": 7003, "other": 7009}
    for host, reply in replies.items():
        name = f"one:{ports[host]}" if host == "other" else f"{host}:{ports[host]}"
        cluster._connections[name] = Answering(reply)
    return cluster


FIRST = next(b"%d" % n for n in range(99) if slot_of(b"%d" % n) < 8192)
"""A key in the first half."""


async def test_a_node_started_anew_after_its_replica_took_over(nodes: Nodes) -> None:
    """While it reads its file it does not know; the others are asked who has its slots."""
    nodes.slots = {"one:7001": [FIRST_HALF, SECOND_HALF]}
    loading = ResponseError("LOADING Redis is loading the dataset in memory")
    cluster = cluster_of(one=loading, two=b"kept")
    await cluster.slots.load()
    after = [[0, 8191, [b"two", 7002, b"b"]], SECOND_HALF]
    nodes.slots = {"two:7002": after, "three:7003": after}
    assert await cluster.ask([("GET", FIRST)]) == [b"kept"]


async def test_a_redirection_that_names_no_host(nodes: Nodes) -> None:
    """Then it is the one that answered."""
    nodes.slots = {"one:7001": [FIRST_HALF, SECOND_HALF]}
    moved = ResponseError(f"MOVED {slot_of(FIRST)} :7009")
    cluster = cluster_of(one=moved, other=b"kept")
    await cluster.slots.load()
    assert await cluster.ask([("GET", FIRST)]) == [b"kept"]
    assert cluster.slots.primary_of(slot_of(FIRST)) == "one:7009"


async def test_other_errors(nodes: Nodes) -> None:
    """A node's other errors are told as those of one server are."""
    nodes.slots = {"one:7001": [FIRST_HALF, SECOND_HALF]}
    for text, kind in (("OOM full", RedisUnavailable), ("WRONGTYPE no", ResponseError)):
        cluster = cluster_of(one=ResponseError(text))
        with pytest.raises(kind, match=text):
            await cluster.ask([("SCRIPT", "LOAD", "return 1"), ("GET", FIRST)])
