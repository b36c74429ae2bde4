"""How far partitions are folded: the same cases on the fakes, on Redis and on a Redis Cluster."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import NamedTuple

import pytest

from deploy.local.redis import EmbeddedRedis
from deploy.local.redis_cluster import EmbeddedRedisCluster
from services.profiles.adapters.folded import (
    KEPT_SECONDS,
    FoldedSpans,
    MemoryFoldedSpans,
    RedisFoldedSpans,
    Span,
)
from services.profiles.adapters.redis_servers import RedisServers, redis_servers
from services.recommendations.adapters.folded_profiles import RedisFoldedProfiles
from services.shared.consent import Consent, write_consent
from services.shared.folded import Folded, Position
from services.shared.profile import Profile
from services.shared.profile_codec import encode
from services.shared.profile_generations import Generations, change
from services.shared.profile_store import NOTHING, RedisProfileStore, Stored, Write
from services.shared.redis_cluster import RedisCluster, redis_pool
from services.shared.redis_connection import Command, Redis, Reply
from services.shared.redis_pool import RedisPool
from services.shared.redis_routing import SlotMap, slot_of
from services.shared.subject import consent_redis_key, event_key, folded_redis_key
from services.shared.trying import insist
from tests.redis_slots import Move, elsewhere, home, on
from tests.waiting import eventually_async

DAY = timedelta(days=1)
ONE, TWO = ("a" * 40, "b" * 40), ("a" * 40, "c" * 40)
SEEN = encode(Profile(first_seen=1, last_seen=2))
LATER = encode(Profile(first_seen=1, last_seen=3))

Told = tuple[int, int, Sequence[str]]


@pytest.fixture
def topic_id() -> str:
    """Of a topic of the test's own."""
    return str(uuid.uuid4())


@pytest.fixture(params=["redis", "redis cluster"])
async def servers(request: pytest.FixtureRequest) -> AsyncIterator[RedisServers]:
    """What a worker has."""
    name = "cluster_url" if request.param == "redis cluster" else "redis_url"
    opened = redis_servers(request.getfixturevalue(name), replicas=0)
    yield opened
    await opened.close()


class Spans(NamedTuple):
    """What is told, and how to ask what is known."""

    spans: FoldedSpans
    reading: RedisFoldedProfiles | None
    topic_id: str

    async def of(self, partition: int) -> Folded | None:
        if isinstance(self.spans, MemoryFoldedSpans):
            return self.spans.of.get(partition)
        assert self.reading is not None
        return await self.reading.folded(Position(self.topic_id, partition, 0))


@pytest.fixture(params=["memory", "redis", "redis cluster"])
async def told(request: pytest.FixtureRequest, topic_id: str) -> AsyncIterator[Spans]:
    if request.param == "memory":
        yield Spans(MemoryFoldedSpans(), None, topic_id)
        return
    name = "cluster_url" if request.param == "redis cluster" else "redis_url"
    pool = redis_pool(request.getfixturevalue(name), size=2)
    yield Spans(RedisFoldedSpans(pool, topic_id=topic_id), RedisFoldedProfiles(pool), topic_id)
    await pool.close()


@pytest.mark.parametrize(
    ("some", "known"),
    [
        ([(10, 20, ONE)], (10, 20, ONE)),
        ([(10, 20, ONE), (20, 25, ONE[::-1])], (10, 25, ONE)),  # the next batch
        ([(10, 20, ONE), (12, 18, ONE)], (10, 20, ONE)),  # done again
        ([(10, 20, ONE), (15, 30, ONE)], (10, 30, ONE)),
        ([(10, 20, ONE), (5, 12, ONE)], (5, 20, ONE)),  # from further back
        ([(10, 20, ONE), (5, 10, ONE)], (5, 20, ONE)),
        ([(10, 20, ONE), (3, 9, ONE)], (10, 20, ONE)),  # 9 may be missing
        ([(10, 20, ONE), (21, 30, ONE)], (21, 30, ONE)),  # 20 may be missing
        ([(10, 20, ONE), (12, 18, TWO)], (12, 18, TWO)),  # into another Redis
        ([(10, 2**53 - 2, ONE), (2**53 - 2, 2**53 - 1, ONE)], (10, 2**53 - 1, ONE)),
    ],
)
async def test_spans_grow_where_they_join_on(
    told: Spans, some: Sequence[Told], known: Told
) -> None:
    """And begin anew where they do not, or where it is another Redis; no one forgets what is so."""
    for begin, end, servers in some:
        await told.spans.add([Span(7, begin, end)], servers)
    begin, end, servers = known
    assert await told.of(7) == Folded(begin, end, frozenset(servers))


