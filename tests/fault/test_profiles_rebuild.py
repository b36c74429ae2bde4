"""Profiles made again while everything runs: the same bytes, and no moment of other answers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, cast

import pytest
from kafka import KafkaAdminClient, TopicPartition

from deploy.local.redis import EmbeddedRedis
from deploy.local.redis_cluster import EmbeddedRedisCluster
from services.profiles.adapters.redis_servers import redis_servers
from services.shared.consent import Consent, write_consent
from services.shared.profile_store import RedisProfileStore, Stored
from services.shared.redis_connection import Redis
from services.shared.subject import (
    GENERATION_REDIS_KEY,
    consent_redis_key,
    profile_redis_key,
)
from tests.archive_kafka import Installation
from tests.fault.test_profiles_faults import as_the_oracle_says, shopping, told
from tests.profile_events import Event, key_of
from tests.stack import run_worker
from tests.waiting import eventually, eventually_async
from tests.worker_kafka import send, until_committed

ROOT = Path(__file__).parents[2]
WAVE = 5


class Shop(NamedTuple):
    """Kafka's topics, the archive's folder, and a Redis of its own."""

    installed: Installation
    redis_url: str
    shop_id: str

    def settings(self, **more: str) -> dict[str, str]:
        """A worker's; its master key is that of the archive, which lies beside its log."""
        installed = self.installed
        key = installed.settings()["MASTER_KEY_FILE"]
        return told(
            installed.servers, self.redis_url, installed.prefix, MASTER_KEY_FILE=key, **more
        )

    def start_rebuild(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """The command."""
        environ = {f"ATTUNE_PROFILES_{name}": text for name, text in self.settings(**more).items()}
        path = os.pathsep.join([str(ROOT), str(ROOT / "build/gen")])
        return subprocess.Popen(
            [sys.executable, "-m", "services.profiles", "rebuild", *arguments],
            env={**os.environ, **environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def rebuild(self, *arguments: str, **more: str) -> str:
        """What it prints, once it has done well."""
        process = self.start_rebuild(*arguments, **more)
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 0, printed
        return printed

    def with_archive(self) -> tuple[str, str]:
        return ("--archive", str(self.installed.root))

    async def send(self, events: list[Event]) -> None:
        await send(self.installed.servers, self.installed.prefix, events)

    async def send_until_ended(self, process: subprocess.Popen[str], events: list[Event]) -> None:
        """Some at a time for as long as the process runs, and what is left after that."""
        left = list(events)

        async def has_ended() -> bool:
            await self.send(left[:WAVE])
            del left[:WAVE]
            return process.poll() is not None

        await eventually_async(has_ended, within=120)
        await self.send(left)

    async def until_folded(self, count: int) -> None:
        await until_committed(self.installed.servers, self.installed.prefix, count)

    def until_archived(self, count: int) -> None:
        eventually(lambda: len(self.installed.read()) == count, within=60)


@pytest.fixture
def shop(
    kafka_servers: str, topic_prefix: str, own_redis: EmbeddedRedis, shop_id: str, tmp_path: Path
) -> Shop:
    return Shop(Installation(kafka_servers, topic_prefix, tmp_path), own_redis.url, shop_id)


@asynccontextmanager
async def connected(shop: Shop) -> AsyncIterator[Redis]:
    servers = redis_servers(shop.redis_url, replicas=0)
    yield servers.writer
    await servers.close()


async def kept(shop: Shop, generation: int) -> dict[bytes, bytes]:
    """The profiles of a generation, as bytes by ``shop_id/subject``."""
    servers = redis_servers(shop.redis_url, replicas=0)
    pattern = profile_redis_key(b"*", generation).replace(b"{*}", b"*")
    names: list[bytes] = []
    for node in await servers.nodes():
        (keys,) = await node.ask([("KEYS", pattern)])
        names += [key.partition(b"{")[2][:-1] for key in cast("list[bytes]", keys)]
    asked = [("GET", profile_redis_key(name, generation)) for name in names]
    values = await servers.writer.ask(asked)
    await servers.close()
    return dict(zip(names, cast("list[bytes]", values), strict=True))


async def test_rebuilt_while_the_worker_goes_on(shop: Shop, tmp_path: Path) -> None:
    """From archive and topic, with events in between; who reads sees no other answer, ever."""
    some = shopping(shop.shop_id, 2_400)
    before, after = some[:1_500], some[1_500:]
    quiet = [key_of(one) for one in before[:50]]
    busy = set(map(key_of, after))
    watched = [name for name in dict.fromkeys(quiet) if name not in busy]
    with run_worker(shop.settings(), tmp_path / "worker.log"):
        with shop.installed.running():
            await shop.send(before[:1_000])
            shop.until_archived(1_000)
        await shop.send(before[1_000:])
        await shop.until_folded(len(before))
        live = await kept(shop, 0)
        async with answers(shop, watched) as seen:
            process = shop.start_rebuild(*shop.with_archive())
            await shop.send_until_ended(process, after)
            printed, _ = await asyncio.to_thread(process.communicate, timeout=120)
            assert process.returncode == 0, printed
        assert "generation 1 is the present one" in printed
        await shop.until_folded(len(some))
    assert watched
    assert seen == {tuple(Stored(live[name], b"") for name in watched)}
    assert await kept(shop, 0) == {}
    await as_the_oracle_says(shop.redis_url, some)


@asynccontextmanager
async def answers(shop: Shop, names: list[bytes]) -> AsyncIterator[set[tuple[Stored, ...]]]:
    """All different answers that a reader of these profiles gets while the block runs."""
    seen: set[tuple[Stored, ...]] = set()
    async with connected(shop) as redis:
        store = RedisProfileStore(redis)

        async def read() -> None:
            while True:
                seen.add(tuple(await store.load(names)))

        reading = asyncio.create_task(read())
        yield seen
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading


async def test_the_same_bytes_twice(shop: Shop, tmp_path: Path) -> None:
    """Without an archive, from the topic alone; a second time with one; always the same bytes."""
    some = shopping(shop.shop_id, 600)
    with run_worker(shop.settings(), tmp_path / "worker.log"):
        await shop.send(some)
        await shop.until_folded(len(some))
    live = await kept(shop, 0)
    shop.rebuild()
    assert await kept(shop, 1) == live
    with shop.installed.running():
        shop.until_archived(len(some))
    assert f"{len(some)} events are folded" in shop.rebuild(*shop.with_archive())
    assert await kept(shop, 2) == live
    assert await kept(shop, 1) == {}


async def test_redis_is_lost(shop: Shop, tmp_path: Path) -> None:
    """Everything comes back, with the time to live that its last event gave it."""
    some = shopping(shop.shop_id, 600)
    with run_worker(shop.settings(), tmp_path / "worker.log"), shop.installed.running():
        await shop.send(some)
        await shop.until_folded(len(some))
        shop.until_archived(len(some))
    live = await kept(shop, 0)
    async with connected(shop) as redis:
        await redis.ask([("FLUSHALL",)])
        shop.rebuild(*shop.with_archive())
        assert await kept(shop, 1) == live
        (left,) = await redis.ask([("PTTL", profile_redis_key(next(iter(live)), 1))])
    ninety_days = 90 * 86_400_000
    assert ninety_days - 600_000 < cast("int", left) <= ninety_days


async def test_killed_and_run_again(shop: Shop, tmp_path: Path) -> None:
    """Killed anywhere nothing has changed; the next one goes on, or it is given up."""
    some = shopping(shop.shop_id, 600)
    with run_worker(shop.settings(), tmp_path / "worker.log"):
        await shop.send(some)
        await shop.until_folded(len(some))
        live = await kept(shop, 0)
        async with connected(shop) as redis:

            async def has_begun() -> bool:
                return (await redis.ask([("GET", GENERATION_REDIS_KEY)])) == [b"0 1"]

            for ends in ("given up", "run again"):
                process = shop.start_rebuild()
                await eventually_async(has_begun, within=60)
                process.send_signal(signal.SIGKILL)
                process.communicate()
                assert await has_begun()
                assert await kept(shop, 0) == live
                if ends == "given up":
                    shop.rebuild("--give-up")
                    assert await redis.ask([("GET", GENERATION_REDIS_KEY)]) == [b"0"]
                    assert await kept(shop, 1) == {}
        shop.rebuild()
    assert await kept(shop, 1) == live


async def test_what_is_nowhere_any_more(shop: Shop) -> None:
    """The broker has dropped the first events, and no archive: it says what is missing."""
    some = shopping(shop.shop_id, 100)
    await shop.send(some)
    await drop_first(shop, 5)
    process = shop.start_rebuild()
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 2, printed
    assert "the events at 0 to 4 are neither in the archive nor in the topic" in printed


async def drop_first(shop: Shop, count: int) -> None:
    """Have the broker forget the first events of each partition."""
    admin = KafkaAdminClient(bootstrap_servers=shop.installed.servers)
    topic = shop.installed.prefix + "shopper-events"
    admin.delete_records({TopicPartition(topic, number): count for number in range(4)})
    admin.close()


async def test_what_was_asked_to_be_forgotten(shop: Shop) -> None:
    """Consent stands beside the profile; a rebuild keeps to it."""
    some = shopping(shop.shop_id, 300)
    ana = key_of(some[0])
    await shop.send(some)
    async with connected(shop) as redis:
        refuses = write_consent(Consent(personalization=False))
        await redis.ask([("SET", consent_redis_key(ana), refuses)])
    shop.rebuild()
    made = await kept(shop, 1)
    assert ana not in made
    assert len(made) == len(set(map(key_of, some))) - 1


async def test_in_a_cluster(own_cluster: EmbeddedRedisCluster, shop: Shop, tmp_path: Path) -> None:
    """Over all nodes: the same bytes, and nothing left of those of before."""
    ours = shop._replace(redis_url=own_cluster.url)
    some = shopping(shop.shop_id, 600)
    with run_worker(ours.settings(), tmp_path / "worker.log"):
        await ours.send(some)
        await ours.until_folded(len(some))
        live = await kept(ours, 0)
        assert f"{len(live)} profiles of before are deleted" in ours.rebuild()
    assert await kept(ours, 0) == {}
    assert await kept(ours, 1) == live
