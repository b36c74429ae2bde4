"""What the worker does when it is killed, when Redis or Kafka is away, and when it cannot go on."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from pathlib import Path

import pytest

from deploy.local.kafka import EmbeddedKafka
from deploy.local.redis import EmbeddedRedis
from deploy.local.services import EmbeddedService, is_serving, master_key, profiles_worker
from deploy.local.topics import create_topics
from services.profiles.settings import PREFIX
from services.shared.redis_connection import RedisConnection
from services.shared.subject import event_key, profile_redis_key
from tests.profile_events import Event, view
from tests.profile_oracle import trend_counts
from tests.stack import run_worker, started
from tests.waiting import eventually, eventually_async
from tests.worker_kafka import (
    appended,
    committed,
    group_of,
    now,
    profiles_as_the_oracle_says,
    send,
    trend_counts_kept,
    until_committed,
)

FOLDED = "events_total"
GRACE_SECONDS = 60
"""What the chart gives a worker to end."""


def told(servers: str, url: str, prefix: str, **more: str) -> dict[str, str]:
    """A worker's settings."""
    own = {"KAFKA_SERVERS": servers, "REDIS_URL": url, "TOPIC_PREFIX": prefix}
    return {**own, "GROUP": group_of(prefix), **more}


def shopping(shop_id: str, count: int, seed: int = 1) -> list[Event]:
    """Views of 300 shoppers over the last three hours, one in five of them sent twice."""
    chance = random.Random(seed)
    made = [
        {
            **view(
                i,
                f"p{chance.randrange(40)}",
                user=f"u{chance.randrange(300)}",
                at=now() - timedelta(minutes=chance.randrange(180)),
            ),
            "shopId": shop_id,
        }
        for i in range(count)
    ]
    return made + chance.choices(made, k=count // 5)


@pytest.fixture
def shopped(shop_id: str) -> list[Event]:
    """A shop's events."""
    return shopping(shop_id, 10_000)


async def as_the_oracle_says(url: str, some: list[Event]) -> None:
    """Assert that profiles and trends are those of the oracle."""
    assert await profiles_as_the_oracle_says(url, some)
    shop_id = some[0]["shopId"]
    kept = await trend_counts_kept(url, shop_id)
    assert kept == trend_counts(appended(some), shop_id=shop_id)


async def test_killed_in_the_middle_of_a_replay(
    kafka_servers: str, redis_url: str, topic_prefix: str, shopped: list[Event], tmp_path: Path
) -> None:
    """Killed twice while folding, a third worker ends where one that lived would have."""
    await send(kafka_servers, topic_prefix, shopped)
    settings = told(kafka_servers, redis_url, topic_prefix, INSTANCE_ID="worker-0")
    for life in range(2):
        with run_worker(settings, tmp_path / f"{life}.log") as worker:
            eventually(lambda: worker.metric(FOLDED), within=30)
            worker.kill()
    assert await committed(kafka_servers, topic_prefix) < len(shopped)
    with run_worker(settings, tmp_path / "last.log"):
        await until_committed(kafka_servers, topic_prefix, len(shopped))
    await as_the_oracle_says(redis_url, shopped)


async def test_events_that_faust_passed_over(
    kafka_servers: str, redis_url: str, topic_prefix: str, shop_id: str, tmp_path: Path
) -> None:
    """A batch that is lost on its way is read again: soon, or as soon as the next one comes."""
    some = shopping(shop_id, 200)
    worker = EmbeddedService(
        "tests.dropping_worker",
        prefix=PREFIX,
        port_setting="HEALTH_PORT",
        settings=told(
            kafka_servers, redis_url, topic_prefix, MASTER_KEY_FILE=str(master_key(tmp_path))
        ),
        log=tmp_path / "worker.log",
    )
    with started(worker):
        worker.wait_ready()
        for start in range(0, len(some), 80):  # the first is looked for, the others are noticed
            await send(kafka_servers, topic_prefix, some[start : start + 80])
            if not start:
                await until_committed(kafka_servers, topic_prefix, 80)
        await until_committed(kafka_servers, topic_prefix, len(some))
    await as_the_oracle_says(redis_url, some)
    assert "events_read_again" in worker.log_path.read_text()


async def test_redis_killed_and_back(
    kafka_servers: str,
    own_redis: EmbeddedRedis,
    topic_prefix: str,
    shopped: list[Event],
    tmp_path: Path,
) -> None:
    """While Redis is away nothing is committed and the worker is not ready but alive.

    Then it goes on by itself, and nothing is lost or counted twice.
    """
    settings = told(kafka_servers, own_redis.url, topic_prefix)
    with run_worker(settings, tmp_path / "worker.log") as worker:
        half = len(shopped) // 2
        await send(kafka_servers, topic_prefix, shopped[:half])
        eventually(lambda: worker.metric(FOLDED), within=30)
        own_redis.kill()
        eventually(lambda: not is_serving(worker.address), within=30)
        await send(kafka_servers, topic_prefix, shopped[half:])
        retries = 'retries_total{code="REDIS_UNAVAILABLE"}'
        eventually(lambda: worker.metric(retries) >= 2, within=30)
        before = int(worker.metric(FOLDED))
        assert 0 < before < len(shopped)
        safe = await committed(kafka_servers, topic_prefix)
        assert safe <= before
        tried = worker.metric(retries)
        eventually(lambda: worker.metric(retries) > tried + 1, within=30)
        assert await committed(kafka_servers, topic_prefix) <= before
        assert worker.process.poll() is None
        own_redis.start()
        eventually(lambda: is_serving(worker.address), within=20)
        await until_committed(kafka_servers, topic_prefix, len(shopped))
    await as_the_oracle_says(own_redis.url, shopped)


async def test_redis_out_of_memory(
    kafka_servers: str,
    own_redis: EmbeddedRedis,
    topic_prefix: str,
    shopped: list[Event],
    tmp_path: Path,
) -> None:
    """A Redis that refuses writes is waited for like one that is away."""
    connection = RedisConnection(own_redis.url)
    await connection.ask([("CONFIG", "SET", "maxmemory", "1")])
    settings = told(kafka_servers, own_redis.url, topic_prefix)
    with run_worker(settings, tmp_path / "worker.log") as worker:
        await send(kafka_servers, topic_prefix, shopped)
        retries = 'retries_total{code="REDIS_UNAVAILABLE"}'
        eventually(lambda: worker.metric(retries) >= 2, within=30)
        assert await committed(kafka_servers, topic_prefix) == 0
        await connection.ask([("CONFIG", "SET", "maxmemory", "0")])
        await until_committed(kafka_servers, topic_prefix, len(shopped))
    await connection.close()
    await as_the_oracle_says(own_redis.url, shopped)


async def test_kafka_killed_and_back(
    own_kafka: EmbeddedKafka, redis_url: str, shopped: list[Event], tmp_path: Path
) -> None:
    """The worker outlives its broker and reads on when the broker is there again."""
    await create_topics(own_kafka.servers)
    half = len(shopped) // 2
    with run_worker(told(own_kafka.servers, redis_url, ""), tmp_path / "worker.log") as worker:
        await send(own_kafka.servers, "", shopped[:half])
        await until_committed(own_kafka.servers, "", half)
        own_kafka.stop()
        assert worker.process.poll() is None
        own_kafka.start()
        await send(own_kafka.servers, "", shopped[half:])
        await until_committed(own_kafka.servers, "", len(shopped), within=90)
        assert worker.process.poll() is None
    await as_the_oracle_says(redis_url, shopped)


async def test_sigterm_while_redis_is_away(
    kafka_servers: str,
    own_redis: EmbeddedRedis,
    topic_prefix: str,
    shopped: list[Event],
    tmp_path: Path,
) -> None:
    """A batch that cannot be kept is given up uncommitted; the next worker does it."""
    settings = told(kafka_servers, own_redis.url, topic_prefix)
    with run_worker(settings, tmp_path / "one.log") as worker:
        own_redis.kill()
        await send(kafka_servers, topic_prefix, shopped)
        eventually(lambda: worker.metric('retries_total{code="REDIS_UNAVAILABLE"}'), within=30)
        assert worker.stop() == 0
    assert await committed(kafka_servers, topic_prefix) == 0
    own_redis.start()
    with run_worker(settings, tmp_path / "two.log"):
        await until_committed(kafka_servers, topic_prefix, len(shopped))
    await as_the_oracle_says(own_redis.url, shopped)


async def test_sigterm_while_kafka_is_away(
    own_kafka: EmbeddedKafka, redis_url: str, shop_id: str, tmp_path: Path
) -> None:
    """What Kafka cannot be told is left for the next time: the worker ends within its grace."""
    await create_topics(own_kafka.servers)
    some = shopping(shop_id, 100)
    with run_worker(told(own_kafka.servers, redis_url, ""), tmp_path / "worker.log") as worker:
        await send(own_kafka.servers, "", some)
        eventually(lambda: worker.metric(FOLDED) == len(some), within=30)
        own_kafka.kill()
        worker.process.terminate()
        assert worker.process.wait(GRACE_SECONDS) in (0, 1)


async def test_nothing_there_at_start(
    own_kafka: EmbeddedKafka, own_redis: EmbeddedRedis, tmp_path: Path
) -> None:
    """Without Kafka, topics or Redis the worker says so by code, waits, and is ready in the end."""
    own_kafka.stop()
    own_redis.stop()
    settings = told(own_kafka.servers, own_redis.url, "")
    with started(profiles_worker(settings, tmp_path / "worker.log")) as worker:

        def says(*words: str) -> bool:
            log = worker.log_path.read_text() if worker.log_path.exists() else ""
            return any(all(word in line for word in words) for line in log.splitlines())

        eventually(lambda: says("KAFKA_UNAVAILABLE", "does not answer"), within=30)
        own_kafka.start()
        eventually(lambda: says("KAFKA_UNAVAILABLE", "no topic", "Attune creates none"), within=30)
        await create_topics(own_kafka.servers)
        eventually(lambda: says("REDIS_UNAVAILABLE"), within=30)
        assert not is_serving(worker.address)
        assert worker.process.poll() is None
        own_redis.start()
        worker.wait_ready()


async def test_a_profile_that_cannot_be_read(
    kafka_servers: str, redis_url: str, topic_prefix: str, shop_id: str, tmp_path: Path
) -> None:
    """A profile of a newer release is not written over: the worker ends, uncommitted."""
    connection = RedisConnection(redis_url)
    key = profile_redis_key(event_key(shop_id, "u:ana"))
    await connection.ask([("SET", key, b"\x63" + bytes(20))])
    some = [{**view(1, at=now()), "shopId": shop_id}]
    settings = told(kafka_servers, redis_url, topic_prefix)
    with run_worker(settings, tmp_path / "worker.log") as worker:
        await send(kafka_servers, topic_prefix, some)
        status = await asyncio.to_thread(worker.process.wait, 40)
        assert status == 1
        assert "LayoutUnknown" in worker.log_path.read_text()
    assert await committed(kafka_servers, topic_prefix) == 0
    assert await connection.ask([("GET", key)]) == [b"\x63" + bytes(20)]
    await connection.ask([("DEL", key)])
    await connection.close()
    with run_worker(settings, tmp_path / "next.log"):
        await until_committed(kafka_servers, topic_prefix, 1)
    assert await profiles_as_the_oracle_says(redis_url, some)


async def test_until_committed_can_fail(kafka_servers: str, topic_prefix: str) -> None:
    """The condition that the tests above wait on does not hold by itself."""

    async def one() -> bool:
        return await committed(kafka_servers, topic_prefix) >= 1

    with pytest.raises(AssertionError):
        await eventually_async(one, within=0.5)