async def test_partitions_of_one_round(told: Spans) -> None:
    """Each has its own; of one that nobody has folded nothing is known."""
    await told.spans.add([Span(0, 1, 2), Span(1, 5, 9)], ONE)
    assert await told.of(0) == Folded(1, 2, frozenset(ONE))
    assert await told.of(1) == Folded(5, 9, frozenset(ONE))
    assert await told.of(2) is None


async def test_a_span_goes_by_itself(servers: RedisServers, topic_id: str) -> None:
    """A day after the topic has forgotten its events; each batch renews that."""
    redis, key = servers.writer, folded_redis_key(topic_id, 0)
    spans = RedisFoldedSpans(redis, topic_id=topic_id)
    for begin in (1, 2):
        await spans.add([Span(0, begin, begin + 1)], ONE)
        (left,) = await redis.ask([("TTL", key)])
        assert isinstance(left, int)
        assert KEPT_SECONDS - 60 < left <= KEPT_SECONDS
        await redis.ask([("EXPIRE", key, 5)])


async def test_what_the_worker_tells_is_believed(
    servers: RedisServers, topic_id: str, shop_id: str
) -> None:
    """Profiles and consents come as they are, from servers whose ids are the worker's."""
    await servers.durability.begin()
    store, names = RedisProfileStore(servers.writer), [event_key(shop_id, f"u:{n}") for n in "abc"]
    refused = write_consent(Consent(personalization=False))
    await servers.writer.ask([("SET", consent_redis_key(names[1]), refused)])
    assert await store.save([Write(names[0], NOTHING, SEEN)], retention=DAY) == [True]
    spans = RedisFoldedSpans(servers.writer, topic_id=topic_id)
    await spans.add([Span(3, 0, 5)], servers.durability.servers)
    found = await RedisFoldedProfiles(servers.writer).look(Position(topic_id, 3, 4), names)
    assert found.profiles == [Stored(SEEN, b""), Stored(b"", refused), NOTHING]
    assert found.folded is not None
    assert found.folded.has(4, found.servers)
    assert not found.folded.has(5, found.servers)


class Recording:
    """A Redis that remembers what it was asked."""

    def __init__(self, redis: Redis) -> None:
        self.is_cluster = redis.is_cluster
        self.asked: list[Sequence[Command]] = []
        self._redis = redis

    async def ask(self, commands: Sequence[Command], *, within: float = 5.0) -> list[Reply]:
        self.asked.append(commands)
        return await self._redis.ask(commands, within=within)


async def test_the_order_of_reading(servers: RedisServers, topic_id: str, shop_id: str) -> None:
    """The span, then profiles, then their generation: by one question where that keeps order."""
    redis = Recording(servers.writer)
    names = [event_key(shop_id, f"u:{n}") for n in "abcdef"]
    await RedisFoldedProfiles(redis).look(Position(topic_id, 3, 4), names)
    assert len(redis.asked) == (3 if redis.is_cluster else 1)
    said = [command[0] for commands in redis.asked for command in commands]
    assert said == ["GET", "SCRIPT", *["EVALSHA"] * 6, "GET"]
    assert redis.asked[0][0][1] == folded_redis_key(topic_id, 3)
    assert redis.asked[-1][-1][1] == b"attune:profiles:generation"


async def test_a_generation_that_is_present_no_more(own_redis: EmbeddedRedis) -> None:
    """Its profiles may be deleted already: those of the new one are read."""
    connection = redis_servers(own_redis.url, replicas=0).writer
    profiles, ana = RedisFoldedProfiles(connection), b"demo/u:ana"
    store = RedisProfileStore(connection)
    await store.save([Write(ana, NOTHING, SEEN)], retention=DAY)
    position = Position(str(uuid.UUID(int=1)), 0, 0)
    assert (await profiles.look(position, [ana])).profiles == [Stored(SEEN, b"")]
    assert await change(connection, Generations(0, None), Generations(1, None))
    assert await store.load([ana]) == [NOTHING]
    await store.save([Write(ana, NOTHING, LATER)], retention=DAY)
    for each in (profiles, RedisFoldedProfiles(connection)):
        assert (await each.look(position, [ana])).profiles == [Stored(LATER, b"")]
    await connection.close()


