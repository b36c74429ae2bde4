"""Redis loses what a position speaks of: no answer says that it knows an event that it lacks."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from attune.recommendations.v1 import recommendation_service_pb2 as pb

from deploy.local.redis import EmbeddedRedis
from deploy.local.redis_cluster import EmbeddedRedisCluster
from deploy.local.services import MASTER_KEY
from deploy.local.topics import create_topics
from services.shared.redis_cluster import RedisCluster
from services.shared.redis_connection import Reply
from services.shared.redis_routing import SlotMap
from services.shared.subject import folded_redis_key
from tests.redis_slots import home, on, server_of
from tests.standing import standing_still
from tests.storefront_parts import SECONDS, Storefront, knows, storefront
from tests.waiting import eventually
from tests.worker_kafka import group_of, until_committed

ROOT = Path(__file__).parents[2]
TIMES = 20


def lacks(answer: pb.RecommendResponse, product_id: str) -> bool:
    """Whether a profile was read that does not have that view; then nothing else is claimed."""
    if answer.source != pb.SOURCE_PERSONAL or knows(answer, product_id):
        return False
    assert answer.HasField("position_reached")
    assert not answer.position_reached
    return True


async def homes(url: str, *keys: str) -> list[str]:
    """The nodes that have these keys."""
    cluster = RedisCluster(SlotMap(url))
    await cluster.slots.load()
    return [home(cluster, key) for key in keys]


async def tell(url: str, node: str, *command: str) -> Reply:
    """What one node answers."""
    cluster = RedisCluster(SlotMap(url))
    try:
        return await on(cluster, node, *command)
    finally:
        await cluster.close()


def shopper_apart(front: Storefront, url: str) -> tuple[str, str]:
    """A shopper whose profile is on another node than what is said of the partition; the node."""
    for number in range(100):
        user = f"apart-{number}"
        position = front.view(user, "mug")
        front.until_known(user, position)
        said = folded_redis_key(position.topic_id, position.partition)
        node, other = asyncio.run(homes(url, f"{{{front.shop.name}/u:{user}}}", said))
        if node != other:
            return user, node
    raise AssertionError("all profiles are on the nodes of their partitions")


def replica_of(cluster: EmbeddedRedisCluster, node: str) -> EmbeddedRedis:
    """The process that follows a node."""
    told = asyncio.run(tell(cluster.url, node, "INFO", "replication"))
    assert isinstance(told, bytes)
    return server_of(cluster, f":{told.decode().split('port=')[1].split(',')[0]}")


def test_a_node_that_alone_had_an_event(
    kafka_servers: str, own_cluster: EmbeddedRedisCluster, topic_prefix: str, tmp_path: Path
) -> None:
    """Its replica takes over without it, while another node says that it is folded.

    Until the worker has folded it again the answer says that it does not know it.
    """
    url = own_cluster.url
    with storefront(tmp_path, kafka_servers, url, topic_prefix) as front:
        user, node = shopper_apart(front, url)
        replica = replica_of(own_cluster, node)
        with ExitStack() as behind:
            with standing_still(replica.process.pid):
                asyncio.run(tell(url, node, "CLIENT", "KILL", "TYPE", "REPLICA"))
                position = front.view(user, "lamp")
                assert knows(front.until_known(user, position), "lamp")
                behind.enter_context(standing_still(front.worker.process.pid))
                server_of(own_cluster, node).kill()
            eventually(lambda: lacks(front.ask(user, position), "lamp"), within=SECONDS)
        assert knows(front.until_known(user, position), "lamp")


def test_what_was_lost_for_good(
    kafka_servers: str, own_redis: EmbeddedRedis, topic_prefix: str, tmp_path: Path
) -> None:
    """A Redis loses everything, and the worker goes back less than that.

    What it folds from then on is known, what came before is not said to be.
    """
    told = {"FAILOVER_REWIND_SECONDS": "0"}
    with storefront(tmp_path, kafka_servers, own_redis.url, topic_prefix, **told) as front:
        before = front.view("ana", "mug")
        front.until_known("ana", before)
        asyncio.run(until_committed(kafka_servers, topic_prefix, 1))
        own_redis.kill()
        shutil.rmtree(tmp_path / "redis")
        own_redis.start()
        after = front.view("ana", "lamp")
        assert after.partition == before.partition
        assert knows(front.until_known("ana", after), "lamp")
        assert lacks(front.ask("ana", before), "mug")


class Running(NamedTuple):
    """A storefront and its Redis."""

    front: Storefront
    redis: EmbeddedRedis
    folder: Path
    kafka_servers: str
    prefix: str

    def start_rebuild(self) -> subprocess.Popen[str]:
        """All profiles made again from the topics."""
        told = {
            "KAFKA_SERVERS": self.kafka_servers,
            "REDIS_URL": self.redis.url,
            "TOPIC_PREFIX": self.prefix,
            "GROUP": group_of(self.prefix),
            "MASTER_KEY_FILE": str(self.folder / MASTER_KEY),
        }
        environ = {f"ATTUNE_PROFILES_{name}": text for name, text in told.items()}
        path = os.pathsep.join([str(ROOT), str(ROOT / "build/gen")])
        return subprocess.Popen(
            [sys.executable, "-m", "services.profiles", "rebuild"],
            env={**os.environ, **environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, kafka_servers: str) -> Iterator[Running]:
    """One for those tests after which everything is there again; each has shoppers of its own."""
    folder, prefix = tmp_path_factory.mktemp("front"), f"t{secrets.token_hex(3)}."
    asyncio.run(create_topics(kafka_servers, prefix=prefix))
    redis = EmbeddedRedis(folder / "redis")
    redis.start()
    with storefront(folder, kafka_servers, redis.url, prefix) as front:
        yield Running(front, redis, folder, kafka_servers, prefix)
    redis.kill()


def test_a_redis_that_comes_back_behind(running: Running) -> None:
    """While it is away nothing is known; then, in its older state, less; then all, folded again."""
    front, redis, folder, *_ = running
    front.until_known("ana", front.view("ana", "mug"))
    shutil.copytree(folder / "redis", folder / "behind")
    position = front.view("ana", "lamp")
    assert knows(front.until_known("ana", position), "lamp")
    with standing_still(front.worker.process.pid):
        redis.kill()
        answer = front.ask("ana", position)
        assert answer.fallback_cause == pb.FALLBACK_CAUSE_PROFILE_UNAVAILABLE
        assert (answer.HasField("position_reached"), answer.position_reached) == (True, False)
        assert not front.shop.recommend("ana").HasField("position_reached")
        shutil.rmtree(folder / "redis")
        shutil.move(folder / "behind", folder / "redis")
        redis.start()
        eventually(lambda: lacks(front.ask("ana", position), "lamp"), within=SECONDS)
    assert knows(front.until_known("ana", position), "lamp")


def test_profiles_are_made_again_meanwhile(running: Running) -> None:
    """Before, while and after the new ones take the place of the old, what is known is there."""
    front = running.front
    front.until_known("first", front.view("first", "mug"))
    rebuild = running.start_rebuild()
    number = 0
    while rebuild.poll() is None or number < TIMES:
        number += 1
        position = front.view(f"u{number}", "lamp")
        answer = front.ask(f"u{number}", position)
        assert knows(answer, "lamp") or not answer.position_reached
    printed, _ = rebuild.communicate()
    assert "generation 1 is the present one" in printed, printed
    assert knows(front.until_known(f"u{number}", position), "lamp")