async def test_a_server_that_was_started_anew(own_redis: EmbeddedRedis) -> None:
    """It may have lost its last writes, and is not believed before it was folded into again."""
    servers, position = redis_servers(own_redis.url, replicas=0), Position("t", 0, 4)
    profiles = RedisFoldedProfiles(servers.writer)

    async def is_believed() -> bool:
        folded, _, ids = await profiles.look(position, [b"demo/u:ana"])
        return folded is not None and folded.has(4, ids)

    async def fold() -> None:
        await servers.durability.begin()
        spans = RedisFoldedSpans(servers.writer, topic_id="t")
        await spans.add([Span(0, 0, 5)], servers.durability.servers)

    await fold()
    assert await is_believed()
    own_redis.kill()
    own_redis.start()
    await servers.close()
    assert await profiles.folded(position) is not None
    assert not await is_believed()
    await insist(fold, doing="fold")
    assert await is_believed()
    await servers.close()


class Cluster(NamedTuple):
    """A worker and a reader of a cluster, and whoever changes it."""

    worker: RedisServers
    admin: RedisCluster
    pool: RedisPool
    name: bytes

    async def fold(self) -> None:
        """Write a profile and tell of it."""
        await self.worker.durability.begin()
        store = RedisProfileStore(self.worker.writer)
        (before,) = await store.load([self.name])
        assert await store.save([Write(self.name, before, SEEN)], retention=DAY) == [True]
        spans = RedisFoldedSpans(self.worker.writer, topic_id="t")
        await spans.add([Span(0, 0, 5)], self.worker.durability.servers)

    async def look(self) -> tuple[Stored, bool]:
        """The profile, and whether it is believed to know event 4."""
        reader = RedisFoldedProfiles(self.pool)
        folded, (found,), ids = await reader.look(Position("t", 0, 4), [self.name])
        return found, folded is not None and folded.has(4, ids)

    def move(self, target: str = "") -> Move:
        """The profile's slot, to be moved to another node."""
        source = home(self.admin, "{" + self.name.decode() + "}")
        return Move(self.admin, slot_of(self.name), source, target or elsewhere(self.admin, source))

    async def close(self) -> None:
        for each in (self.worker, self.admin, self.pool):
            await each.close()


async def cluster_of(url: str, shop_id: str) -> Cluster:
    admin = RedisCluster(SlotMap(url))
    await admin.slots.load()
    pool = redis_pool(url, size=1)
    return Cluster(redis_servers(url, replicas=0), admin, pool, event_key(shop_id, "u:ana"))


async def test_the_slot_of_a_profile_moves(cluster_url: str, shop_id: str) -> None:
    """To a node that was there before, the profile goes along: it is believed on either."""
    cluster = await cluster_of(cluster_url, shop_id)
    await cluster.fold()
    assert await cluster.look() == (Stored(SEEN, b""), True)
    move = cluster.move()
    await move.all()
    assert await cluster.look() == (Stored(SEEN, b""), True)
    await cluster.close()


async def test_a_node_that_the_worker_has_not_seen(
    own_cluster: EmbeddedRedisCluster, shop_id: str
) -> None:
    """What lies there is not believed until the worker has written to it, too."""
    cluster = await cluster_of(own_cluster.url, shop_id)
    await cluster.fold()
    node = own_cluster.join()

    async def takes_keys() -> bool:
        told = await on(cluster.admin, node, "CLUSTER", "INFO")
        return isinstance(told, bytes) and b"cluster_state:ok" in told

    await eventually_async(takes_keys, within=30)
    await cluster.move(node).all()
    assert await cluster.look() == (Stored(SEEN, b""), False)

    async def is_believed() -> bool:
        await cluster.fold()
        return await cluster.look() == (Stored(SEEN, b""), True)

    await eventually_async(is_believed, within=30)
    await cluster.close()
